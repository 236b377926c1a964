"""What scontrol and sacctmgr tell of a cluster, its people and its limits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from slidearray.core.queue import QueueLimits
from slidearray.errors import SchedulerError
from slidearray.schedulers.slurm_parts import Association, Cluster, Node, Partition, Qos

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slidearray.core.profile import Profile
    from slidearray.schedulers.cluster import Tell

_CONFIG = ("scontrol", "show", "config")
_ONELINER = ("scontrol", "--oneliner", "--all", "show")
_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")
_USER_FORMAT = "format=Cluster,DefaultAccount,Account,Partition,QOS,DefaultQOS,MaxSubmitJobs"
_QOS_FORMAT = "format=Name,MaxSubmitJobsPerUser,MaxSubmitJobsPerAccount,GrpSubmitJobs,MaxWall"
_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
_PAIR = re.compile(r"(\w+)=(\S*)")
_NOTHING = frozenset({"", "(null)", "N/A", "none", "UNLIMITED", "ALL", "infinite"})


def basics(tell: Tell) -> Cluster:
    """What the scheduler's own configuration tells.

    Raises
    ------
    SchedulerError
        It does not answer.
    """
    config = {
        key.strip(): value.strip()
        for key, equals, value in (line.partition("=") for line in tell(_CONFIG).splitlines())
        if equals
    }
    parameters = dict(_PAIR.findall(config.get("SchedulerParameters", "").replace(",", " ")))
    age = _number(config.get("MinJobAge", "").removesuffix(" sec"))
    return Cluster(
        name=config.get("ClusterName", ""),
        version=config.get("SLURM_VERSION", ""),
        max_array_size=_number(config.get("MaxArraySize", "")),
        max_array_tasks=_number(parameters.get("max_array_tasks", "")),
        forgets_after_s=float(age) if age else None,  # 0: ended jobs stay (slurm.conf.5)
        private="jobs" in config.get("PrivateData", "").split(","),
        enforces=frozenset(config.get("AccountingStorageEnforce", "").split(",")),
    )


def survey(tell: Tell, *, user: str) -> Cluster:
    """Everything there is; what a command that fails would have told is left out.

    Raises
    ------
    SchedulerError
        The scheduler itself does not answer.
    """
    found = basics(tell)
    partitions = _oneliners(tell((*_ONELINER, "partition")), "PartitionName")
    nodes = _oneliners(tell((*_ONELINER, "node")), "NodeName")
    found = replace(
        found,
        partitions=tuple(map(_partition, partitions)),
        nodes=tuple(map(_node, nodes)),
        reservations=tuple(
            each["ReservationName"]
            for each in _oneliners(tell((*_ONELINER, "reservation")), "ReservationName")
        ),
    )
    try:
        return replace(
            found,
            associations=tuple(_associations(tell, cluster=found.name, user=user)),
            qos=tuple(map(_qos, _rows(tell((*_SACCTMGR, "qos", _QOS_FORMAT)), 5))),
        )
    except SchedulerError:  # no accounting, or not for everybody
        return found


def limits_of(cluster: Cluster, profile: Profile) -> QueueLimits:
    """What of a cluster's limits surely holds for a profile's arrays."""
    partitions = cluster.partitions_of(profile.partition)
    nodes = [(each, own) for own in partitions for each in cluster.nodes_of([own])]
    memory = [min(node.memory_mb, own.max_memory_mb or node.memory_mb) for node, own in nodes]
    return QueueLimits(
        max_array_size=cluster.max_array_size,
        max_array_tasks=cluster.max_array_tasks,
        max_submit=_max_submit(cluster, profile, partitions),
        max_memory_mb=max(memory, default=None),
        max_walltime_s=longest(cluster, profile.qos, partitions),
        nodes=frozenset(node.name for node, _ in nodes) or None,
    )


def longest(cluster: Cluster, qos: str | None, partitions: Sequence[Partition]) -> int | None:
    """The most seconds that a task may ask for in any of `partitions`; None: no limit."""
    limits = [partition.max_time_s for partition in partitions]
    most = (
        None if None in limits else max((each for each in limits if each is not None), default=None)
    )
    of_qos = [each.max_time_s for each in cluster.qos or () if each.name == qos]
    return min((each for each in (most, *of_qos) if each is not None), default=None)


def _max_submit(cluster: Cluster, profile: Profile, partitions: Sequence[Partition]) -> int | None:
    """The first limit that is set counts: the partition's, the qos's, the user's.

    That is the order of https://slurm.schedmd.com/resource_limits.html; those of a group come
    beside those of a user.
    """
    if not {"limits", "safe"} & cluster.enforces or cluster.associations is None:
        return None
    account = association_for(cluster.associations, profile)
    own = partitions[0].own_qos if len(partitions) == 1 else None
    wanted = [own, profile.qos or (account.default_qos if account else "")]
    chain = [qos for name in wanted for qos in cluster.qos or () if name and qos.name == name]
    user = [each.max_submit for each in chain] + ([account.max_submit] if account else [])
    group = [each.group_max_submit for each in chain]
    group += [account.account_max_submit] if account else []
    first = (next((each for each in limits if each is not None), None) for limits in (user, group))
    return min((each for each in first if each is not None), default=None)


def association_for(associations: Sequence[Association], profile: Profile) -> Association | None:
    """The association of a profile's jobs: that of its account, its partition's own first."""
    of_account = [
        each
        for each in associations
        if (each.account == profile.account if profile.account else each.default)
        and each.partition in ("", profile.partition)
    ]
    return max(of_account, key=lambda each: each.partition, default=None)


def _partition(found: Mapping[str, str]) -> Partition:
    return Partition(
        name=found["PartitionName"],
        default=found.get("Default") == "YES",
        state=found.get("State", ""),
        max_time_s=_seconds(found.get("MaxTime", "")),
        max_memory_mb=_number(found.get("MaxMemPerNode", "")),
        max_cpus=_number(found.get("MaxCPUsPerNode", "")),
        accounts=_names(found.get("AllowAccounts", "")),
        denied_accounts=_names(found.get("DenyAccounts", "")) or frozenset(),
        qos=_names(found.get("AllowQos", "")),
        denied_qos=_names(found.get("DenyQos", "")) or frozenset(),
        own_qos=next(iter(_names(found.get("QoS", "")) or ()), None),
    )


def _node(found: Mapping[str, str]) -> Node:
    reserved = _number(found.get("MemSpecLimit", "")) or 0
    return Node(
        name=found["NodeName"],
        partitions=_names(found.get("Partitions", "")) or frozenset(),
        cpus=_number(found.get("CPUEfctv", "")) or _number(found.get("CPUTot", "")) or 0,
        memory_mb=(_number(found.get("RealMemory", "")) or 0) - reserved,
        gpus=gpus_of(found.get("Gres", "")),
        features=_names(found.get("AvailableFeatures", "")) or frozenset(),
    )


def gpus_of(gres: str) -> dict[str, int]:
    """GPUs by type, from a node's generic resources.

    Examples
    --------
    >>> gpus_of("gpu:a100:4(S:0-1),nvme:1"), gpus_of("gpu:2"), gpus_of("(null)")
    ({'a100': 4}, {'': 2}, {})
    """
    found: dict[str, int] = {}
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *rest = part.split(":")
        if name == "gpu" and rest and rest[-1].isdecimal():
            kind = ":".join(rest[:-1])
            found[kind] = found.get(kind, 0) + int(rest[-1])
    return found


def _associations(tell: Tell, *, cluster: str, user: str) -> list[Association]:
    found = []
    argv = (*_SACCTMGR, "user", user, "withassoc", _USER_FORMAT)
    for row in _rows(tell(argv), 7):
        of_cluster, default, account, partition, qos, default_qos, max_submit = row
        if of_cluster == cluster:
            found.append(
                Association(
                    account=account,
                    default=account == default,
                    partition=partition,
                    qos=tuple(qos.split(",")) if qos else (),
                    default_qos=default_qos,
                    max_submit=_number(max_submit),
                    account_max_submit=_account_limit(tell, cluster=cluster, account=account),
                )
            )
    return found


def _account_limit(tell: Tell, *, cluster: str, account: str) -> int | None:
    fields = "format=User,GrpSubmitJobs"
    where = ("associations", f"cluster={cluster}", f"account={account}", fields)
    rows = _rows(tell((*_SACCTMGR, *where)), 2)
    return next((_number(limit) for user, limit in rows if not user), None)


def _qos(row: Sequence[str]) -> Qos:
    name, per_user, per_account, group, wall = row
    together = [each for each in map(_number, (per_account, group)) if each is not None]
    return Qos(
        name=name,
        max_submit=_number(per_user),
        group_max_submit=min(together, default=None),
        max_time_s=_seconds(wall),
    )


def _oneliners(text: str, first: str) -> list[dict[str, str]]:
    """The pairs of each line that begins with `first`; a later one of a name is part of a text."""
    lines = [line for line in text.splitlines() if line.startswith(f"{first}=")]
    return [dict(reversed(_PAIR.findall(line))) for line in lines]


def _rows(text: str, columns: int) -> list[list[str]]:
    """What ``--parsable2`` prints; other lines are passed over."""
    rows = (line.split("|") for line in text.splitlines())
    return [row for row in rows if len(row) == columns]


def _names(text: str) -> frozenset[str] | None:
    return None if text in _NOTHING else frozenset(text.split(","))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _seconds(text: str) -> int | None:
    """Seconds of ``1-00:00:00``, ``10:00``; None of UNLIMITED."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(each or 0) for each in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
