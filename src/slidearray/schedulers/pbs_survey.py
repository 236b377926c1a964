"""A PBS cluster, held against profiles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.queue import QueueLimits
from slidearray.errors import SchedulerError
from slidearray.schedulers import pbs_fit, pbs_questions, pbs_words
from slidearray.schedulers.pbs_parts import Cluster, Person, hosts_of, max_queued, queue_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slidearray.core.profile import Profile
    from slidearray.schedulers.cluster import Problem, Tell
    from slidearray.schedulers.pbs_parts import Host, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsSurvey:
    """What qstat and pbsnodes told."""

    cluster: Cluster
    user: str

    @property
    def name(self) -> str:
        """The server's."""
        return self.cluster.server.name

    @property
    def version(self) -> str:
        """pbs_version."""
        return self.cluster.server.version

    def problems(self, profile: Profile) -> list[Problem]:
        """Everything in a profile that the cluster does not have, in the order of its keys."""
        return pbs_fit.problems(profile, self.cluster, person=self._person(profile))

    def unchecked(self) -> list[str]:
        """What could not be compared, and why."""
        nodes = ["nodes are not checked: pbsnodes does not answer"]
        return [
            "project and account are not checked: PBS keeps no list of them",
            *(nodes if self.cluster.hosts is None else []),
        ]

    def offers(self, profile: Profile) -> list[tuple[str, str]]:
        """Keys of a profile, and what they could be."""
        return list(self._offers(self.limits(profile)))

    def limits(self, profile: Profile) -> QueueLimits:
        """What surely holds for a profile's arrays."""
        queue = self.cluster.queue(profile.queue)
        targets = [] if queue is None else self.cluster.targets(queue)
        hosts = [host for each in targets for host in self.cluster.hosts_of(each)]
        holders = [self.cluster.server.attributes, *([queue.attributes] if queue else [])]
        queued = [most for each in holders for most in max_queued(each, self._person(profile))]
        memory_mb = [_largest([each.most.memory_mb for each in targets])]
        memory_mb += [max((host.memory_mb for host in hosts), default=None)]
        return QueueLimits(
            max_array_size=None if queue is None else self.cluster.max_array_size(queue),
            max_array_tasks=None,
            max_submit=min(queued, default=None),
            max_memory_mb=min((each for each in memory_mb if each), default=None),
            max_walltime_s=_largest([each.most.walltime_s for each in targets]),
        )

    def _person(self, profile: Profile) -> Person:
        return Person(user=self.user, group=profile.group, project=profile.project)

    def _offers(self, limits: QueueLimits) -> Iterator[tuple[str, str]]:
        default = self.cluster.queue(None)
        for queue in self.cluster.queues:
            yield "queue", _queue_text(queue, self.cluster, default=queue is default)
        for name, values in sorted(_kinds(self.cluster.hosts or ()).items()):
            yield "constraint", f"{name}={', '.join(sorted(values))}"
        if limits.max_array_size is not None:
            yield "max_array_size", f"auto is {limits.max_array_size} here"
        if limits.max_submit is not None:
            most = limits.max_submit
            yield "shards.max_tasks", f"up to {most} (of the config): so many may be queued"


def survey(tell: Tell, *, user: str) -> PbsSurvey:
    """What there is on a cluster for a user.

    Parameters
    ----------
    tell
        Runs a command.
    user
        Who would submit.

    Raises
    ------
    SchedulerError
        The server does not answer; nodes that it does not tell of are left out.
    """
    server = pbs_questions.server(tell)
    queues = pbs_questions.listing(tell, ["qstat", "-Q", "-f", "-F", "json"], "Queue")
    try:
        nodes = pbs_questions.listing(tell, ["pbsnodes", "-a", "-F", "json"], "nodes")
    except SchedulerError:
        nodes = None
    cluster = Cluster(
        server=server,
        queues=tuple(queue_of(name, each, server) for name, each in queues.items()),
        hosts=None if nodes is None else hosts_of(nodes),
    )
    return PbsSurvey(cluster=cluster, user=user)


def _largest(limits: Sequence[int | None]) -> int | None:
    """The largest limit; None when one has none, or there are none."""
    told = [each for each in limits if each is not None]
    return max(told, default=None) if len(told) == len(limits) else None


def _kinds(hosts: Sequence[Host]) -> dict[str, set[str]]:
    """Resources by which nodes differ in kind, with their values; numbers are amounts."""
    kinds: dict[str, set[str]] = {}
    for host in hosts:
        for name, values in host.resources.items():
            if name not in pbs_fit.NO_CONSTRAINT and not any(map(_is_amount, values)):
                kinds.setdefault(name, set()).update(values)
    return kinds


def _is_amount(value: str) -> bool:
    return value[:1].isdigit() and pbs_words.number(value.rstrip("kmgtpbwKMGTPBW")) is not None


def _queue_text(queue: Queue, cluster: Cluster, *, default: bool) -> str:
    marks = [
        *(["default"] if default else []),
        *([] if queue.enabled else ["not enabled"]),
        *([] if queue.started else ["not started"]),
        *(["only from routing queues"] if queue.only_routed else []),
    ]
    if queue.routes:
        marks.append(f"goes on to {', '.join(queue.routes_to)}")
    else:
        marks.append(pbs_fit.described_limits(queue.most))
        kinds = Counter(map(pbs_fit.described, cluster.hosts_of(queue)))
        marks += [f"{count} node{'s' * (count > 1)} of {kind}" for kind, count in kinds.items()]
    return f"{queue.name}: {'; '.join(marks)}"
