from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from slidearray.core.classes import CHARGED, PERMANENT, FailureClass
from slidearray.core.exits import ExitCode
from slidearray.core.queue import TaskState
from slidearray.core.shapes import Shape
from slidearray.core.verdicts import (
    SlotHistory,
    SlotOutcome,
    State,
    exit_code,
    slot_failure,
    verdict,
)

if TYPE_CHECKING:
    from slidearray.core.events import Event

F = FailureClass
PENDING, RUNNING = TaskState.PENDING, TaskState.RUNNING
SHAPE = Shape(cpus=2, memory_mb=4000, walltime_s=3600)


def event(name: str, slide_id: str | None = "a", **fields: Any) -> Event:
    own = {} if slide_id is None else {"slide_id": slide_id}
    return {"event": name, "time": "2025-01-01T00:00:00+00:00", **own, **fields}


STARTED = event("started", None, slot=0)
BEGUN = event("slide_started")
DONE = event("done", num_tiles=7)
EMPTY = event("empty", num_tiles=0)
INTERRUPTED = event("interrupted", reason="told to stop")
SETUP_FAILED = event("setup_failed", None, reason="no such module")
SUPERSEDED = event("superseded", None)


def failed(failure: FailureClass | str) -> Event:
    return event("failed", failure=str(failure), reason=f"because of {failure}")


def ended(code: int | None, by: FailureClass | None = None, **fields: Any) -> SlotOutcome:
    return SlotOutcome(exit_code=code, ended_by=by, **fields)


def slot(*executions: list[Event], **changes: Any) -> SlotHistory:
    """A slot of slides a, b and c that is over, and nobody saw how."""
    fields: dict[str, Any] = {
        "attempt": 1,
        "executions": executions,
        "outcome": None,
        "task": TaskState.ENDED,
        "cancelled": False,
        "slide_ids": ("a", "b", "c"),
        "shape": SHAPE,
        **changes,
    }
    return SlotHistory(**fields)


def found(*histories: SlotHistory) -> tuple[State, FailureClass | None]:
    v = verdict("a", histories)
    return v.state, v.failure


# One attempt ---------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", sorted(F))
def test_a_failed_event_is_taken_at_its_word(failure: FailureClass) -> None:
    v = verdict("a", [slot([STARTED, BEGUN, failed(failure)], outcome=ended(0))])
    assert (v.state, v.failure) == (State.FAILED, failure)
    assert v.reason == f"because of {failure}"
    assert v.charged == (failure in CHARGED)


