"""Arrays within what PBS takes, the arguments of its commands, and what they answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.jobs import profile

from slidearray.core.queue import QueueLimits, TaskState
from slidearray.core.shapes import Shape
from slidearray.errors import SchedulerError
from slidearray.schedulers.answers import Accepted
from slidearray.schedulers.pbs import DEFAULT_MAX_ARRAY_SIZE, PbsDialect
from slidearray.schedulers.pbs_refusals import explain
from slidearray.schedulers.pbs_rules import refused_range
from slidearray.schedulers.pbs_states import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.schedulers.arrays import ArrayJob

PBS = PbsDialect()
SHAPE = Shape(cpus=2, memory_mb=2048, walltime_s=60)
RECORDED = Path(__file__).with_name("openpbs_json")


def limits(most: int | None) -> QueueLimits:
    return QueueLimits(max_array_size=most, max_array_tasks=None, max_submit=None)


def arrays(
    count: int, *, most: int | None = None, max_running: int | None = None, size: object = "auto"
) -> list[ArrayJob]:
    keys = {"scheduler": "pbs", "max_array_size": size, "max_running": max_running}
    return PBS.arrays(
        [SHAPE] * count, profile=profile(**keys), token="abcdef", attempt=1, limits=limits(most)
    )


@given(
    count=st.integers(1, 60),
    most=st.none() | st.integers(1, 20),
    max_running=st.none() | st.integers(1, 30),
)
def test_every_slot_is_in_one_job_that_pbs_takes(
    count: int, most: int | None, max_running: int | None
) -> None:
    jobs = arrays(count, most=most, max_running=max_running)
    assert [(job.offset, job.count) for job in jobs] == [
        (sum(each.count for each in jobs[:k]), job.count) for k, job in enumerate(jobs)
    ]
    assert sum(job.count for job in jobs) == count
    for job in jobs:
        assert (job.array is None) == (job.count == 1)
        if job.array is not None:
            assert refused_range(job.array, max_array_size=most or DEFAULT_MAX_ARRAY_SIZE) == ""
            assert job.array.startswith(f"0-{job.count - 1}")


def test_a_server_that_says_nothing_takes_ten_thousand() -> None:
    assert [job.array for job in arrays(10_002)] == ["0-9999", "0-1"]


def test_one_slot_is_a_plain_job_and_so_is_each_where_there_are_no_arrays() -> None:
    assert [job.array for job in arrays(1)] == [None]
    assert [job.array for job in arrays(3, most=2)] == ["0-1", None]
    assert [job.array for job in arrays(3, size=0)] == [None, None, None]


def test_a_throttle_holds_over_all_jobs_together() -> None:
    assert [job.array for job in arrays(6, most=3, max_running=4)] == ["0-2%2", "0-2%2"]
    chained = arrays(6, most=2, max_running=2)
    assert [(job.array, job.after) for job in chained] == [
        ("0-1%1", None),
        ("0-1%1", None),
        ("0-1%1", 0),
    ]


def test_a_job_is_submitted_held_behind_others() -> None:
    argv = PBS.submit_argv(Path("/run/job.sh"), name="sa-1", after=["1[]", "2"], held=True)
    assert argv == [
        "qsub", "-f", "-h", "-N", "sa-1", "-W", "depend=afterany:1[]:2", "/run/job.sh",
    ]  # fmt: skip
    assert PBS.submit_argv(Path("-x"), name="sv-1", held=False) == [
        "qsub", "-f", "-N", "sv-1", "./-x",
    ]  # fmt: skip


def test_qsub_cannot_be_asked_without_submitting() -> None:
    assert PBS.rehearse_argv(Path("job.sh")) is None


@pytest.mark.parametrize(
    ("stdout", "job_id"),
    [
        ("1[].pbshost\n", "1[]"),
        ("0.pbshost\n", "0"),
        ("123.a.b.c\n", "123"),
        ("Checking your quota: 5.5 TB\nWelcome\n77[].pbs\n\n", "77[]"),
        ("5.quota\n77[].pbs\n", "77[]"),
        ("", None),
        ("qsub: submitted\n", None),
        ("7[3].pbs\n", "7[3]"),
    ],
)
def test_the_id_is_read_from_what_qsub_prints(stdout: str, job_id: str | None) -> None:
    expected = None if job_id is None else Accepted(job_id=job_id)
    assert PBS.parse_accepted(stdout) == expected


def test_the_tasks_of_a_script_are_counted() -> None:
    assert PBS.tasks_of("#!/bin/bash\n#PBS -J 0-41%3\n") == 42
    assert PBS.tasks_of("#!/bin/bash\n#PBS -N x\n") == 1


def test_a_limit_is_told_with_what_a_person_has() -> None:
    refusal = explain("qsub: would exceed complex's per-user limit")
    told = refusal.counted(queued=90, added=20, most=100)
    assert "90 tasks of yours are queued, 20 were to follow, and the limit is 100" in str(told)
    for queued in (10, 80):  # what fits is not the reason, also where nothing is left over
        assert refusal.counted(queued=queued, added=20, most=100) == refusal
    assert refusal.counted(queued=81, added=20, most=100) != refusal


def test_each_job_is_cancelled_by_a_qdel_of_its_own() -> None:
    assert PBS.cancellations(["1[]", "2"]) == [["qdel", "1[]"], ["qdel", "2"]]
    assert PBS.cancellations([]) == []


def test_a_job_that_is_over_need_not_be_cancelled() -> None:
    assert PBS.forgives("qdel: Job has finished 3.host\n")
    assert not PBS.forgives("qdel: Unauthorized Request  3.host\n")


class Selecting:
    """A server that answers qselect: the jobs of each name, those that ended apart."""

    def __init__(self, *, history: bool) -> None:
        self.history = history
        self.asked: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> str:
        self.asked.append(list(argv))
        ids = {"sa-1": ["4[].host"], "sa-2": []}.get(argv[-1], [])
        over = {"sa-1": [], "sa-2": ["5.host"]}.get(argv[-1], [])
        if "-x" in argv:  # without a history it prints nothing, and that is no error
            ids = [*ids, *over] if self.history else []
        return "".join(f"{job_id}\n" for job_id in ids)


@pytest.mark.parametrize(
    ("history", "ended", "found"),
    [
        (True, False, {"sa-1": ["4[]"]}),
        (True, True, {"sa-1": ["4[]"], "sa-2": ["5"]}),
        (False, True, {"sa-1": ["4[]"]}),
        (False, False, {"sa-1": ["4[]"]}),
    ],
)
def test_jobs_are_found_by_name_with_and_without_a_history(
    *, history: bool, ended: bool, found: dict[str, list[str]]
) -> None:
    server = Selecting(history=history)
    assert PBS.find(server, ["sa-1", "sa-2", "sa-3"], ended=ended) == found
    assert server.asked[0] == ["qselect", "-N", "sa-1"]


def test_tasks_are_counted_by_ones_and_arrays_are_not_tasks() -> None:
    waits_or_runs = (TaskState.PENDING, TaskState.RUNNING)
    alive = {name for name, state in STATES.items() if state.task in waits_or_runs} - {"B"}

    def tell(argv: Sequence[str]) -> str:
        assert argv[:2] == ["qselect", "-T"]
        assert argv[-2:] == ["-u", "me"]
        assert argv[2] == "-s"
        assert sorted(argv[3]) == sorted(alive)
        return "2047.pbshost\n2048[0].pbshost\n2048[1].pbshost\n"

    assert PBS.count(tell, user="me") == 3


def test_a_job_waits_for_its_release_as_long_as_a_person_holds_it() -> None:
    held = json.loads((RECORDED / "array_held.json").read_text())

    def tell(argv: Sequence[str]) -> str:
        job_id = argv[-1]
        if job_id == "9":
            raise SchedulerError("qstat: Unknown Job Id 9.pbshost")
        if job_id == "8[]":
            raise SchedulerError("qstat: 8[].pbshost Job has finished, use -x or -H")
        kinds = {"1[]": "u", "2": "su", "3": "s", "4": "n"}[job_id]
        own = {**held["Jobs"]["203[].pbshost"], "Hold_Types": kinds}
        return json.dumps({"Jobs": {f"{job_id}.pbshost": own}})

    ids = ["1[]", "2", "3", "4", "8[]", "9"]
    assert PBS.held(tell, ids, user="me") == {"1[]", "2"}


def test_whether_a_job_is_held_is_not_guessed() -> None:
    def tell(argv: Sequence[str]) -> str:
        raise SchedulerError("qstat: cannot connect to server pbshost (errno=15010)")

    with pytest.raises(SchedulerError, match="cannot connect"):
        PBS.held(tell, ["1"], user="me")


def test_no_two_tasks_of_an_attempt_share_an_id_and_arrays_have_their_form() -> None:
    jobs = arrays(7, most=3)
    environments = [PBS.task_environment(job, task) for job in jobs for task in range(job.count)]
    assert len({each["PBS_JOBID"] for each in environments}) == 7
    for each in environments:
        assert re.fullmatch(r"[0-9]+(\[[0-9]+\])?", each["PBS_JOBID"])
        assert each["PBS_ENVIRONMENT"] == "PBS_BATCH"
        if "PBS_ARRAY_INDEX" in each:
            array_id, index = each["PBS_ARRAY_ID"], each["PBS_ARRAY_INDEX"]
            assert each["PBS_JOBID"] == array_id.replace("[]", f"[{index}]")
    assert "PBS_ARRAY_ID" not in PBS.task_environment(jobs[-1], 0)
    assert environments[0]["NCPUS"] == environments[0]["OMP_NUM_THREADS"] == "2"
