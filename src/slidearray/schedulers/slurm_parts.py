"""The parts of a cluster, as SLURM tells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A part of the cluster, with what one job may have there; None: no limit, or all."""

    name: str
    default: bool
    state: str  # UP, or why it takes or starts no jobs
    max_time_s: int | None = None
    max_memory_mb: int | None = None  # on one node
    max_cpus: int | None = None  # on one node
    accounts: frozenset[str] | None = None  # that may use it
    denied_accounts: frozenset[str] = frozenset()
    qos: frozenset[str] | None = None  # that may be used there
    denied_qos: frozenset[str] = frozenset()
    own_qos: str | None = None  # whose limits hold for every job there


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine."""

    name: str
    partitions: frozenset[str]
    cpus: int
    memory_mb: int  # that jobs may have
    gpus: Mapping[str, int] = field(default_factory=dict)  # by type; "" where it has none
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """What one account allows this user."""

    account: str
    default: bool  # the account of jobs that name none
    partition: str  # where it holds; empty: everywhere
    qos: tuple[str, ...] = ()
    default_qos: str = ""
    max_submit: int | None = None
    account_max_submit: int | None = None  # of all its users together


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos:
    """A quality of service: limits beside those of the account, which come first."""

    name: str
    max_submit: int | None = None  # a user
    group_max_submit: int | None = None  # all users, or all of one account, together
    max_time_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a scheduler tells; None: it does not tell."""

    name: str
    version: str
    max_array_size: int | None
    max_array_tasks: int | None
    forgets_after_s: float | None  # how long ended jobs are listed; None: for ever
    private: bool  # people see their own jobs only
    enforces: frozenset[str]  # associations, limits, qos
    partitions: tuple[Partition, ...] = ()
    nodes: tuple[Node, ...] = ()
    reservations: tuple[str, ...] = ()
    associations: tuple[Association, ...] | None = None
    qos: tuple[Qos, ...] | None = None

    def partitions_of(self, names: str | None) -> list[Partition]:
        """The partitions of a list of names, or the default one; unknown names are left out."""
        if names is None:
            return [partition for partition in self.partitions if partition.default]
        return [partition for partition in self.partitions if partition.name in names.split(",")]

    def nodes_of(self, partitions: list[Partition]) -> list[Node]:
        """The nodes of any of `partitions`."""
        wanted = {partition.name for partition in partitions}
        return [node for node in self.nodes if wanted & node.partitions]