@pytest.mark.parametrize(
    ("history", "failure", "said"),
    [
        # out_of_memory: the scheduler's word on the slide in flight
        (
            slot([STARTED, BEGUN], outcome=ended(-9, F.OUT_OF_MEMORY)),
            F.OUT_OF_MEMORY,
            "more than 4000 MB",
        ),
        (
            slot([STARTED, BEGUN, INTERRUPTED], outcome=ended(137, F.OUT_OF_MEMORY)),
            F.OUT_OF_MEMORY,
            "more than 4000 MB",
        ),
        # timeout: the same
        (slot([STARTED, BEGUN], outcome=ended(-15, F.TIMEOUT)), F.TIMEOUT, "01:00:00"),
        (
            slot([STARTED, BEGUN, INTERRUPTED], outcome=ended(75, F.TIMEOUT)),
            F.TIMEOUT,
            "within 01:00:00",
        ),
        # interrupted: our record, or our exit code where the record is missing
        (slot([STARTED, BEGUN, INTERRUPTED]), F.INTERRUPTED, "told to stop"),
        (slot([STARTED, BEGUN, INTERRUPTED], outcome=ended(75)), F.INTERRUPTED, "told to stop"),
        (slot([STARTED, BEGUN], outcome=ended(75)), F.INTERRUPTED, "exit code 75"),
        # worker_error: the worker ended with the slide in flight
        (slot([STARTED, BEGUN], outcome=ended(-9)), F.WORKER_ERROR, "signal 9 (SIGKILL)"),
        (slot([STARTED, BEGUN], outcome=ended(-99)), F.WORKER_ERROR, "signal 99"),
        (
            slot([STARTED, BEGUN], outcome=ended(139)),
            F.WORKER_ERROR,
            "exit code 139, as after signal 11 (SIGSEGV)",
        ),
        (slot([STARTED, BEGUN], outcome=ended(1)), F.WORKER_ERROR, "exit code 1"),
        (slot([STARTED, BEGUN], outcome=ended(127)), F.WORKER_ERROR, "exit code 127"),
        # lost: begun, and nobody knows
        (slot([STARTED, BEGUN]), F.LOST, "nothing tells"),
        (slot([STARTED, BEGUN], [STARTED], outcome=ended(-9)), F.LOST, "nothing tells"),
        # lost: a worker exits with 0 when every slide of its slot has an end on record
        (slot([STARTED, BEGUN], outcome=ended(0)), F.LOST, "ended well"),
        (slot([STARTED], outcome=ended(0)), F.LOST, "ended well"),
        # not_started: behind what ended the slot, or the slot never began
        (slot([STARTED, event("slide_started", "b")], outcome=ended(-9)), F.NOT_STARTED, "SIGKILL"),
        (
            slot([STARTED], outcome=ended(-9, F.OUT_OF_MEMORY)),
            F.NOT_STARTED,
            "before it began",
        ),
        (slot(), F.NOT_STARTED, "before it began"),
        (slot(outcome=ended(-9)), F.NOT_STARTED, "signal 9"),
        (slot(outcome=ended(-15)), F.NOT_STARTED, "SIGTERM"),
        (slot([STARTED], outcome=ended(78)), F.NOT_STARTED, "exit code 78"),
        # setup_failed: its record, or its exit codes without any `started`
        (slot([STARTED, SETUP_FAILED]), F.SETUP_FAILED, "no such module"),
        (slot(outcome=ended(78)), F.SETUP_FAILED, "exit code 78"),
        (slot(outcome=ended(0)), F.SETUP_FAILED, "exit code 0"),
        (slot(outcome=ended(1)), F.SETUP_FAILED, "exit code 1"),
        (slot(outcome=ended(126)), F.SETUP_FAILED, "exit code 126"),
        (slot(outcome=ended(127)), F.SETUP_FAILED, "exit code 127"),
        (slot(outcome=ended(-15, F.TIMEOUT)), F.SETUP_FAILED, "timeout"),
        # storage_full: exit 74 stands for the records that could not be written
        (slot([STARTED, BEGUN], outcome=ended(74)), F.STORAGE_FULL, "exit code 74"),
        (slot([STARTED], outcome=ended(74)), F.STORAGE_FULL, "exit code 74"),
        # cancelled: whatever it was doing
        (slot(cancelled=True), F.CANCELLED, "cancelled"),
        (slot([STARTED, BEGUN], outcome=ended(-15), cancelled=True), F.CANCELLED, "cancelled"),
        # a class of a later version
        (slot([STARTED, BEGUN, failed("melted")]), F.WORKER_ERROR, "because of melted"),
        (slot([STARTED, event("failed", reason="unnamed")]), F.WORKER_ERROR, "unnamed"),
    ],
)
def test_a_slide_without_a_result_has_the_class_of_what_ended_it(
    history: SlotHistory, failure: FailureClass, said: str
) -> None:
    v = verdict("a", [history])
    assert (v.state, v.failure) == (State.FAILED, failure)
    assert said in v.reason
    assert v.charged == (failure in CHARGED)
    assert v.result is None


@pytest.mark.parametrize(
    ("history", "state"),
    [
        (slot(task=RUNNING), State.PENDING),
        (slot([STARTED], task=RUNNING), State.PENDING),
        (slot([STARTED, event("slide_started", "b")], task=RUNNING), State.PENDING),
        (slot([STARTED, BEGUN], task=RUNNING), State.RUNNING),
        (slot([STARTED, BEGUN], task=RUNNING, cancelled=True), State.RUNNING),
        (slot([STARTED, BEGUN, INTERRUPTED], task=RUNNING), State.PENDING),
        (slot([STARTED, BEGUN, INTERRUPTED], [STARTED, BEGUN], task=RUNNING), State.RUNNING),
        (slot([STARTED, SETUP_FAILED], task=RUNNING), State.PENDING),
        (
            slot([STARTED, BEGUN, failed(F.WORKER_ERROR)], [STARTED, BEGUN], task=RUNNING),
            State.RUNNING,
        ),
        (slot([STARTED, BEGUN, failed(F.WORKER_ERROR)], task=RUNNING), State.FAILED),
        (
            slot([BEGUN, failed(F.WORKER_ERROR)], [BEGUN, INTERRUPTED], task=RUNNING),
            State.PENDING,
        ),
        (slot([STARTED, BEGUN, DONE], task=RUNNING), State.DONE),
        (slot([STARTED, BEGUN, EMPTY], task=RUNNING), State.EMPTY),
        (slot([STARTED, BEGUN, failed(F.CORRUPT_SLIDE)], task=RUNNING), State.FAILED),
    ],
)
def test_a_slot_that_lives_may_still_do_the_slide(history: SlotHistory, state: State) -> None:
    assert found(history)[0] is state


