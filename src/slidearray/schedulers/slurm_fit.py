"""Whether a cluster has what a profile asks for: every difference, with what there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.shapes import Shape
from slidearray.schedulers.cluster import ADVANCE_PREFIX, Problem, told_once
from slidearray.schedulers.slurm_cluster import longest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from slidearray.core.profile import Profile
    from slidearray.schedulers.slurm_parts import Association, Cluster, Node, Partition

#: ``c1``, ``c[1-3,07-09]``, ``rack[1-2]n[0-9]``
_HOSTS = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")
_FEATURE = re.compile(r"[A-Za-z_][\w.:=+/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one kind of job asks for."""

    prefix: str  # of its keys
    partition: str | None
    account: str | None
    qos: str | None
    reservation: str | None
    constraint: str | None
    shape: Shape
    nodelist: str | None = None
    exclude: str | None = None
    gpus: int = 0
    gpu_type: str = ""


def wishes(profile: Profile) -> tuple[Wish, Wish]:
    """What the arrays of a profile ask for, and what the job behind them does."""
    own = profile.advance_job
    kind, _, count = str(profile.gpus or 0).rpartition(":")
    return (
        Wish(
            prefix="",
            partition=profile.partition,
            account=profile.account,
            qos=profile.qos,
            reservation=profile.reservation,
            constraint=profile.constraint,
            shape=profile.shape(),
            nodelist=profile.nodelist,
            exclude=profile.exclude,
            gpus=int(count),
            gpu_type=kind,
        ),
        Wish(
            prefix=ADVANCE_PREFIX,
            partition=own.partition or profile.partition,
            account=own.account or profile.account,
            qos=own.qos or profile.qos,
            reservation=own.reservation or profile.reservation,
            constraint=own.constraint,
            shape=own.shape(),
        ),
    )


def problems(profile: Profile, cluster: Cluster) -> list[Problem]:
    """Everything in a profile that the cluster does not have, in the order of its keys."""
    arrays, advance = wishes(profile)
    return told_once(
        [*_of_wish(arrays, cluster), *_of_array_size(profile, cluster)], _of_wish(advance, cluster)
    )


def _of_wish(wish: Wish, cluster: Cluster) -> Iterator[Problem]:
    partitions = cluster.partitions_of(wish.partition)
    yield from _of_partition(wish, cluster, partitions)
    if partitions:
        yield from _of_walltime(wish, cluster, partitions)
        yield from _of_nodes(wish, cluster, partitions)
    yield from _of_person(wish, cluster, partitions)
    if wish.reservation is not None and wish.reservation not in cluster.reservations:
        yield _unknown(wish, "reservation", wish.reservation, known=cluster.reservations)
    features = {feature for node in cluster.nodes for feature in node.features}
    for feature in _FEATURE.findall(wish.constraint or ""):
        if feature not in features:
            yield _unknown(wish, "constraint", feature, known=features)


def _of_partition(
    wish: Wish, cluster: Cluster, partitions: Collection[Partition]
) -> Iterator[Problem]:
    known = {partition.name for partition in cluster.partitions}
    if wish.partition is None and not partitions:
        yield _unknown(wish, "partition", "none, and no default", known=known)
    for name in (wish.partition or "").split(",") if wish.partition else ():
        if name not in known:
            yield _unknown(wish, "partition", name, known=known)
    for partition in partitions:
        if partition.state != "UP":
            yield Problem(
                key=f"{wish.prefix}partition",
                found=f"{partition.name}, which is {partition.state}",
                accepted=_listed(each.name for each in cluster.partitions if each.state == "UP"),
            )


def _of_walltime(
    wish: Wish, cluster: Cluster, partitions: Collection[Partition]
) -> Iterator[Problem]:
    least = longest(cluster, wish.qos, list(partitions))
    if least is not None and wish.shape.walltime_s > least:
        most = Shape(cpus=1, memory_mb=1, walltime_s=least).walltime
        yield Problem(
            key=f"{wish.prefix}walltime", found=wish.shape.walltime, accepted=f"at most {most}"
        )


def _of_nodes(wish: Wish, cluster: Cluster, partitions: list[Partition]) -> Iterator[Problem]:
    nodes = cluster.nodes_of(partitions)
    yield from _of_names(wish, cluster, nodes)
    if not nodes:
        return
    singly = [
        *_over(wish, "cpus_per_task", wish.shape.cpus, most=max(node.cpus for node in nodes)),
        *_of_memory(wish, nodes),
        *_of_gpus(wish, nodes),
    ]
    yield from singly
    if not singly and not any(_fits(wish, node) for node in nodes):
        found = f"{wish.shape.cpus} CPUs, {wish.shape.memory_mb}M and {wish.gpus} GPUs together"
        yield Problem(
            key=f"{wish.prefix}cpus_per_task",
            found=found,
            accepted=_listed({described(node) for node in nodes}),
        )


def _fits(wish: Wish, node: Node) -> bool:
    gpus = node.gpus.get(wish.gpu_type, 0) if wish.gpu_type else sum(node.gpus.values())
    return (
        wish.shape.cpus <= node.cpus
        and wish.shape.memory_mb <= node.memory_mb
        and wish.gpus <= gpus
    )


def _over(wish: Wish, key: str, found: int, *, most: int) -> Iterator[Problem]:
    if found > most:
        yield Problem(key=f"{wish.prefix}{key}", found=str(found), accepted=f"at most {most}")


