"""What a real OpenPBS 23.06.06 printed is read as it is meant; each recorded file is in the table.

The recorded array 201 ends in six ways, 175 is 0, 5, 0; tasks of ours are numbered from 0, and
what a server says of an array's tasks 1 to 6 is read alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slidearray.core.classes import FailureClass
from slidearray.core.queue import SubmittedJob, TaskState, TaskWord
from slidearray.core.shapes import Shape
from slidearray.core.verdicts import SlotHistory, SlotOutcome, State, verdict
from slidearray.schedulers.pbs_ids import bare, subjob
from slidearray.schedulers.pbs_words import answer, parse_job

if TYPE_CHECKING:
    from slidearray.core.events import Event

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
    SlotOutcome(
        exit_code=None,
        ended_by=FailureClass.CANCELLED,
        word="deleted before it began",
        unbegun=True,
    ),
    "deleted before it began",
)
WIPED = ended(
    SlotOutcome(
        exit_code=None,
        ended_by=FailureClass.CANCELLED,
        word="deleted with its array, before it began or after it ended",
        unbegun=True,
    ),
    "deleted with its array, before it began or after it ended",
)
DELETED = by(FailureClass.CANCELLED, "terminated, Exit_status 271", exit_code=-15)
OVERTIME = by(FailureClass.TIMEOUT, "exceeded resource walltime (Exit_status -29)")

#: What each file tells of the tasks of one job, by number.
TABLE: dict[str, tuple[SubmittedJob, dict[int, TaskWord]]] = {
    "after_server_restart": (job("2161[]", "t8.sh", 3), {0: RUNNING, 1: RUNNING, 2: code(0)}),
    # Tasks 0 to 2 had ended, with 0, 0 and 3.
    "array_deleted_after_three_ended": (
        job("2051[]", "k2", 10),
        dict.fromkeys(range(3), WIPED) | dict.fromkeys(range(3, 10), DELETED),
    ),
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
    "array_with_requeued_subjob": (
        job("2048[]", "rr", 12),
        {
            **dict.fromkeys((0, *range(2, 7)), RUNNING),
            **dict.fromkeys((1, 7, 8, 9, 11), waits("Queued")),
            10: NEVER_BEGAN,
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
    "node_down": (job("2162[]", "t9.sh", 2), dict.fromkeys(range(2), waits("Queued"))),
    "node_down_subjob": (job("2162[]", "t9.sh", 2), {}),  # it was asked for 2162[0]
    "queues": (job("201[]"), {}),
    "requeued_subjob": (job("2048[]", "rr", 12), {}),  # it was asked for 2048[1]
    "server": (job("201[]"), {}),
    "several_ids_bug": (job("204", "p.sh"), {}),  # it was asked for 201[] and 204
    "suspended": (job("2160[]", "t8.sh", 2), {}),  # it was asked for 2160[1]
    "unknown_id": (job("9999", "p.sh"), {}),
    "walltime_killed": (job("202", "p.sh"), {0: OVERTIME}),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.json")))
def test_each_recorded_answer_is_read_as_it_is_meant(name: str) -> None:
    asked, expected = TABLE[name]
    assert words(name, asked) == expected


@pytest.mark.parametrize(
    ("array", "alone", "task", "restarts"),
    [
        ("array_with_requeued_subjob", "requeued_subjob", 1, 1),
        ("node_down", "node_down_subjob", 0, 1),
    ],
)
def test_a_task_that_was_requeued_has_begun_before_and_waits(
    array: str, alone: str, task: int, restarts: int
) -> None:
    asked, _ = TABLE[array]
    told = parse_job(jobs_of(array) | jobs_of(alone), asked, history=True)
    assert told[asked.job_id, task] == TaskWord(
        state=TaskState.PENDING, reason="requeued", restarts=restarts
    )


def test_a_task_that_is_suspended_runs() -> None:
    told = jobs_of("suspended") | {"2160[].pbshost": {"Job_Name": "t8.sh", "job_state": "B"}}
    word = parse_job(told, job("2160[]", "t8.sh", 2), history=True)["2160[]", 1]
    assert word == TaskWord(state=TaskState.RUNNING, reason="suspended")


@pytest.mark.parametrize("result", ["done", "empty"])
def test_what_a_task_wrote_outlives_a_server_that_wipes_its_end(result: str) -> None:
    outcome = words("array_deleted_after_three_ended", job("2051[]", "k2", 10))[0].outcome
    wrote: list[Event] = [
        {"event": "started"},
        {"event": "slide_started", "slide_id": "a"},
        {"event": result, "slide_id": "a"},
        {"event": "slide_started", "slide_id": "b"},
        {"event": "failed", "slide_id": "b", "failure": "corrupt_slide", "reason": "no image"},
        {"event": "finished", "exit_code": 0},
    ]
    history = SlotHistory(
        attempt=1,
        executions=[wrote],
        outcome=outcome,
        task=TaskState.ENDED,
        cancelled=False,
        slide_ids=("a", "b"),
        shape=Shape(cpus=1, memory_mb=1, walltime_s=60),
    )
    assert verdict("a", [history]).state is State(result)
    assert verdict("b", [history]).failure is FailureClass.CORRUPT_SLIDE


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


def test_a_task_that_ended_with_the_pbs_of_its_node_did_not_end_well() -> None:
    told = jobs_of("array_finished_mixed")
    own = told["201[4].pbshost"]
    cut = {"Exit_status": 0, "substate": 92, "resources_used": {"cput": "00:00:00", "mem": "0kb"}}
    told["201[4].pbshost"] = own | cut
    assert parse_job(told, job("201[]"), history=True)["201[]", 4] == code(0)  # it has a comment
    del told["201[4].pbshost"]["comment"]
    assert ("201[]", 4) not in parse_job(told, job("201[]"), history=True)


def test_without_history_a_task_that_has_ended_looks_deleted_and_is_left_out() -> None:
    told = words("array_queued_subjob_deleted", job("201[]"), history=False)
    assert 6 not in told
    assert told[1] == code(0)


def test_another_job_that_got_the_id_is_not_ours() -> None:
    assert words("array_finished_mixed", job("201[]", "sa123456-1-0")) == {}


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