@pytest.mark.parametrize(
    "around", [{"cancelled": True}, {"executions": [[failed(F.WORKER_ERROR)], [SETUP_FAILED]]}]
)
def test_a_slot_that_lives_keeps_the_failures_that_it_told(around: dict[str, Any]) -> None:
    history = replace(slot([failed(F.WORKER_ERROR)], task=RUNNING), **around)
    assert found(history) == (State.FAILED, F.WORKER_ERROR)


#: design's order, each with what brings it about (all of them can be told of one slot).
PRECEDENCE: list[tuple[FailureClass | None, list[Event], dict[str, Any]]] = [
    (None, [DONE], {}),
    (F.CORRUPT_SLIDE, [failed(F.CORRUPT_SLIDE)], {}),
    (F.STORAGE_FULL, [failed(F.STORAGE_FULL)], {}),
    (F.CANCELLED, [], {"cancelled": True}),
    (F.OUT_OF_MEMORY, [failed(F.OUT_OF_MEMORY)], {}),
    (F.TIMEOUT, [failed(F.TIMEOUT)], {}),
    (F.NODE_FAILURE, [failed(F.NODE_FAILURE)], {}),
    (F.PREEMPTED, [failed(F.PREEMPTED)], {}),
    (F.SETUP_FAILED, [SETUP_FAILED], {}),
    (F.INTERRUPTED, [INTERRUPTED], {}),
    (F.WORKER_ERROR, [failed(F.WORKER_ERROR)], {}),
    (F.LOST, [BEGUN], {}),
]


@pytest.mark.parametrize("above", range(len(PRECEDENCE)))
@pytest.mark.parametrize("below", range(len(PRECEDENCE)))
def test_of_two_that_apply_the_one_higher_in_the_precedence_is_the_verdict(
    above: int, below: int
) -> None:
    if above > below:
        above, below = below, above
    (failure, first, one), (_, second, other) = PRECEDENCE[above], PRECEDENCE[below]
    for events in ([*first, *second], [*second, *first]):
        v = verdict("a", [slot([STARTED, *events], **{**one, **other})])
        assert v.failure is failure
        assert v.state is (State.FAILED if failure else State.DONE)


@pytest.mark.parametrize("permanent", sorted(PERMANENT))
def test_a_result_outranks_every_failure_and_a_permanent_one_all_but_a_result(
    permanent: FailureClass,
) -> None:
    for result in (DONE, EMPTY):
        for order in permutations([[BEGUN, failed(permanent)], [BEGUN, result], [INTERRUPTED]]):
            assert found(slot(*order))[0] is State(result["event"])
    assert found(slot([failed(permanent)], cancelled=True)) == (State.FAILED, permanent)
    assert found(slot([failed(permanent)], outcome=ended(74))) == (State.FAILED, permanent)


def test_a_failure_of_its_own_is_kept_when_the_slot_ended_on_another_slide() -> None:
    own = [STARTED, BEGUN, failed(F.WORKER_ERROR), event("slide_started", "b")]
    for outcome in (
        ended(-9, F.OUT_OF_MEMORY),
        ended(-15, F.TIMEOUT),
        ended(74),
        ended(-9),
    ):
        assert found(slot(own, outcome=outcome)) == (State.FAILED, F.WORKER_ERROR)


def test_superseded_executions_count_for_nothing() -> None:
    other = [SUPERSEDED, BEGUN, DONE]
    assert found(slot([STARTED, BEGUN], other, task=RUNNING))[0] is State.RUNNING
    assert found(slot(other)) == (State.FAILED, F.NOT_STARTED)
    late = [STARTED, SUPERSEDED]
    assert found(slot(late, outcome=ended(127))) == (State.FAILED, F.SETUP_FAILED)


def test_setup_that_failed_before_and_went_well_since_is_forgotten() -> None:
    history = slot([STARTED, SETUP_FAILED], [STARTED, BEGUN], outcome=ended(-11))
    assert found(history) == (State.FAILED, F.WORKER_ERROR)


def test_events_of_other_slides_say_nothing_of_this_one() -> None:
    others = [event("slide_started", "b"), event("done", "b"), event("slide_started", "c")]
    assert found(slot([STARTED, *others], outcome=ended(-9))) == (State.FAILED, F.NOT_STARTED)


# Several attempts ----------------------------------------------------------------------------


