"""What a state, an exit status and a comment of PBS mean for one task."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.queue import SubmittedJob, TaskState, TaskWord
from slidearray.schedulers.pbs_states import STATUSES
from slidearray.schedulers.pbs_words import parse_job


def job(job_id: str) -> SubmittedJob:
    array = job_id.endswith("[]")
    return SubmittedJob(
        job_id=job_id, name="j.sh", attempt=1, split=0, offset=0, count=1, array=array
    )


ENDS = [
    # Exit_status, substate, comment; exit code, class
    (0, 92, "", 0, None),
    (0, 93, "", None, None),  # it contradicts itself
    (0, 91, "and terminated", None, "cancelled"),  # deleted, and its script ended well
    (75, 91, "and terminated", 75, "cancelled"),
    (75, 93, "and failed", 75, None),
    (78, 93, "and failed", 78, None),
    (137, 93, "and failed", 137, None),
    (265, 93, "and failed", -9, "out_of_memory"),
    (267, 93, "and failed", -11, None),
    (271, 93, "and failed", -15, None),
    (271, 91, "and terminated by me@host", -15, "cancelled"),
    (265, 91, "and terminated", -9, "cancelled"),
    (-29, 93, "and exceeded resource walltime", None, "timeout"),
    (-29, 91, "and terminated", None, "timeout"),  # deleted when its time was over
    (75, 93, "and exceeded resource walltime", None, "timeout"),
    (271, 93, "and exceeded resource mem", None, "out_of_memory"),
    (-28, 93, "", None, "timeout"),
    (-27, 93, "", None, "out_of_memory"),
    (-26, 91, "", None, "out_of_memory"),
    (-24, 93, "", None, None),
    (-1, 93, "", None, "node_failure"),
    (-11, 93, "", None, "node_failure"),
    (-10, 93, "", None, None),
    (-17, 93, "", None, None),
    (-99, 93, "", None, None),
    (None, 91, "", None, "cancelled"),
    (None, 93, "", None, "node_failure"),
    (None, 92, "and exceeded resource mem", None, "out_of_memory"),
    # How it was the time before says nothing.
    (1, 93, "and exceeded resource mem; run again and failed", 1, None),
]


@pytest.mark.parametrize(("status", "substate", "comment", "exit_code", "ended_by"), ENDS)
def test_an_end_is_the_class_that_it_is_meant_to_be(
    status: int | None, substate: int, comment: str, exit_code: int | None, ended_by: str | None
) -> None:
    told: dict[str, dict[str, Any]] = {
        "12": {
            "Job_Name": "j.sh",
            "job_state": "F",
            "substate": substate,
            "run_count": 1,
            "exec_host": "n1/3*8",
            "comment": f"Job run at Sun Nov 22 at 12:28 on (n1:ncpus=1) {comment}",
            **({} if status is None else {"Exit_status": status}),
        }
    }
    outcome = parse_job(told, job("12"), history=True)["12", 0].outcome
    assert outcome is not None
    assert (outcome.exit_code, outcome.ended_by) == (exit_code, ended_by)
    assert outcome.node == "n1"


@given(
    status=st.none() | st.integers(-40, 400),
    substate=st.sampled_from([70, 91, 92, 93, 51, None]),
    state=st.sampled_from("XF"),
    run_count=st.none() | st.integers(0, 25),
)
def test_success_is_told_by_state_substate_and_run_count_together(
    status: int | None, substate: int | None, state: str, run_count: int | None
) -> None:
    values = {"Exit_status": status, "substate": substate, "run_count": run_count}
    own = {"Job_Name": "j.sh", "job_state": state, **values}
    told: dict[str, dict[str, Any]] = {
        "7[].host": {"Job_Name": "j.sh", "job_state": "F", "Exit_status": 0},
        "7[0]": own,
    }
    word = parse_job(told, job("7[]"), history=True)["7[]", 0]
    assert word.outcome is not None
    succeeded = (word.outcome.exit_code, word.outcome.ended_by) == (0, None)
    assert succeeded == (status == 0 and substate == 92 and bool(run_count))
    assert word.restarts == max((run_count or 0) - 1, 0)


def test_every_negative_status_of_pbs_is_known() -> None:
    assert set(STATUSES) == set(range(-30, 0)) - {-8, -9}


def waiting(state: str, **attributes: Any) -> TaskWord:
    told = {"7.host": {"Job_Name": "j.sh", "job_state": state, **attributes}}
    return parse_job(told, job("7"), history=True)["7", 0]


@pytest.mark.parametrize(
    ("state", "attributes", "reason"),
    [
        ("H", {"Hold_Types": "u"}, "held"),
        ("H", {"Hold_Types": "su", "depend": "afterany:6[].host@host"}, "held"),
        ("H", {"Hold_Types": "s", "depend": "afterany:6[].host@host"}, "Dependency"),
        (
            "H",
            {"Hold_Types": "s", "comment": "job held, too many failed attempts to run"},
            "job held, too many failed attempts to run",
        ),
        (
            "H",
            {"Hold_Types": "o", "comment": "Job held by root on Sun Nov 22 12:28:47 2026"},
            "Job held by root",
        ),
        ("H", {"Hold_Types": "so"}, "held by PBS (os)"),
        ("H", {}, "held"),
        ("Q", {}, "Queued"),
        ("Q", {"comment": "Not Running: Queue not started."}, "Not Running: Queue not started."),
        ("Q", {"comment": "Job run at Sun Nov  1 at 12:28 on (n1)", "run_count": 2}, "requeued"),
        ("W", {"comment": "x"}, "Waiting"),
        ("T", {}, "in transit"),
    ],
)
def test_why_a_job_waits_is_told(state: str, attributes: dict[str, Any], reason: str) -> None:
    word = waiting(state, **attributes)
    assert (word.state, word.reason) == (TaskState.PENDING, reason)
    assert word.restarts == attributes.get("run_count", 0)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        ({"job_state": "H", "Hold_Types": "su", "depend": "afterany:6.host@host"}, "held"),
        ({"job_state": "H", "Hold_Types": "s", "depend": "afterany:6.host@host"}, "Dependency"),
        ({"job_state": "Q", "Hold_Types": "n", "comment": "Not Running: x"}, "Not Running: x"),
        ({"job_state": "B", "Hold_Types": "n", "comment": "Job Array Began at x"}, "Queued"),
        ({"job_state": "B", "Hold_Types": "u", "comment": "Job Array Began at x"}, "held"),
    ],
)
def test_a_task_that_waits_has_the_reason_of_its_array(array: dict[str, Any], reason: str) -> None:
    # qstat shows its tasks as queued, with the attributes of the array.
    told = {"7[].host": {"Job_Name": "j.sh", **array}}
    told["7[0].host"] = {**told["7[].host"], "job_state": "Q", "substate": 10}
    word = parse_job(told, job("7[]"), history=True)["7[]", 0]
    assert word == TaskWord(state=TaskState.PENDING, reason=reason)


@pytest.mark.parametrize("state", ["M", "Z", ""])
def test_a_state_that_says_nothing_is_unknown_and_nothing_follows_from_it(state: str) -> None:
    assert waiting(state).state is TaskState.UNKNOWN


@pytest.mark.parametrize("state", ["R", "S", "U", "E"])
def test_a_job_that_has_begun_and_not_ended_runs(state: str) -> None:
    word = waiting(state, run_count=3, Exit_status=0)
    assert (word.state, word.restarts, word.outcome) == (TaskState.RUNNING, 2, None)
