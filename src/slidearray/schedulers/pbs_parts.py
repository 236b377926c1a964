"""The parts of a cluster, as PBS tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.schedulers import pbs_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from slidearray.schedulers.pbs_questions import Server
    from slidearray.schedulers.pbs_words import Attributes

#: ``[u:PBS_GENERIC=100]``, ``[o:PBS_ALL=5000]``, ``[p:a b=7]``
_LIMIT = re.compile(r"\[\s*([ugpo]):\s*\"?([^=\]\"]+)\"?\s*=\s*([0-9]+)\s*\]")
#: Attributes that limit how many tasks may be queued; a name in one beats PBS_GENERIC.
_QUEUE_LIMITS = ("max_queued", "queued_jobs_threshold")
_UNIT_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
_SIZE = re.compile(r"([0-9]+)([kmgtp]?)([bw]?)", re.IGNORECASE)
_WORD_BYTES = 8
_MB_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose jobs they are; limits and lists go by it."""

    user: str
    group: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may ask for; None: no limit."""

    walltime_s: int | None = None
    memory_mb: int | None = None
    cpus: int | None = None
    gpus: int | None = None


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
class Host:
    """One machine: a chunk may take from all its parts."""

    name: str
    cpus: int
    memory_mb: int
    gpus: int
    queue: str = ""  # that it works for alone
    resources: Mapping[str, frozenset[str]] = field(default_factory=dict)  # texts and switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a server tells; hosts None: it does not tell."""

    server: Server
    queues: tuple[Queue, ...]
    hosts: tuple[Host, ...] | None

    def queue(self, name: str | None) -> Queue | None:
        """The queue of a name, or the one of jobs that name none."""
        wanted = name or pbs_words.text(self.server.attributes.get("default_queue"))
        return next((queue for queue in self.queues if queue.name == wanted), None)

    def targets(self, queue: Queue) -> list[Queue]:
        """The queues in which a job may come to run."""
        found: dict[str, Queue] = {}
        todo = [queue]
        for each in todo:
            if each.name not in found:
                found[each.name] = each
                todo += [known for name in each.routes_to if (known := self.queue(name))]
        return [each for each in found.values() if not each.routes]

    def max_array_size(self, queue: Queue) -> int | None:
        """Tasks that an array may have in a queue: the least that it or the server says."""
        told = [each.attributes.get("max_array_size") for each in (self.server, queue)]
        return min((each for each in map(pbs_words.number, told) if each is not None), default=None)

    def hosts_of(self, queue: Queue) -> list[Host]:
        """The machines that run a queue's jobs."""
        hosts = self.hosts or ()
        own = [host for host in hosts if host.queue == queue.name]
        shared = own or [host for host in hosts if not host.queue]
        chunk = queue.attributes.get("default_chunk")
        for name, value in chunk.items() if isinstance(chunk, dict) else ():
            if any(name in host.resources for host in shared):
                shared = [
                    host
                    for host in shared
                    if pbs_words.text(value) in host.resources.get(name, frozenset())
                ]
        return shared


def queue_of(name: str, attributes: Attributes, server: Server) -> Queue:
    """A queue, with the server's limits where it has none itself."""
    return Queue(
        name=name,
        attributes=attributes,
        most=_limits("resources_max", attributes, server.attributes),
        least=_limits("resources_min", attributes, {}),
    )


def hosts_of(nodes: Mapping[str, Attributes]) -> tuple[Host, ...]:
    """The machines of a list of nodes: those on one machine are its parts."""
    parts: dict[str, list[tuple[Attributes, Attributes]]] = {}
    for name, attributes in nodes.items():
        available = attributes.get("resources_available")
        if isinstance(available, dict):
            host = pbs_words.text(available.get("host")) or name
            parts.setdefault(host, []).append((attributes, available))
    return tuple(_host(name, each) for name, each in parts.items())


def _host(name: str, parts: list[tuple[Attributes, Attributes]]) -> Host:
    values: dict[str, set[str]] = {}
    for _, available in parts:
        for resource, value in available.items():
            values.setdefault(resource, set()).update(words_in(value))
    return Host(
        name=name,
        cpus=sum(pbs_words.number(each.get("ncpus")) or 0 for _, each in parts),
        memory_mb=sum(megabytes(each.get("mem")) or 0 for _, each in parts),
        gpus=sum(pbs_words.number(each.get("ngpus")) or 0 for _, each in parts),
        queue=next((pbs_words.text(each.get("queue")) for each, _ in parts if "queue" in each), ""),
        resources={resource: frozenset(each) for resource, each in values.items()},
    )


def _limits(key: str, own: Attributes, others: Attributes) -> Limits:
    """Limits of `own`; of `others` where it says nothing of a resource."""
    first, second = own.get(key), others.get(key)
    values = (second if isinstance(second, dict) else {}) | (
        first if isinstance(first, dict) else {}
    )
    return Limits(
        walltime_s=seconds(values.get("walltime")),
        memory_mb=megabytes(values.get("mem")),
        cpus=pbs_words.number(values.get("ncpus")),
        gpus=pbs_words.number(values.get("ngpus")),
    )


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


def seconds(value: object) -> int | None:
    """A walltime: ``48:00:00``, ``30:00``, or seconds; None where there is none."""
    parts = pbs_words.text(value).partition(".")[0].split(":")
    if not all(part.isdecimal() for part in parts):
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total


def megabytes(value: object) -> int | None:
    """Mebibytes of a size: ``16gb``, ``1048576kb``, or bytes; None where there is none."""
    match = _SIZE.fullmatch(pbs_words.text(value))
    if match is None:
        return None
    unit = _WORD_BYTES if match[3].lower() == "w" else 1
    return int(match[1]) * unit * _UNIT_BYTES[match[2].lower()] // _MB_BYTES


def words_in(value: object) -> list[str]:
    """The parts of a list that is printed as one text; or of a real one."""
    texts: Iterable[object] = value if isinstance(value, list) else pbs_words.text(value).split(",")
    return [pbs_words.text(each).strip() for each in texts if pbs_words.text(each).strip()]


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
