"""Whether a PBS server takes what a profile asks for: every difference, with what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.shapes import Shape
from slidearray.schedulers.cluster import ADVANCE_PREFIX, Problem, told_once

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from slidearray.core.profile import Profile
    from slidearray.schedulers.pbs_hosts import Host
    from slidearray.schedulers.pbs_parts import Cluster, Limits, Person, Queue, Way

#: What every node has, and no profile asks for by name.
NO_CONSTRAINT = frozenset({"arch", "host", "mem", "ncpus", "ngpus", "vnode"})
#: What there is of an amount that no node tells of.
_NONE = {
    "cpus_per_task": "none: no node tells of ncpus",
    "memory": "none: no node tells of mem",
    "gpus": "none: no node has ngpus; what the site calls them goes into `constraint`",
}
#: Of limits, in the order in which they are told.
_KEYS = ("walltime", "cpus_per_task", "memory", "gpus")
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
            prefix=ADVANCE_PREFIX,
            queue=own.queue or profile.queue,
            constraint=own.constraint,
            shape=own.shape(),
        ),
    )


def problems(profile: Profile, cluster: Cluster, *, person: Person) -> list[Problem]:
    """Everything in a profile that the cluster does not have, in the order of its keys."""
    arrays, advance = wishes(profile)
    return told_once(
        [
            *_of_wish(arrays, cluster, person),
            *_of_array_size(profile, max_array_size(profile, cluster, person=person)),
        ],
        _of_wish(advance, cluster, person),
    )


def _of_wish(wish: Wish, cluster: Cluster, person: Person) -> Iterator[Problem]:
    queue = cluster.queue(wish.queue)
    names = _listed(each.name for each in cluster.queues if not _closed(each, cluster, person))
    if queue is None:
        yield wish.problem("queue", wish.queue or "none, and no default", accepted=names)
        return
    if closed := _closed(queue, cluster, person):
        yield wish.problem("queue", f"{queue.name}, which {closed}", accepted=names)
    ways = cluster.ways(queue, person)
    yield from _of_limits(wish, ways)
    hosts = cluster.hosts_of(ways)
    if hosts is not None:
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
    last = [way.queue for way in cluster.ways(queue, person)]
    if not last:
        return f"goes on to no queue that is open to {person.user}"
    if not queue.started or not any(each is None or each.started for each in last):
        return "starts no jobs now (it is not started)"
    return ""


def max_array_size(profile: Profile, cluster: Cluster, *, person: Person) -> int | None:
    """Tasks that an array may have; of several queues that take them, as the largest has it."""
    ways = ways_of_arrays(profile, cluster, person=person)
    return widest([way.max_array_size for way in ways])


def ways_of_arrays(
    profile: Profile, cluster: Cluster, *, person: Person, whatever: str = ""
) -> list[Way]:
    """Where the tasks of a profile may come to run; where nothing takes them, all that there is.

    Parameters
    ----------
    profile
        With the queue, and what one task asks for.
    cluster
        With the queues.
    person
        Who would submit.
    whatever
        A key, of which a task may ask for any amount.
    """
    wish, _ = wishes(profile)
    queue = cluster.queue(wish.queue)
    ways = [] if queue is None else cluster.ways(queue, person)
    asked = {key: each for key, each in _asked(wish).items() if key != whatever}
    return [way for way in ways if _within(asked, way)] or ways


def _of_limits(wish: Wish, ways: Collection[Way]) -> Iterator[Problem]:
    """Limits of the queues: a job that may come into several needs one that takes it."""
    asked = _asked(wish)
    if not ways or any(_within(asked, way) for way in ways):
        return
    singly = False
    for key, amount in asked.items():
        most = widest([way.most.get(key) for way in ways])
        least = _lowest([way.least.get(key) for way in ways])
        if most is not None and amount > most:
            singly = True
            accepted = f"at most {_as_text(key, most)}"
            yield wish.problem(key, _as_text(key, amount), accepted=accepted)
        elif least is not None and amount < least:
            singly = True
            accepted = f"at least {_as_text(key, least)}"
            yield wish.problem(key, _as_text(key, amount), accepted=accepted)
    if not singly:
        yield wish.problem(
            "queue",
            f"{_in_words(asked)} together",
            accepted=_listed(
                f"{way.queue.name if way.queue else 'another server'}: {described_limits(way.most)}"
                for way in ways
            ),
        )


def _asked(wish: Wish) -> dict[str, int]:
    """What a job asks for, by key."""
    amounts = {
        "walltime": wish.shape.walltime_s,
        "cpus_per_task": wish.shape.cpus,
        "memory": wish.shape.memory_mb,
        "gpus": wish.gpus,
    }
    return {key: amount for key, amount in amounts.items() if amount}


def _as_text(key: str, amount: int) -> str:
    if key == "walltime":
        return Shape(cpus=1, memory_mb=1, walltime_s=amount).walltime
    return f"{amount}M" if key == "memory" else str(amount)


def _in_words(amounts: Mapping[str, int]) -> str:
    return ", ".join(
        _as_text(key, amounts[key]) + _UNITS.get(key, "") for key in _KEYS if key in amounts
    )


def _within(asked: Mapping[str, int], way: Way) -> bool:
    return all(
        way.least.get(key, amount) <= amount <= way.most.get(key, amount)
        for key, amount in asked.items()
    )


def widest(limits: Collection[int | None]) -> int | None:
    """The largest limit; None when one has none, or there are none."""
    told = [each for each in limits if each is not None]
    return max(told, default=None) if len(told) == len(limits) else None


def _lowest(limits: Collection[int | None]) -> int | None:
    told = [each for each in limits if each is not None]
    return min(told, default=None) if len(told) == len(limits) else None


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
        accepted = f"at most {_as_text(key, most)}, as the largest node has" if most else _NONE[key]
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
    """``name=value`` pairs: some machine has to have each; of an amount, as much."""
    for pair in (wish.constraint or "").split(":") if wish.constraint else ():
        name, _, value = pair.partition("=")
        known = {each for host in hosts for each in host.values(name)}
        if not known:
            names = _listed({each for host in hosts for each in host.resources} - NO_CONSTRAINT)
            yield wish.problem("constraint", f"{name}, which no node has", accepted=names)
        elif not any(host.has(name, value) for host in hosts):
            yield wish.problem("constraint", pair, accepted=_listed(f"{name}={k}" for k in known))


def _of_array_size(profile: Profile, most: int | None) -> Iterator[Problem]:
    size = profile.max_array_size
    if size != "auto" and most is not None and size > most:
        accepted = f"at most {most}, the max_array_size of the server and its queues; or auto"
        yield Problem(key="max_array_size", found=str(size), accepted=accepted)


def described(host: Host) -> str:
    """A kind of machine: ``8 CPUs, 16384M, 4 GPUs``."""
    gpus = [f"{host.gpus} GPUs"] if host.gpus else []
    return ", ".join([f"{host.cpus} CPUs", f"{host.memory_mb}M", *gpus])


def described_limits(most: Limits) -> str:
    """What one job may have: ``at most 48:00:00, 64 CPUs``."""
    return f"at most {_in_words(most)}" if most else "no limit"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(filter(None, names)))) or "none: the server has none"
