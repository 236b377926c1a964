"""What a real OpenPBS 23.06.06 printed is read as it is meant; each recorded file is in the table.

The recorded array 201 ends in six ways, 175 is 0, 5, 0; tasks of ours are numbered from 0, and
what a server says of an array's tasks 1 to 6 is read alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.core.queue import SubmittedJob, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.schedulers.pbs_ids import bare, subjob
from slidearray.schedulers.pbs_states import STATUSES
from slidearray.schedulers.pbs_words import answer, parse_job

RECORDED = Path(__file__).with_name("openpbs_json")
NODE = "pbshost"


def job(job_id: str, name: str = "j.sh", count: int = 7) -> SubmittedJob:
    array = job_id.endswith("[]")
    return SubmittedJob(
        job_id=job_id,
        name=name,
        attempt=1,
        split=0,
        offset=0,
        count=count if array else 1,
        array=array,
    )


def jobs_of(name: str) -> dict[str, Any]:
    text = (RECORDED / f"{name}.json").read_bytes().decode(errors="replace")
    found = answer(text, "Jobs")
    assert found is not None
    return dict(found)


def words(name: str, asked: SubmittedJob, *, history: bool = True) -> dict[int, TaskWord]:
    told = parse_job(jobs_of(name), asked, history=history)
    return {task: word for (_, task), word in told.items()}


def ended(outcome: SlotOutcome, reason: str) -> TaskWord:
    return TaskWord(
        state=TaskState.ENDED, reason=reason, outcome=outcome, restarts=outcome.restarts
    )


def code(number: int) -> TaskWord:
    word = f"Exit_status {number}"
    return ended(SlotOutcome(exit_code=number, word=word, node=NODE), word)


def by(failure: FailureClass, word: str, exit_code: int | None = None) -> TaskWord:
    return ended(SlotOutcome(exit_code=exit_code, ended_by=failure, word=word, node=NODE), word)


def waits(reason: str) -> TaskWord:
    return TaskWord(state=TaskState.PENDING, reason=reason)


RUNNING = TaskWord(state=TaskState.RUNNING, reason="running")
EXITING = TaskWord(state=TaskState.RUNNING, reason="exiting")
NOT_LISTED = TaskWord(state=TaskState.UNKNOWN, reason="qstat does not list it with its array")
NEVER_BEGAN = ended(
    SlotOutcome(exit_code=None, ended_by=FailureClass.CANCELLED, word="deleted before it began"),
    "deleted before it began",
)
DELETED = by(FailureClass.CANCELLED, "terminated, Exit_status 271", exit_code=-15)
OVERTIME = by(FailureClass.TIMEOUT, "exceeded resource walltime (Exit_status -29)")

#: What each file tells of the tasks of one job, by number.
TABLE: dict[str, tuple[SubmittedJob, dict[int, TaskWord]]] = {
    "array_finished_0_5_0": (job("175[]", "sample"), {1: code(0), 2: code(5), 3: code(0)}),
    "array_finished_mixed": (
        job("201[]"),
        {1: code(0), 2: code(5), 3: DELETED, 4: code(0), 5: code(0), 6: NEVER_BEGAN},
    ),
    "array_held": (job("203[]", "p.sh", 2), {0: waits("held"), 1: waits("held")}),
    "array_parent_only": (job("201[]"), dict.fromkeys(range(7), NOT_LISTED)),
    "array_queued_subjob_deleted": (
        job("201[]"),
        {
            0: NOT_LISTED,
            1: code(0),
            2: code(5),
            3: RUNNING,
            4: RUNNING,
            5: RUNNING,
            6: NEVER_BEGAN,
        },
    ),
    "array_running_0_5_0": (
        job("175[]", "sample", 4),
        {0: NOT_LISTED, 1: EXITING, 2: RUNNING, 3: RUNNING},
    ),
    "array_running_with_queued": (
        job("201[]"),
        {
            0: NOT_LISTED,
            1: code(0),
            2: code(5),
            3: RUNNING,
            4: RUNNING,
            5: RUNNING,
            6: waits("Queued"),
        },
    ),
    "can_never_run": (
        job("205", "p.sh"),
        {0: waits("Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 8 T: 8)")},
    ),
    "dependent_deleted": (job("204", "p.sh"), {0: RUNNING}),  # qdel was quicker than the node
    "dependent_running": (job("204", "p.sh"), {0: RUNNING}),
    "dependent_waiting": (job("204", "p.sh"), {0: waits("Dependency")}),
    "finished_without_x": (job("201[]"), {}),
    "queues": (job("201[]"), {}),
    "server": (job("201[]"), {}),
    "several_ids_bug": (job("204", "p.sh"), {}),  # it was asked for 201[] and 204
    "unknown_id": (job("9999", "p.sh"), {}),
    "walltime_killed": (job("202", "p.sh"), {0: OVERTIME}),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.json")))
def test_each_recorded_answer_is_read_as_it_is_meant(name: str) -> None:
    asked, expected = TABLE[name]
    assert words(name, asked) == expected


def test_the_status_of_an_array_is_never_that_of_its_tasks() -> None:
    for name in ("array_finished_0_5_0", "array_finished_mixed"):
        asked, expected = TABLE[name]
        lying = jobs_of(name)
        for status in (0, 1, 2, -29):
            lying[f"{asked.job_id}.pbshost"]["Exit_status"] = status
            told = parse_job(lying, asked, history=True)
            assert {task: word for (_, task), word in told.items()} == expected


@pytest.mark.parametrize("status", [0, 1, -29, 271])
@pytest.mark.parametrize(("state", "substate"), [("X", 70), ("F", 91), ("F", 92), ("F", 93)])
def test_a_task_that_never_ran_has_not_succeeded_whatever_its_status(
    state: str, substate: int, status: int
) -> None:
    told = jobs_of("array_finished_mixed")
    told["201[6].pbshost"] |= {"job_state": state, "substate": substate, "Exit_status": status}
    outcome = parse_job(told, job("201[]"), history=True)["201[]", 6].outcome
    assert outcome is not None
    assert (outcome.ended_by, outcome.exit_code) == (FailureClass.CANCELLED, None)


def test_without_history_a_task_that_has_ended_looks_deleted_and_is_left_out() -> None:
    told = words("array_queued_subjob_deleted", job("201[]"), history=False)
    assert 6 not in told
    assert told[1] == code(0)


def test_another_job_that_got_the_id_is_not_ours() -> None:
    assert words("array_finished_mixed", job("201[]", "sa123456-1-0")) == {}


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
    word = parse_job(told, job("7[]", count=1), history=True)["7[]", 0]
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
    word = parse_job(told, job("7[]", count=1), history=True)["7[]", 0]
    assert word == TaskWord(state=TaskState.PENDING, reason=reason)


@pytest.mark.parametrize("state", ["M", "Z", ""])
def test_a_state_that_says_nothing_is_unknown_and_nothing_follows_from_it(state: str) -> None:
    assert waiting(state).state is TaskState.UNKNOWN


@pytest.mark.parametrize("state", ["R", "S", "U", "E"])
def test_a_job_that_has_begun_and_not_ended_runs(state: str) -> None:
    word = waiting(state, run_count=3, Exit_status=0)
    assert (word.state, word.restarts, word.outcome) == (TaskState.RUNNING, 2, None)


def test_values_of_the_environment_may_be_anything() -> None:
    raw = (RECORDED / "walltime_killed.json").read_bytes()
    odd = b'"Variable_List":\t{"T_A": 7, "X": {"Exit_status": 0}, "R": "\xff\x01\n", "N": null, '
    changed = raw.replace(b'"Variable_List":\t{', odd)
    assert changed != raw
    found = answer(changed.decode(errors="replace"), "Jobs")
    assert found is not None
    assert parse_job(found, job("202", "p.sh"), history=True) == {("202", 0): OVERTIME}


@pytest.mark.parametrize("byte", [b"\t", b"\x01", b"\n", b"\xff"])
def test_a_text_may_hold_any_byte(byte: bytes) -> None:
    raw = (RECORDED / "walltime_killed.json").read_bytes()
    changed = raw.replace(b'"Submit_arguments":\t"', b'"Submit_arguments":\t"' + byte)
    assert changed != raw
    found = answer(changed.decode(errors="replace"), "Jobs")
    assert found is not None
    assert parse_job(found, job("202", "p.sh"), history=True) == {("202", 0): OVERTIME}


@pytest.mark.parametrize("value", ["007", "1e", "0x1F", "-", "nan,", '"a" b'])
def test_an_environment_that_is_no_json_is_left_out(value: str) -> None:
    text = (RECORDED / "walltime_killed.json").read_text()
    broken = text.replace('"Variable_List":\t{', f'"Variable_List":\t{{\n\t\t"T": {value},')
    with pytest.raises(ValueError, match=r".+"):
        json.loads(broken, strict=False)
    found = answer(broken, "Jobs")
    assert found is not None
    assert parse_job(found, job("202", "p.sh"), history=True) == {("202", 0): OVERTIME}


def test_what_a_login_message_prints_around_an_answer_is_passed_over() -> None:
    text = (RECORDED / "unknown_id.json").read_text()
    assert answer(f"Welcome to the cluster!\n{text}\nbye", "Jobs") == {}


@pytest.mark.parametrize("text", ["", "qstat: error", "{", "[]", "7"])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert answer(text, "Jobs") is None


@pytest.mark.parametrize(
    ("job_id", "expected", "task"),
    [
        ("123[].host.domain", "123[]", None),
        ("123[]", "123[]", None),
        ("0.pbshost", "0", None),
        ("123[45].host", "123[45]", ("123[]", 45)),
        ("123[45]", "123[45]", ("123[]", 45)),
        ("{array id of 0}", "{array id of 0}", None),
    ],
)
def test_ids_are_told_with_and_without_the_server(
    job_id: str, expected: str, task: tuple[str, int] | None
) -> None:
    assert (bare(job_id), subjob(job_id)) == (expected, task)
