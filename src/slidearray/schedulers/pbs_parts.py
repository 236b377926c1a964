"""The parts of a cluster, as PBS tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from slidearray.schedulers import pbs_words
from slidearray.schedulers.pbs_values import amount, megabytes, seconds, words_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from slidearray.schedulers.pbs_hosts import Host
    from slidearray.schedulers.pbs_questions import Server
    from slidearray.schedulers.pbs_words import Attributes

#: ``[u:PBS_GENERIC=100]``, ``[o:PBS_ALL=5000]``, ``[p:a b=7]``
_LIMIT = re.compile(r"\[\s*([ugpo]):\s*\"?([^=\]\"]+)\"?\s*=\s*([0-9]+)\s*\]")
#: Attributes that limit how many tasks may be queued; a name in one beats PBS_GENERIC.
_QUEUE_LIMITS = ("max_queued", "queued_jobs_threshold")
#: What one job may ask for, by the keys of a profile: seconds, mebibytes, numbers.
Limits: TypeAlias = "Mapping[str, int]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose jobs they are; limits and lists go by it."""

    user: str
    group: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue; one that routes hands its jobs on to others."""

    name: str
    attributes: Attributes
    most: Limits
    least: Limits

    @property
    def routes_to(self) -> tuple[str, ...]:
        """Queues of this server that its jobs go on to."""
        destinations = words_in(self.attributes.get("route_destinations"))
        return tuple(each.partition("@")[0] for each in destinations) if self.routes else ()

    @property
    def routes(self) -> bool:
        """Whether it runs no jobs itself."""
        return pbs_words.text(self.attributes.get("queue_type")).lower() == "route"

    @property
    def enabled(self) -> bool:
        """Whether it takes jobs."""
        return pbs_words.is_true(self.attributes.get("enabled"))

    @property
    def started(self) -> bool:
        """Whether it runs jobs."""
        return pbs_words.is_true(self.attributes.get("started"))

    @property
    def only_routed(self) -> bool:
        """Whether it takes jobs from other queues only."""
        return pbs_words.is_true(self.attributes.get("from_route_only"))

    def admits(self, person: Person) -> bool:
        """Whether its lists of users and groups let somebody in, as far as that is known."""
        lists = (("acl_user", person.user), ("acl_group", person.group))
        return all(
            _admitted(who, self.attributes.get(f"{name}s"))
            for name, who in lists
            if who is not None and pbs_words.is_true(self.attributes.get(f"{name}_enable"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a job may come to run, within the limits of every queue that it passes."""

    queue: Queue | None  # None: one of another server
    most: Limits
    least: Limits
    max_array_size: int | None  # of tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a server tells; hosts None: it does not tell."""

    server: Server
    queues: tuple[Queue, ...]
    hosts: tuple[Host, ...] | None

    def queue(self, name: str | None) -> Queue | None:
        """The queue of a name, or the one of jobs that name none."""
        return self._called(name or pbs_words.text(self.server.attributes.get("default_queue")))

    def _called(self, name: str) -> Queue | None:
        return next((queue for queue in self.queues if queue.name == name), None)

    def ways(self, queue: Queue, person: Person) -> list[Way]:
        """The ways of somebody's job from a queue to those that run it.

        The limits are looked at on entry to each queue (openpbs, svr_chkque of
        src/server/svr_jobfunc.c); a job that no destination takes is accepted, and aborted later.
        """
        return list(self._ways((queue,), person))

    def _ways(self, passed: tuple[Queue, ...], person: Person) -> Iterator[Way]:
        queue = passed[-1]
        if not queue.routes:
            yield self._way(passed, queue)
        for name in queue.routes_to:
            following = self._called(name)
            if following is None:
                yield self._way(passed, None)
            elif following not in passed and following.admits(person):
                yield from self._ways((*passed, following), person)

    def _way(self, passed: tuple[Queue, ...], queue: Queue | None) -> Way:
        holders = [self.server.attributes, *(each.attributes for each in passed)]
        told = (pbs_words.number(each.get("max_array_size")) for each in holders)
        sizes = [size for size in told if size is not None]
        return Way(
            queue=queue,
            most=_together([each.most for each in passed], min),
            least=_together([each.least for each in passed], max),
            max_array_size=min(sizes, default=None),
        )

    def hosts_of(self, ways: Sequence[Way]) -> list[Host] | None:
        """The machines that run the jobs; None: nobody tells of all of them."""
        queues = [way.queue for way in ways]
        if self.hosts is None or not queues or None in queues:
            return None
        found = {host.name: host for each in queues if each for host in self.hosts_in(each)}
        return list(found.values())

    def hosts_in(self, queue: Queue) -> list[Host]:
        """The machines that run a queue's jobs."""
        hosts = self.hosts or ()
        own = [host for host in hosts if host.queue == queue.name]
        shared = own or [host for host in hosts if not host.queue]
        chunk = queue.attributes.get("default_chunk")
        for name, value in chunk.items() if isinstance(chunk, dict) else ():
            label = pbs_words.text(value)
            # An amount is no label: what a job asks for itself replaces it.
            if amount(label) is None and any(host.values(name) for host in shared):
                shared = [host for host in shared if host.has(name, label)]
        return shared


def _together(limits: Sequence[Limits], choose: Callable[[Iterable[int]], int]) -> Limits:
    """Limits that all hold: of each amount the one that `choose` takes."""
    keys = {key for each in limits for key in each}
    return {key: choose(each[key] for each in limits if key in each) for key in keys}


def queue_of(name: str, attributes: Attributes, server: Server) -> Queue:
    """A queue, with the server's limits where it has none itself."""
    return Queue(
        name=name,
        attributes=attributes,
        most=_limits("resources_max", attributes, server.attributes),
        least=_limits("resources_min", attributes, {}),
    )


def _limits(key: str, own: Attributes, others: Attributes) -> Limits:
    """Limits of `own`; of `others` where it says nothing of a resource."""
    first, second = own.get(key), others.get(key)
    values = (second if isinstance(second, dict) else {}) | (
        first if isinstance(first, dict) else {}
    )
    limits = {
        "walltime": seconds(values.get("walltime")),
        "cpus_per_task": pbs_words.number(values.get("ncpus")),
        "memory": megabytes(values.get("mem")),
        "gpus": pbs_words.number(values.get("ngpus")),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def max_queued(attributes: Attributes, person: Person) -> list[int]:
    """Every limit of a server or a queue on how many tasks may be queued."""
    found = [pbs_words.number(attributes.get("max_queuable"))]
    for key in _QUEUE_LIMITS:
        limits: dict[tuple[str, str], int] = {
            (kind, name.strip()): int(most)
            for kind, name, most in _LIMIT.findall(pbs_words.text(attributes.get(key)))
        }
        named = (("u", person.user), ("g", person.group), ("p", person.project))
        found += [
            limits.get((kind, name), limits.get((kind, "PBS_GENERIC")))
            for kind, name in named
            if name is not None
        ]
        found.append(limits.get(("o", "PBS_ALL")))
    return [most for most in found if most is not None]


def _admitted(who: str, entries: object) -> bool:
    """Whether a list lets somebody in (openpbs, acl_check of src/lib/Libattr/attr_fn_acl.c)."""
    default = False
    for entry in words_in(entries):
        name = entry.lstrip("+-").partition("@")[0]
        if entry in ("+", "-"):
            default = entry == "+"
        elif name in ("", "*", who):
            return not entry.startswith("-")
    return default
