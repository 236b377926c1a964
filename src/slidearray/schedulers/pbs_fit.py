"""Whether a PBS server takes what a profile asks for: every difference, with what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.shapes import Shape
from slidearray.schedulers import pbs_words
from slidearray.schedulers.cluster import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from slidearray.core.profile import Profile
    from slidearray.schedulers.pbs_parts import Cluster, Host, Limits, Person, Queue

#: What every node has, and no profile asks for by name.
NO_CONSTRAINT = frozenset({"arch", "host", "mem", "ncpus", "ngpus", "vnode"})
_NO_GPUS = "none: no node has ngpus; what the site calls them goes into `constraint`"
_UNITS = {"cpus_per_task": " CPUs", "gpus": " GPUs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one kind of job asks for."""

    prefix: str  # of its keys
    queue: str | None
    constraint: str | None
    shape: Shape
    gpus: int = 0

    def problem(self, key: str, found: str, *, accepted: str) -> Problem:
        """What it asks for, and cannot have."""
        return Problem(key=f"{self.prefix}{key}", found=found, accepted=accepted)


def wishes(profile: Profile) -> tuple[Wish, Wish]:
    """What the arrays of a profile ask for, and what the job behind them does."""
    own = profile.advance_job
    return (
        Wish(
            prefix="",
            queue=profile.queue,
            constraint=profile.constraint,
            shape=profile.shape(),
            gpus=int(profile.gpus or 0),
        ),
        Wish(
            prefix="advance_job.",
            queue=own.queue or profile.queue,
            constraint=own.constraint,
            shape=own.shape(),
        ),
    )


def problems(profile: Profile, cluster: Cluster, *, person: Person) -> list[Problem]:
    """Everything in a profile that the cluster does not have, in the order of its keys."""
    arrays, advance = wishes(profile)
    found = [*_of_wish(arrays, cluster, person), *_of_array_size(profile, cluster)]
    told = {(problem.key, problem.found) for problem in found}
    return found + [
        problem
        for problem in _of_wish(advance, cluster, person)
        if (problem.key.removeprefix(advance.prefix), problem.found) not in told
    ]


def _of_wish(wish: Wish, cluster: Cluster, person: Person) -> Iterator[Problem]:
    queue = cluster.queue(wish.queue)
    names = _listed(each.name for each in cluster.queues if not _closed(each, cluster, person))
    if queue is None:
        yield wish.problem("queue", wish.queue or "none, and no default", accepted=names)
        return
    if closed := _closed(queue, cluster, person):
        yield wish.problem("queue", f"{queue.name}, which {closed}", accepted=names)
    targets = cluster.targets(queue)
    yield from _of_limits(wish, targets)
    if cluster.hosts is not None and targets:
        hosts = list(
            {host.name: host for each in targets for host in cluster.hosts_of(each)}.values()
        )
        yield from _of_hosts(wish, hosts)
        yield from _of_constraint(wish, hosts)


def _closed(queue: Queue, cluster: Cluster, person: Person) -> str:
    """Why nobody's job, or not this person's, gets into a queue and runs; empty when it does."""
    if not queue.enabled:
        return "takes no jobs now (it is not enabled)"
    if queue.only_routed:
        return "takes jobs from a routing queue only"
    if not queue.admits(person):
        return f"is not open to {person.user}"
    targets = cluster.targets(queue)  # none: they are on another server
    if not queue.started or (targets and not any(each.started for each in targets)):
        return "starts no jobs now (it is not started)"
    return ""


def _of_limits(wish: Wish, targets: Collection[Queue]) -> Iterator[Problem]:
    """Limits of the queues: a job that may come into several needs one that takes it."""
    asked = _asked(wish)
    fits = [each for each in targets if _within(asked, each.most, each.least)]
    if fits or not targets:
        return
    singly = False
    for key, (amount, found) in asked.items():
        most = _widest([_amount(each.most, key) for each in targets], most=True)
        least = _widest([_amount(each.least, key) for each in targets], most=False)
        if most is not None and amount > most:
            singly = True
            yield wish.problem(key, found, accepted=f"at most {_as_text(key, most)}")
        elif least is not None and amount < least:
            singly = True
            yield wish.problem(key, found, accepted=f"at least {_as_text(key, least)}")
    if not singly:
        told = (found + _UNITS.get(key, "") for key, (_, found) in asked.items())
        yield wish.problem(
            "queue",
            f"{', '.join(told)} together",
            accepted=_listed(f"{each.name}: {described_limits(each.most)}" for each in targets),
        )


