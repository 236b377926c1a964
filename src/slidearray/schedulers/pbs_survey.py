"""A PBS cluster, held against profiles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.queue import QueueLimits
from slidearray.errors import SchedulerError
from slidearray.schedulers import pbs_fit, pbs_questions
from slidearray.schedulers.pbs_hosts import hosts_of
from slidearray.schedulers.pbs_parts import Cluster, Person, max_queued, queue_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slidearray.core.profile import Profile
    from slidearray.schedulers.cluster import Problem, Tell
    from slidearray.schedulers.pbs_hosts import Host
    from slidearray.schedulers.pbs_parts import Queue, Way


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
        queue, person = self.cluster.queue(profile.queue), self._person(profile)
        holders = [self.cluster.server.attributes, *([queue.attributes] if queue else [])]
        queued = [most for each in holders for most in max_queued(each, person)]
        any_memory, any_walltime = (
            pbs_fit.ways_of_arrays(profile, self.cluster, person=person, whatever=key)
            for key in ("memory", "walltime")
        )
        return QueueLimits(
            max_array_size=pbs_fit.max_array_size(profile, self.cluster, person=person),
            max_array_tasks=None,
            # A queue that is routed to and full is tried again later: it does not count.
            max_submit=min(queued, default=None),
            max_memory_mb=pbs_fit.widest([self._memory_mb(way) for way in any_memory]),
            max_walltime_s=pbs_fit.widest([way.most.get("walltime") for way in any_walltime]),
        )

    def _memory_mb(self, way: Way) -> int | None:
        hosts = self.cluster.hosts_of([way]) or ()
        told = [way.most.get("memory"), max((host.memory_mb for host in hosts), default=None)]
        return min((each for each in told if each), default=None)

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


def _kinds(hosts: Sequence[Host]) -> dict[str, set[str]]:
    """Resources by which nodes differ in kind, with their values; amounts are none."""
    kinds: dict[str, set[str]] = {}
    for host in hosts:
        for name, values in host.resources.items():
            if name not in pbs_fit.NO_CONSTRAINT and name not in host.amounts:
                kinds.setdefault(name, set()).update(values)
    return kinds


def _queue_text(queue: Queue, cluster: Cluster, *, default: bool) -> str:
    marks = [
        *(["default"] if default else []),
        *([] if queue.enabled else ["not enabled"]),
        *([] if queue.started else ["not started"]),
        *(["only from routing queues"] if queue.only_routed else []),
    ]
    if queue.routes:
        marks.append(f"goes on to {', '.join(queue.routes_to)}")
        marks += [pbs_fit.described_limits(queue.most)] if queue.most else []
    else:
        marks.append(pbs_fit.described_limits(queue.most))
        kinds = Counter(map(pbs_fit.described, cluster.hosts_in(queue)))
        marks += [f"{count} node{'s' * (count > 1)} of {kind}" for kind, count in kinds.items()]
    return f"{queue.name}: {'; '.join(marks)}"