def test_a_slide_that_was_never_sent_is_pending() -> None:
    elsewhere = slot([STARTED], slide_ids=("b",))
    for v in (verdict("a", []), verdict("a", [elsewhere])):
        assert (v.state, v.failure, v.attempts, v.charged) == (State.PENDING, None, 0, 0)
        assert v.shape is None


def test_any_result_wins_over_later_attempts() -> None:
    first = slot([STARTED, BEGUN, DONE])
    later = [
        slot([STARTED, BEGUN], task=RUNNING),
        slot([failed(F.WORKER_ERROR)]),
        slot(cancelled=True),
    ]
    for second in later:
        v = verdict("a", [first, second])
        assert v.state is State.DONE
        assert v.result == DONE
        assert v.attempts == 2


def test_without_a_result_the_newest_attempt_speaks() -> None:
    corrupt, lost = slot([failed(F.CORRUPT_SLIDE)]), slot([BEGUN])
    assert found(corrupt, lost) == (State.FAILED, F.LOST)
    assert found(lost, corrupt) == (State.FAILED, F.CORRUPT_SLIDE)
    assert found(corrupt, slot(task=RUNNING)) == (State.PENDING, None)


def test_only_what_the_slide_did_itself_uses_up_its_budget() -> None:
    histories = [slot([BEGUN, failed(failure)]) for failure in sorted(F)]
    v = verdict("a", histories)
    assert v.attempts == len(F)
    assert v.charged == len(CHARGED) == 3


def test_the_verdict_tells_the_shape_of_the_last_slot_and_whether_it_was_alone() -> None:
    larger = replace(SHAPE, memory_mb=9000)
    crowd, alone = slot([BEGUN]), slot([BEGUN], slide_ids=("a",), shape=larger)
    assert (verdict("a", [crowd]).shape, verdict("a", [crowd]).alone) == (SHAPE, False)
    v = verdict("a", [crowd, alone])
    assert (v.shape, v.alone) == (larger, True)


def test_the_newest_of_several_results_counts_because_a_lost_file_was_made_anew() -> None:
    first, second = event("done", num_tiles=1), event("done", num_tiles=2)
    assert verdict("a", [slot([first]), slot([second], attempt=2)]).result == second
    assert verdict("a", [slot([first], [second])]).result == second


@pytest.mark.parametrize(
    ("history", "failure"),
    [
        (slot([DONE], slide_ids=("a",)), None),
        (slot([failed("worker_error")], slide_ids=("a",)), FailureClass.WORKER_ERROR),
        (slot([], outcome=ended(74), slide_ids=("a",)), FailureClass.STORAGE_FULL),
        (slot(outcome=ended(78)), FailureClass.SETUP_FAILED),
        (slot(outcome=ended(-9)), FailureClass.NOT_STARTED),
        (
            slot([failed("timeout")], outcome=ended(75), slide_ids=("a", "b")),
            FailureClass.TIMEOUT,
        ),
        (
            slot(
                [failed("timeout"), event("failed", "b", failure="corrupt_slide")],
                slide_ids=("a", "b"),
            ),
            None,
        ),
    ],
)
def test_a_slot_fails_alike_when_all_failures_of_its_slides_are_of_one_class(
    history: SlotHistory, failure: FailureClass | None
) -> None:
    assert slot_failure(history) is failure


@pytest.mark.parametrize(
    ("events", "rejected", "code"),
    [
        ([DONE], 0, ExitCode.COMPLETE),
        ([DONE], 1, ExitCode.INCOMPLETE),
        ([failed("corrupt_slide")], 0, ExitCode.INCOMPLETE),
        ([failed("storage_full")], 0, ExitCode.STORAGE_FULL),
        ([SETUP_FAILED], 0, ExitCode.SETUP_FAILED),
        ([INTERRUPTED], 0, ExitCode.INTERRUPTED),
        ([failed("node_failure")], 0, ExitCode.INTERRUPTED),
        ([failed("preempted")], 0, ExitCode.INTERRUPTED),
        ([failed("cancelled")], 0, ExitCode.INCOMPLETE),
        ([], 0, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_tells_how_far_a_run_is(
    events: list[Event], rejected: int, code: ExitCode
) -> None:
    assert exit_code([verdict("a", [slot([STARTED, *events])])], rejected=rejected) is code


def test_a_run_that_was_never_sent_or_is_not_over_is_incomplete() -> None:
    assert exit_code([verdict("a", [])], rejected=0) is ExitCode.INCOMPLETE
    for task in (PENDING, RUNNING, TaskState.UNKNOWN):
        at_work = verdict("a", [slot([STARTED, BEGUN], task=task)])
        assert exit_code([at_work], rejected=0) is ExitCode.INCOMPLETE