def _asked(wish: Wish) -> dict[str, tuple[int, str]]:
    """By key: the amount, and how a person writes it."""
    amounts = {
        "walltime": wish.shape.walltime_s,
        "cpus_per_task": wish.shape.cpus,
        "memory": wish.shape.memory_mb,
        "gpus": wish.gpus,
    }
    return {key: (amount, _as_text(key, amount)) for key, amount in amounts.items() if amount}


def _as_text(key: str, amount: int) -> str:
    if key == "walltime":
        return Shape(cpus=1, memory_mb=1, walltime_s=amount).walltime
    return f"{amount}M" if key == "memory" else str(amount)


def _amount(limits: Limits, key: str) -> int | None:
    return {
        "walltime": limits.walltime_s,
        "cpus_per_task": limits.cpus,
        "memory": limits.memory_mb,
        "gpus": limits.gpus,
    }[key]


def _within(asked: dict[str, tuple[int, str]], most: Limits, least: Limits) -> bool:
    for key, (amount, _) in asked.items():
        upper, lower = _amount(most, key), _amount(least, key)
        if (upper is not None and amount > upper) or (lower is not None and amount < lower):
            return False
    return True


def _widest(limits: list[int | None], *, most: bool) -> int | None:
    """The limit that lets most through; None when one of the queues has none."""
    told = [each for each in limits if each is not None]
    if len(told) < len(limits):
        return None
    return max(told, default=None) if most else min(told, default=None)


def _of_hosts(wish: Wish, hosts: Collection[Host]) -> Iterator[Problem]:
    """The machines: a task is one chunk, on one of them."""
    if not hosts:
        return
    asked = {
        "cpus_per_task": (wish.shape.cpus, max(host.cpus for host in hosts)),
        "memory": (wish.shape.memory_mb, max(host.memory_mb for host in hosts)),
        "gpus": (wish.gpus, max(host.gpus for host in hosts)),
    }
    over = {key: most for key, (amount, most) in asked.items() if amount > most}
    for key, most in over.items():
        accepted = f"at most {_as_text(key, most)}, as the largest node has" if most else _NO_GPUS
        yield wish.problem(key, _as_text(key, asked[key][0]), accepted=accepted)
    if not over and not any(_fits(wish, host) for host in hosts):
        found = f"{wish.shape.cpus} CPUs, {wish.shape.memory_mb}M and {wish.gpus} GPUs together"
        yield wish.problem("cpus_per_task", found, accepted=_listed(map(described, hosts)))


def _fits(wish: Wish, host: Host) -> bool:
    return (
        wish.shape.cpus <= host.cpus
        and wish.shape.memory_mb <= host.memory_mb
        and wish.gpus <= host.gpus
    )


def _of_constraint(wish: Wish, hosts: Collection[Host]) -> Iterator[Problem]:
    """``name=value`` pairs: some machine has to have each; of a number, as many."""
    for pair in (wish.constraint or "").split(":") if wish.constraint else ():
        name, _, value = pair.partition("=")
        known = {each for host in hosts for each in host.resources.get(name, ())}
        if not known:
            names = _listed({each for host in hosts for each in host.resources} - NO_CONSTRAINT)
            yield wish.problem("constraint", f"{name}, which no node has", accepted=names)
        elif value not in known and not _is_enough(value, known):
            yield wish.problem("constraint", pair, accepted=_listed(f"{name}={k}" for k in known))


def _is_enough(value: str, known: Iterable[str]) -> bool:
    wanted = pbs_words.number(value)
    amounts = [pbs_words.number(each) for each in known]
    return wanted is not None and any(each is not None and each >= wanted for each in amounts)


def _of_array_size(profile: Profile, cluster: Cluster) -> Iterator[Problem]:
    size, queue = profile.max_array_size, cluster.queue(profile.queue)
    most = None if queue is None else cluster.max_array_size(queue)
    if size != "auto" and most is not None and size > most:
        accepted = f"at most {most}, the server's max_array_size; or auto"
        yield Problem(key="max_array_size", found=str(size), accepted=accepted)


def described(host: Host) -> str:
    """A kind of machine: ``8 CPUs, 16384M, 4 GPUs``."""
    gpus = [f"{host.gpus} GPUs"] if host.gpus else []
    return ", ".join([f"{host.cpus} CPUs", f"{host.memory_mb}M", *gpus])


def described_limits(most: Limits) -> str:
    """What one job may have: ``at most 48:00:00, 64 CPUs``."""
    told = [
        _as_text(key, amount) + _UNITS.get(key, "")
        for key in ("walltime", "cpus_per_task", "memory", "gpus")
        if (amount := _amount(most, key)) is not None
    ]
    return f"at most {', '.join(told)}" if told else "no limit"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(filter(None, names)))) or "none: the server has none"
