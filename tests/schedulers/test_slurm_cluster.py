"""What a cluster has is read as it is meant, and a profile that wants more is told all at once.

The answers are those of SLURM 22.05.8 with three nodes, and two accounts of the user.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.jobs import profile

from slidearray.errors import SchedulerError
from slidearray.schedulers.slurm_cluster import gpus_of, limits_of, longest, survey
from slidearray.schedulers.slurm_fit import host_names, problems
from slidearray.schedulers.slurm_parts import Association, Cluster, Partition, Qos

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDED = Path(__file__).with_name("recorded")
USERS = "testcluster|root|lab||normal,short6,tiny||7\ntestcluster|root|root||normal||\n"
ACCOUNTS = {"lab": "|9\nnobody|\nroot|\n", "root": "|\nroot|\n"}
QOS = "normal||||\nshort6|3|||00:05:00\ntiny||||00:05:00\n"


def tell(argv: Sequence[str]) -> str:
    """The recorded answer to a command."""
    if argv[0] == "scontrol":
        name = {"config": "config", "partition": "partitions", "node": "nodes"}.get(argv[-1])
        text = (RECORDED / f"{name}-22.05.8.txt").read_text() if name else ""
        return text or "No reservations in the system\n"
    if "qos" in argv:
        return QOS
    if "user" in argv:
        return USERS
    account = next(word for word in argv if word.startswith("account="))
    return ACCOUNTS[account.removeprefix("account=")]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return survey(tell, user="root")


@pytest.mark.parametrize(
    ("limits", "qos", "most"),
    [((60, 90), None, 90), ((60, None), None, None), ((60, None), "short", 30), ((), None, None)],
)
def test_a_task_may_have_the_time_of_its_longest_partition_within_its_qos(
    limits: tuple[int | None, ...], qos: str | None, most: int | None
) -> None:
    found = replace(survey(tell, user="me"), qos=(Qos(name="short", max_time_s=30),))
    own = [
        Partition(name=str(k), default=False, state="UP", max_time_s=limit)
        for k, limit in enumerate(limits)
    ]
    assert longest(found, qos, own) == most


def test_the_configuration_is_read(cluster: Cluster) -> None:
    assert (cluster.name, cluster.version) == ("testcluster", "22.05.8")
    assert (cluster.max_array_size, cluster.max_array_tasks) == (1001, None)
    assert (cluster.forgets_after_s, cluster.private) == (300.0, False)
    assert cluster.enforces == {"associations", "limits", "qos"}


def test_partitions_and_nodes_are_read(cluster: Cluster) -> None:
    assert cluster.partitions[0] == Partition(
        name="main", default=True, state="UP", max_time_s=86400
    )
    assert [each.max_time_s for each in cluster.partitions] == [86400, 60, 86400]
    first = cluster.nodes[0]
    assert (first.name, first.cpus, first.memory_mb) == ("c1", 8, 8000)
    assert first.gpus == {"fake": 4}
    assert first.partitions == {"main", "short", "one"}
    assert cluster.reservations == ()


def test_accounts_and_their_limits_are_read(cluster: Cluster) -> None:
    assert cluster.associations == (
        Association(
            account="lab",
            default=False,
            partition="",
            qos=("normal", "short6", "tiny"),
            max_submit=7,
            account_max_submit=9,
        ),
        Association(account="root", default=True, partition="", qos=("normal",)),
    )
    assert cluster.qos
    assert cluster.qos[1] == Qos(name="short6", max_submit=3, max_time_s=300)


def test_a_cluster_without_accounting_tells_the_rest() -> None:
    def without_accounting(argv: Sequence[str]) -> str:
        if argv[0] == "sacctmgr":
            raise SchedulerError("sacctmgr: not found")
        return tell(argv)

    found = survey(without_accounting, user="root")
    assert (found.associations, found.qos) == (None, None)
    assert len(found.nodes) == 3
    assert limits_of(found, profile()).max_submit is None


def test_what_other_versions_write_is_read() -> None:
    assert gpus_of("gpu:a100:4(S:0-1),gpu:v100:2(S:0),nvme:1") == {"a100": 4, "v100": 2}

    def of_other_site(argv: Sequence[str]) -> str:
        if argv[-1] == "config":
            return (
                "SchedulerParameters     = bf_window=10,max_array_tasks=500,defer\n"
                "MinJobAge               = 0 sec\nPrivateData = jobs,usage\n"
            )
        if argv[-1] == "node":
            return (
                "NodeName=g1 CPUTot=64 CPUEfctv=60 RealMemory=512000 MemSpecLimit=4096 "
                "AvailableFeatures=a100,ib Gres=(null) Partitions=gpu State=DOWN "
                "Reason=replaced Gres=gpu:none:9 [root@2026-01-01T00:00:00]\n"
            )
        return (
            tell(argv)
            if argv[-1] != "partition"
            else (
                "PartitionName=gpu AllowAccounts=lab,x DenyQos=long QoS=gpuq MaxTime=UNLIMITED "
                "MaxMemPerNode=400000 State=DRAIN\n"
            )
        )

    found = survey(of_other_site, user="root")
    assert (found.max_array_size, found.max_array_tasks) == (None, 500)
    assert (found.forgets_after_s, found.private) == (None, True)
    (node,) = found.nodes
    assert (node.cpus, node.memory_mb, node.gpus) == (60, 512000 - 4096, {})
    assert node.features == {"a100", "ib"}
    (partition,) = found.partitions
    assert partition.accounts == frozenset({"lab", "x"})
    assert partition.denied_qos == {"long"}
    assert (partition.own_qos, partition.max_time_s, partition.state) == ("gpuq", None, "DRAIN")
    assert limits_of(found, profile(partition="gpu")).max_memory_mb == 400000


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"account": "lab"}, 7),
        ({"account": "lab", "qos": "short6"}, 3),  # the qos comes before the user
        ({"account": "lab", "qos": "tiny"}, 7),
        ({}, None),  # the default account has none
        ({"account": "nope"}, None),
    ],
)
def test_the_submit_limit_is_the_first_that_is_set(
    cluster: Cluster, keys: dict[str, str], expected: int | None
) -> None:
    assert limits_of(cluster, profile(**keys)).max_submit == expected


def test_limits_that_nobody_enforces_are_none(cluster: Cluster) -> None:
    free = replace(cluster, enforces=frozenset({"none"}))
    assert limits_of(free, profile(account="lab")).max_submit is None


def test_a_group_s_limit_holds_beside_a_user_s(cluster: Cluster) -> None:
    assert cluster.associations
    lab = replace(cluster.associations[0], max_submit=20)
    found = limits_of(replace(cluster, associations=(lab,)), profile(account="lab"))
    assert found.max_submit == 9


def test_a_profile_that_fits_has_no_problem(cluster: Cluster) -> None:
    fitting = profile(
        account="lab", partition="main,one", qos="tiny", walltime=5, memory="8000M", gpus="fake:4",
        cpus_per_task=8, nodelist="c1", exclude="c[2-3]", max_array_size=1001,
        advance_job={"walltime": 5},
    )  # fmt: skip
    assert problems(fitting, cluster) == []


@pytest.mark.parametrize(
    ("keys", "key", "found", "accepted"),
    [
        ({"partition": "gpu"}, "partition", "gpu", "main, one, short"),
        ({"partition": "short"}, "walltime", "01:00:00", "at most 00:01:00"),
        ({"qos": "short6", "account": "lab"}, "walltime", "01:00:00", "at most 00:05:00"),
        ({"cpus_per_task": 9}, "cpus_per_task", "9", "at most 8"),
        ({"memory": "8G"}, "memory", "8192M", "at most 8000M"),
        ({"gpus": 5}, "gpus", "5", "at most 4"),
        ({"gpus": "a100:1"}, "gpus", "type a100", "fake"),
        ({"account": "nope"}, "account", "nope", "lab, root"),
        ({"qos": "tiny", "account": "root", "walltime": 1}, "qos", "tiny", "normal"),
        ({"reservation": "r"}, "reservation", "r", "none"),
        ({"constraint": "a100|ib"}, "constraint", "a100", "none"),
        ({"nodelist": "c[1-2]"}, "nodelist", "2 nodes", "one node"),
        ({"nodelist": "c9"}, "nodelist", "c9", "c1, c2, c3"),
        ({"nodelist": "c2", "partition": "one"}, "nodelist", "c2, which is not in", "c1"),
        ({"exclude": "c1,d[1-2]"}, "exclude", "d1", "c1, c2, c3"),
        ({"max_array_size": 2000}, "max_array_size", "2000", "at most 1001"),
        ({"advance_job": {"memory": "9G"}}, "advance_job.memory", "9216M", "at most 8000M"),
        (
            {"advance_job": {"partition": "tiny"}},
            "advance_job.partition",
            "tiny",
            "main, one, short",
        ),
    ],
)
def test_what_a_cluster_does_not_have_is_told_with_its_key(
    cluster: Cluster, keys: dict[str, object], key: str, found: str, accepted: str
) -> None:
    told = problems(profile(**keys), cluster)
    assert told[0].key == key
    assert found in told[0].found
    assert accepted in told[0].accepted


def test_all_problems_are_told_at_once(cluster: Cluster) -> None:
    bad = profile(partition="gpu,main", memory="9G", account="nope", exclude="x", gpus=9)
    keys = [problem.key for problem in problems(bad, cluster)]
    assert keys == ["partition", "exclude", "memory", "gpus", "account"]


def test_what_no_single_node_has_together_is_told(cluster: Cluster) -> None:
    plain, large = cluster.nodes[0], replace(cluster.nodes[1], gpus={}, memory_mb=64000)
    mixed = replace(cluster, nodes=(plain, large))
    (problem,) = problems(profile(memory="32G", gpus=1), mixed)
    assert problem.found == "1 CPUs, 32768M and 1 GPUs together"
    assert problem.accepted == "8 CPUs, 64000M, 8 CPUs, 8000M, 4 fake GPUs"


def test_a_partition_that_takes_no_jobs_or_not_from_this_account_is_told(cluster: Cluster) -> None:
    closed = replace(
        cluster.partitions[0],
        state="DRAIN",
        accounts=frozenset({"x"}),
        denied_qos=frozenset({"normal"}),
    )
    found = replace(cluster, partitions=(closed,), enforces=frozenset())
    told = problems(profile(account="lab", qos="normal"), found)
    assert [(each.key, each.accepted) for each in told] == [
        ("partition", "none: the cluster has none"),
        ("account", "x"),
        ("qos", "not normal"),
    ]


def test_where_accounts_are_not_enforced_any_is_taken(cluster: Cluster) -> None:
    free = replace(cluster, enforces=frozenset({"none"}))
    assert problems(profile(account="nope", qos="nope"), free) == []


def test_without_a_default_partition_one_has_to_be_named(cluster: Cluster) -> None:
    none = replace(
        cluster, partitions=tuple(replace(each, default=False) for each in cluster.partitions)
    )
    problem = problems(profile(), none)[0]
    assert (problem.key, problem.found) == ("partition", "none, and no default")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("c1", ["c1"]),
        ("c1,d-2.x", ["c1", "d-2.x"]),
        ("c[1-3,7]", ["c1", "c2", "c3", "c7"]),
        ("n[008-010]", ["n008", "n009", "n010"]),
        ("", []),
    ],
)
def test_lists_of_nodes_are_spelled_out(text: str, names: list[str]) -> None:
    assert host_names(text) == names