def _of_memory(wish: Wish, nodes: Collection[Node]) -> Iterator[Problem]:
    most = max(node.memory_mb for node in nodes)
    if wish.shape.memory_mb > most:
        yield Problem(
            key=f"{wish.prefix}memory",
            found=f"{wish.shape.memory_mb}M",
            accepted=f"at most {most}M, the memory of the largest node",
        )


def _of_gpus(wish: Wish, nodes: Collection[Node]) -> Iterator[Problem]:
    if not wish.gpus:
        return
    kinds = {kind for node in nodes for kind in node.gpus}
    if wish.gpu_type and wish.gpu_type not in kinds:
        yield _unknown(wish, "gpus", f"type {wish.gpu_type}", known=kinds)
        return
    most = max(
        node.gpus.get(wish.gpu_type, 0) if wish.gpu_type else sum(node.gpus.values())
        for node in nodes
    )
    yield from _over(wish, "gpus", wish.gpus, most=most)


def _of_names(wish: Wish, cluster: Cluster, nodes: Collection[Node]) -> Iterator[Problem]:
    """Names of nodes: those that are asked for have to be in the partition as well."""
    known = {node.name for node in cluster.nodes}
    for key, text in (("nodelist", wish.nodelist), ("exclude", wish.exclude)):
        for name in host_names(text or ""):
            if name not in known:
                yield _unknown(wish, key, name, known=known)
    asked = host_names(wish.nodelist or "")
    if len(asked) > 1:
        yield Problem(
            key=f"{wish.prefix}nodelist",
            found=f"{len(asked)} nodes",
            accepted="one node: a task has one, and sbatch wants all of a list; `exclude` others",
        )
    inside = {node.name for node in nodes}
    for name in asked:
        if name in known and name not in inside:
            yield Problem(
                key=f"{wish.prefix}nodelist",
                found=f"{name}, which is not in the partition",
                accepted=_listed(inside),
            )


def _of_person(
    wish: Wish, cluster: Cluster, partitions: Collection[Partition]
) -> Iterator[Problem]:
    """Account and qos: those of this user, where the cluster looks at them at all."""
    if cluster.associations is not None and cluster.enforces - {"", "none"}:
        yield from _of_associations(wish, cluster, cluster.associations)
    for partition in partitions:
        pairs = (
            ("account", wish.account, partition.accounts, partition.denied_accounts),
            ("qos", wish.qos, partition.qos, partition.denied_qos),
        )
        for key, name, allowed, denied in pairs:
            if name and ((allowed is not None and name not in allowed) or name in denied):
                yield Problem(
                    key=f"{wish.prefix}{key}",
                    found=f"{name}, which partition {partition.name} does not take",
                    accepted=_listed(allowed) if allowed else f"not {_listed(denied)}",
                )


def _of_associations(
    wish: Wish, cluster: Cluster, associations: Collection[Association]
) -> Iterator[Problem]:
    accounts = {each.account for each in associations}
    if wish.account is not None and wish.account not in accounts:
        yield _unknown(wish, "account", wish.account, known=accounts)
    if wish.account is None and not any(each.default for each in associations):
        yield _unknown(wish, "account", "none, and no default", known=accounts)
    mine = [each for each in associations if wish.account == each.account] or associations
    valid = {qos for each in mine for qos in each.qos}
    if wish.qos is not None and wish.qos not in valid:
        yield _unknown(wish, "qos", wish.qos, known=valid)


def _of_array_size(profile: Profile, cluster: Cluster) -> Iterator[Problem]:
    size = profile.max_array_size
    sources = (
        ("MaxArraySize", cluster.max_array_size),
        ("max_array_tasks", cluster.max_array_tasks),
    )
    for name, most in sources:
        if size != "auto" and most is not None and size > most:
            accepted = f"at most {most}, the cluster's {name}; or auto"
            yield Problem(key="max_array_size", found=str(size), accepted=accepted)


def described(node: Node) -> str:
    """A kind of node: ``8 CPUs, 8000M, 4 fake GPUs``."""
    gpus = [f"{count} {kind} GPUs".replace("  ", " ") for kind, count in node.gpus.items()]
    return ", ".join([f"{node.cpus} CPUs", f"{node.memory_mb}M", *gpus])


def host_names(text: str) -> list[str]:
    """The names of a list of nodes, as SLURM writes it.

    Examples
    --------
    >>> host_names("a,c[1-2,09-10]n[0-1]")
    ['a', 'c1n0', 'c1n1', 'c2n0', 'c2n1', 'c09n0', 'c09n1', 'c10n0', 'c10n1']
    """
    return [name for part in _HOSTS.findall(text) for name in _spelled_out(part)]


def _spelled_out(text: str) -> list[str]:
    head, bracket, rest = text.partition("[")
    if not bracket:
        return [text]
    ranges, _, tail = rest.partition("]")
    numbers: list[str] = []
    for each in ranges.split(","):
        first, dash, last = each.partition("-")
        if dash and first.isdecimal() and last.isdecimal():
            width = len(first)
            numbers += [f"{k:0{width}d}" for k in range(int(first), int(last) + 1)]
        else:
            numbers.append(each)
    return [f"{head}{number}{end}" for number in numbers for end in _spelled_out(tail)]


def _unknown(wish: Wish, key: str, found: str, *, known: Iterable[str]) -> Problem:
    return Problem(key=f"{wish.prefix}{key}", found=found, accepted=_listed(known))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(filter(None, names))) or "none: the cluster has none"
