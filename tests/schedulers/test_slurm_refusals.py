"""SLURM's own words are shown, and what to change stands behind them."""

from __future__ import annotations

import pytest

from slidearray.schedulers.answers import RefusalKind
from slidearray.schedulers.slurm_refusals import advice_for, explain

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = (
    f"{FAILED}Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)\n"
)
CONFIGURATION = f"{FAILED}Requested node configuration is not available\n"
RETRYING = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"

#: As sbatch, squeue and scontrol of SLURM 22.05.8 printed them.
SEEN_22_05_8 = [
    (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}", "limit", "shards.max_tasks"),
    (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", "limit", "shards.max_tasks"),
    (f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}", "limit", "shards.max_tasks"),
    (f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}", "final", "cpus_per_task"),
    (f"{FAILED}Invalid job array specification\n", "limit", "max_array_size"),
    (
        f"sbatch: error: invalid partition specified: nope\n{FAILED}Invalid partition name "
        "specified\n",
        "final",
        "`partition`",
    ),
    (
        f"{FAILED}Invalid account or account/partition combination specified\n",
        "final",
        "`account`",
    ),
    (f"{FAILED}Invalid qos specification\n", "final", "`qos`"),
    (f"{FAILED}Requested reservation is invalid\n", "final", "`reservation`"),
    (f"{FAILED}Invalid feature specification\n", "final", "`constraint`"),
    (f"{FAILED}Invalid node name specified\n", "final", "`nodelist` or `exclude`"),
    (
        f"sbatch: error: Memory specification can not be satisfied\n{CONFIGURATION}",
        "final",
        "`memory`",
    ),
    (CONFIGURATION, "final", "`cpus_per_task`, that `memory` and those `gpus`"),
    ("allocation failure: Requested node configuration is not available\n", "final", "`gpus`"),
    (f"{FAILED}Invalid license specification\n", "final", "`directives`"),
    ("sbatch: error: Invalid --gres specification\n", "final", "`directives`"),
    (
        "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
        "sbatch: error: instead of expected UNIX line breaks (\\n).\n",
        "final",
        "template",
    ),
    ("sbatch: error: This does not look like a batch script.  The first\n", "final", "template"),
    (f"{FAILED}Socket timed out on send/recv operation\n", "temporary", "try again"),
    (
        f"{FAILED}Unable to contact slurm controller (connect failure)\n",
        "temporary",
        "does not answer",
    ),
    ("slurm_load_jobs error: Socket timed out on send/recv operation\n", "temporary", "answer"),
    ("slurm_suspend error: Unexpected message received\n", "temporary", "answer"),
    (
        "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection "
        "to host:127.0.0.1:17201: Connection refused\n",
        "temporary",
        "answer",
    ),
    (f"{RETRYING}{FAILED}Resource temporarily unavailable\n", "limit", "MaxJobCount"),
]
#: As they stand in its sources, and in what sites add to it.
READ = [
    (f"{FAILED}Rate limit exceeded, please retry momentarily\n", "temporary", "answer"),
    (f"{FAILED}Submission rate too high, suggest using job arrays\n", "temporary", "answer"),
    (f"{FAILED}Zero Bytes were transmitted or received\n", "temporary", "answer"),
    (f"{FAILED}Slurm backup controller in standby mode\n", "temporary", "answer"),
    ("sbatch: error: fork: Resource temporarily unavailable\n", "temporary", "answer"),
    (f"{FAILED}MaxJobCount limit reached\n", "limit", "MaxJobCount"),
    (f"{FAILED}Slurm job queue full, sleeping and retrying.\n", "limit", "MaxJobCount"),
    (f"{FAILED}System submissions disabled\n", "final", "try again later"),
    (f"{FAILED}Access/permission denied\n", "final", "login node"),
    ("sbatch: error: Job submission disabled on this host\n", "final", "login node"),
    (f"{FAILED}Protocol authentication error\n", "final", "login node"),
    (f"{FAILED}User's group not permitted to use this partition\n", "final", "`partition`"),
    (f"{FAILED}Access denied to requested reservation\n", "final", "`reservation`"),
    (
        f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)\n",
        "final",
        "`walltime`",
    ),
    (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", "final", "`walltime`"),
    (f"sbatch: error: QOSMaxMemoryPerJob\n{POLICY}", "final", "`memory`"),
    (f"sbatch: error: QOSMaxGRESPerJob\n{POLICY}", "final", "`gpus`"),
    (f"{FAILED}Invalid generic resource (gres) specification\n", "final", "`gpus`"),
    (f"{FAILED}More processors requested than permitted\n", "final", "`cpus_per_task`"),
    (POLICY, "final", "does not say which limit"),
    ("sbatch: unrecognized option '--nope'\n", "final", "`directives`"),
]


@pytest.mark.parametrize(("said", "kind", "advice"), SEEN_22_05_8 + READ)
def test_a_refusal_is_told_with_what_to_change(said: str, kind: str, advice: str) -> None:
    refusal = explain(said)
    assert refusal.kind is RefusalKind(kind)
    assert advice in refusal.advice
    assert str(refusal) == f"{refusal.words}; {refusal.advice}"


def test_its_own_words_are_said_once_and_in_one_line() -> None:
    refusal = explain(f"{RETRYING}{RETRYING}{RETRYING}{POLICY}")
    assert refusal.words == (
        "Slurm temporarily unable to accept job, sleeping and retrying, Batch job submission "
        "failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time "
        "limits)"
    )


def test_words_that_nobody_knows_are_shown_alone() -> None:
    refusal = explain("sbatch: error: The moon is full\n")
    assert (str(refusal), refusal.kind) == ("The moon is full", RefusalKind.FINAL)
    assert str(explain("")) == "it printed nothing"


@pytest.mark.parametrize(
    ("said", "of_person"),
    [
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", True),
        (POLICY, True),  # it may be
        (f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}", False),
        (f"{FAILED}MaxJobCount limit reached\n", False),
    ],
)
def test_it_is_told_where_the_number_of_tasks_may_be_the_reason(said: str, of_person: bool) -> None:
    assert explain(said).of_person is of_person


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Priority", "nothing to do"),
        ("Resources", "nothing to do"),
        ("DependencyNeverSatisfied", "resubmit"),
        ("Dependency", "have not ended"),
        ("JobHeldUser", "scontrol release"),
        ("JobHeldAdmin", "administrator"),
        ("QOSMaxJobsPerUserLimit", "starts when one of them ends"),
        ("AssocGrpCpuLimit", "starts when one of them ends"),
        ("QOSMaxWallDurationPerJobLimit", "walltime"),
        ("QOSMaxCpuPerJobLimit", "will never run"),
        ("ReqNodeNotAvail, UnavailableNodes:c3", "sinfo -R"),
        ("Reservation", "to begin"),
        ("ReservationDeleted", "is gone"),
        ("PartitionTimeLimit", "walltime"),
        ("PartitionConfig", "no node has"),
        ("BadConstraints", "no node has"),
        ("BeginTime", "by itself"),
        ("Licenses", "licence"),
        ("JobArrayTaskLimit", "max_running"),
        ("launch failed requeued held", "scontrol release"),
    ],
)
def test_a_reason_to_wait_is_told_with_what_it_means(reason: str, advice: str) -> None:
    assert advice in (advice_for(reason) or "")


def test_a_reason_that_nobody_knows_has_no_advice() -> None:
    assert advice_for("None") is None
    assert advice_for("SomethingNew") is None
