"""A SLURM cluster, held against profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.schedulers import slurm_cluster, slurm_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.schedulers.cluster import Problem
    from slidearray.schedulers.slurm_parts import Cluster, Partition


@dataclass(frozen=True, slots=True)
class SlurmSurvey:
    """What scontrol and sacctmgr told."""

    cluster: Cluster

    @property
    def name(self) -> str:
        """ClusterName."""
        return self.cluster.name

    @property
    def version(self) -> str:
        """SLURM_VERSION."""
        return self.cluster.version

    def problems(self, profile: Profile) -> list[Problem]:
        """Everything in a profile that the cluster does not have, in the order of its keys."""
        return slurm_fit.problems(profile, self.cluster)

    def unchecked(self) -> list[str]:
        """What could not be compared, and why."""
        if self.cluster.associations is not None:
            return []
        return ["account and qos are not checked: the accounting (sacctmgr) does not answer"]

    def offers(self, profile: Profile) -> list[tuple[str, str]]:
        """Keys of a profile, and what they could be."""
        return list(_offers(self.cluster, self.limits(profile).max_submit))

    def limits(self, profile: Profile) -> QueueLimits:
        """What surely holds for a profile's arrays."""
        return slurm_cluster.limits_of(self.cluster, profile)


def _offers(cluster: Cluster, max_submit: int | None) -> Iterator[tuple[str, str]]:
    """What the keys of a profile could be."""
    for partition in cluster.partitions:
        yield "partition", _partition_text(partition, cluster)
    for account in cluster.associations or ():
        default = " (default)" if account.default else ""
        where = f" in {account.partition}" if account.partition else ""
        qos = f", qos {', '.join(account.qos)}" if account.qos else ""
        yield "account", f"{account.account}{default}{where}{qos}"
    if features := {feature for node in cluster.nodes for feature in node.features}:
        yield "constraint", ", ".join(sorted(features))
    if cluster.reservations:
        yield "reservation", ", ".join(cluster.reservations)
    sizes = [each for each in (cluster.max_array_size, cluster.max_array_tasks) if each is not None]
    if sizes:
        yield "max_array_size", f"auto is {min(sizes)} here"
    if max_submit is not None:
        yield "shards.max_tasks", f"up to {max_submit} (of the config): so many may be queued"


def _partition_text(partition: Partition, cluster: Cluster) -> str:
    nodes = cluster.nodes_of([partition])
    kinds: dict[str, int] = {}
    for node in nodes:
        kinds[slurm_fit.described(node)] = kinds.get(slurm_fit.described(node), 0) + 1
    limit = (
        "no limit" if partition.max_time_s is None else f"at most {_hours(partition.max_time_s)}"
    )
    marks = [
        *(["default"] if partition.default else []),
        *([partition.state] if partition.state != "UP" else []),
        limit,
        *(f"{count} node{'s' * (count > 1)} of {kind}" for kind, count in kinds.items()),
    ]
    return f"{partition.name}: {'; '.join(marks)}"


def _hours(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
