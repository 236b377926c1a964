"""What the scheduler's word makes of a slide, and what it never does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import CHARGED, PERMANENT, FailureClass
from slidearray.core.queue import FORGOTTEN, QueueWord, TaskState, TaskWord
from slidearray.core.resending import Retry, resend
from slidearray.core.shapes import Shape
from slidearray.core.verdicts import SlotHistory, SlotOutcome, State, verdict

if TYPE_CHECKING:
    from slidearray.core.events import Event

F = FailureClass
ENDED, PENDING, RUNNING, UNKNOWN = (
    TaskState.ENDED,
    TaskState.PENDING,
    TaskState.RUNNING,
    TaskState.UNKNOWN,
)
RETRY = Retry(max_attempts=99, memory_factor=2.0, walltime_factor=1.5)
SLIDES = ("flown", "hit", "behind")


def said(name: str, slide_id: str | None = None, **fields: Any) -> Event:
    return {"event": name, **({"slide_id": slide_id} if slide_id else {}), **fields}


def started(restarts: int = 0) -> Event:
    return said("started", restarts=restarts)


#: A slot that was hit while it worked on its second slide.
UNDER_WAY = [started(), said("slide_started", "flown"), said("done", "flown")]
HIT = [*UNDER_WAY, said("slide_started", "hit")]


def slot(*executions: list[Event], **changes: Any) -> SlotHistory:
    fields: dict[str, Any] = {
        "attempt": 1,
        "executions": executions,
        "outcome": None,
        "task": ENDED,
        "cancelled": False,
        "slide_ids": SLIDES,
        "shape": Shape(cpus=2, memory_mb=4000, walltime_s=3600),
    }
    return SlotHistory(**{**fields, **changes})


def ended(code: int | None, by: FailureClass | None = None, **fields: Any) -> SlotOutcome:
    return SlotOutcome(exit_code=code, ended_by=by, **fields)


def classes(history: SlotHistory) -> list[str]:
    found = [verdict(slide_id, [history]) for slide_id in SLIDES]
    return [str(v.failure or v.state) for v in found]


OOM = ended(137, F.OUT_OF_MEMORY, word="OUT_OF_MEMORY")
TIMEOUT = ended(-15, F.TIMEOUT, word="TIMEOUT")
NODE_FAIL = ended(None, F.NODE_FAILURE, word="NODE_FAIL", node="n2")
PREEMPTED = ended(-15, F.PREEMPTED, word="PREEMPTED", node="n2")
CANCELLED = ended(-15, F.CANCELLED, word="CANCELLED by 1000")
FAILED = ended(1, word="FAILED")
LAUNCH = ended(-53, word="FAILED")  # how SLURM tells of a log that it could not open
KILLED = ended(-9, word="FAILED")
ODD = ended(None, word="BOOT_FAIL")
COMPLETED = ended(0, word="COMPLETED")


@pytest.mark.parametrize(
    ("outcome", "hit", "behind"),
    [
        (OOM, "out_of_memory", "not_started"),
        (TIMEOUT, "timeout", "not_started"),
        (NODE_FAIL, "node_failure", "not_started"),
        (PREEMPTED, "preempted", "not_started"),
        (CANCELLED, "cancelled", "cancelled"),
        (FAILED, "worker_error", "not_started"),
        (KILLED, "worker_error", "not_started"),
        (ODD, "worker_error", "not_started"),
        (COMPLETED, "lost", "lost"),
        (ended(74), "storage_full", "storage_full"),
        (ended(75), "interrupted", "not_started"),
    ],
)
def test_what_ends_a_slot_is_charged_to_the_slide_in_flight(
    outcome: SlotOutcome, hit: str, behind: str
) -> None:
    assert classes(slot(HIT, outcome=outcome)) == ["done", hit, behind]


@pytest.mark.parametrize(
    ("outcome", "failure"),
    [
        (OOM, "setup_failed"),
        (TIMEOUT, "setup_failed"),
        (FAILED, "setup_failed"),
        (LAUNCH, "setup_failed"),
        (ODD, "setup_failed"),
        (COMPLETED, "setup_failed"),
        (ended(78), "setup_failed"),
        (NODE_FAIL, "not_started"),
        (PREEMPTED, "not_started"),
        (KILLED, "not_started"),
        (CANCELLED, "cancelled"),
        (ended(74), "storage_full"),
    ],
)
def test_a_script_that_ends_before_its_worker_begins_failed_in_its_setup_unless_it_was_ended(
    outcome: SlotOutcome, failure: str
) -> None:
    assert classes(slot(outcome=outcome)) == [failure] * 3


def test_the_schedulers_own_words_are_in_the_reason() -> None:
    for outcome, words in [
        (NODE_FAIL, "the node failed on n2 (NODE_FAIL)"),
        (PREEMPTED, "stopped by the scheduler on n2 (PREEMPTED)"),
        (CANCELLED, "cancelled (CANCELLED by 1000)"),
        (ODD, "BOOT_FAIL"),
        (OOM, "4000 MB"),
        (TIMEOUT, "01:00:00"),
    ]:
        assert words in verdict("hit", [slot(HIT, outcome=outcome)]).reason
    assert "(NODE_FAIL)" in verdict("behind", [slot(HIT, outcome=NODE_FAIL)]).reason
    assert "BOOT_FAIL" in verdict("hit", [slot(outcome=ODD)]).reason


@pytest.mark.parametrize("outcome", [OOM, TIMEOUT, NODE_FAIL, PREEMPTED])
def test_the_schedulers_word_outranks_the_workers_interrupted_and_yields_to_its_failures(
    outcome: SlotOutcome,
) -> None:
    interrupted = [*HIT, said("interrupted", "hit", reason="TERM")]
    assert classes(slot(interrupted, outcome=outcome))[1] == outcome.ended_by
    told = [*HIT, said("failed", "hit", failure="worker_error", reason="crashed")]
    assert classes(slot(told, outcome=outcome))[1] == "worker_error"


@pytest.mark.parametrize("failure", sorted(F))
def test_a_task_that_a_person_cancelled_is_not_sent_again_by_itself_whatever_it_told(
    failure: FailureClass,
) -> None:
    told = slot([*HIT, said("failed", "hit", failure=failure)], outcome=CANCELLED)
    outranked = PERMANENT | {F.STORAGE_FULL}
    assert classes(told)[1:] == [failure if failure in outranked else "cancelled", "cancelled"]


@pytest.mark.parametrize("restarts", [1, 2])
def test_an_end_is_not_charged_to_the_slide_of_an_earlier_execution(restarts: int) -> None:
    over: dict[str, Any] = {"restarts": restarts, "word": "FAILED"}
    assert classes(slot(HIT, outcome=ended(78, **over)))[1:] == ["setup_failed"] * 2
    oom = ended(137, F.OUT_OF_MEMORY, **over)
    assert classes(slot(HIT, outcome=oom))[1:] == ["setup_failed"] * 2
    gone = ended(None, F.NODE_FAILURE, **over)
    assert classes(slot(HIT, outcome=gone))[1:] == ["lost", "not_started"]


def test_a_slot_that_was_requeued_is_judged_by_its_newest_execution() -> None:
    again = [started(1), said("slide_started", "hit"), said("done", "hit")]
    history = slot(HIT, [*again, said("slide_started", "behind")], outcome=OOM)
    assert classes(history) == ["done", "done", "out_of_memory"]
    whole = [*again, said("slide_started", "behind"), said("done", "behind")]
    assert classes(slot(HIT, whole, outcome=ended(0, restarts=1))) == ["done"] * 3


def counted_on(node: str, restarts: int = 0) -> Event:
    """As a worker begins that counted records, because its scheduler tells no number."""
    return said("started", restarts=restarts, restarts_counted=True, node=node)


@pytest.mark.parametrize(
    ("node", "code", "silent"),
    [
        ("n2", None, True),  # another node: what ran there wrote nothing
        ("n2.domain", 1, True),
        ("n1", 78, True),  # the worker writes of such an end
        ("n1", 127, True),
        ("n1", 137, False),  # the run that was silent was an earlier one
        ("N1.domain", 0, False),
        ("", 1, False),
    ],
)
def test_where_requeues_are_counted_node_and_end_tell_whose_end_it_is(
    node: str, code: int | None, silent: bool
) -> None:
    hit = [counted_on("n1"), *HIT[1:]]
    end = ended(code, restarts=1, node=node)
    assert slot(hit, outcome=end).facts.silent is silent
    assert not slot(hit, outcome=ended(code, node=node)).facts.silent  # nothing was requeued


def test_a_run_that_its_node_refused_does_not_hide_what_ended_the_next() -> None:
    hit = [counted_on("n2"), *HIT[1:]]
    oom = ended(None, F.OUT_OF_MEMORY, restarts=1, node="n2")
    assert classes(slot(hit, outcome=oom)) == ["done", "out_of_memory", "not_started"]


def test_what_failed_before_a_requeue_is_open_while_the_slot_runs_again() -> None:
    broke = [counted_on("n1"), said("slide_started", "hit"), said("failed", "hit", failure="lost")]
    again = slot(broke, task=RUNNING, restarts=1)
    assert verdict("hit", [again]).state is State.PENDING
    assert verdict("hit", [slot(broke, task=RUNNING)]).state is State.FAILED


def test_an_end_on_another_node_is_not_charged_to_the_slide_of_an_earlier_execution() -> None:
    hit = [counted_on("n1"), *HIT[1:]]
    oom = ended(None, F.OUT_OF_MEMORY, restarts=1, node="n2")
    assert classes(slot(hit, outcome=oom))[1:] == ["setup_failed"] * 2
    failed = [counted_on("n1"), said("setup_failed"), said("finished", exit_code=78)]
    assert not slot(failed, outcome=ended(78, restarts=1, node="n1")).facts.silent


def test_counted_requeues_that_all_wrote_are_judged_by_the_newest() -> None:
    hit = [counted_on("n1"), *HIT[1:]]
    again = [counted_on("n2", 1), said("slide_started", "behind")]
    oom = ended(None, F.OUT_OF_MEMORY, restarts=1, node="elsewhere")
    assert classes(slot(hit, again, outcome=oom)) == ["done", "lost", "out_of_memory"]


def test_completed_without_a_record_of_the_newest_execution_is_lost() -> None:
    assert classes(slot(HIT, outcome=ended(0, restarts=1))) == ["done", "lost", "lost"]


def test_two_copies_of_a_slot_both_count_and_any_success_is_final() -> None:
    woken = [*HIT, said("done", "hit"), said("slide_started", "behind"), said("done", "behind")]
    second = [started(1), said("slide_started", "hit"), said("interrupted", "hit")]
    assert classes(slot(woken, second, outcome=NODE_FAIL)) == ["done"] * 3


def test_a_slot_that_wrote_records_was_not_deleted_before_it_began() -> None:
    unbegun = ended(None, F.CANCELLED, word="deleted before it began", unbegun=True)
    assert classes(slot(HIT, outcome=unbegun)) == ["done", "lost", "not_started"]
    broke = [*HIT, said("failed", "hit", failure="worker_error")]
    assert classes(slot(broke, outcome=unbegun)) == ["done", "worker_error", "not_started"]
    assert classes(slot(outcome=unbegun)) == ["cancelled"] * 3
    assert SlotOutcome.from_json(unbegun.to_json()) == unbegun


def test_what_the_scheduler_forgot_is_lost_with_that_as_the_reason() -> None:
    history = slot(HIT, why=FORGOTTEN.reason)
    assert classes(history) == ["done", "lost", "lost"]
    assert verdict("behind", [history]).reason == FORGOTTEN.reason


@pytest.mark.parametrize(
    ("task", "states"),
    [
        (PENDING, ["done", "pending", "pending"]),  # requeued: nobody works on it now
        (RUNNING, ["done", "running", "pending"]),
        (UNKNOWN, ["done", "unknown", "unknown"]),
    ],
)
def test_a_slot_that_has_not_ended_is_where_the_scheduler_says(
    task: TaskState, states: list[str]
) -> None:
    history = slot(HIT, task=task, why="as it says")
    assert classes(history) == states
    reason = verdict("hit", [history]).reason
    assert reason == ("" if task is RUNNING else "as it says")


def test_no_answer_is_unknown_and_an_answer_without_the_task_is_an_end() -> None:
    told = TaskWord(state=RUNNING, restarts=1)
    assert QueueWord(tasks={("7", 0): told}, fault="away").of("7", 0) is told
    silence = QueueWord(tasks={}, fault="away").of("7", 1)
    assert (silence.state, silence.reason) == (UNKNOWN, "away")
    assert QueueWord(tasks={("7", 0): told}).of("7", 1) == FORGOTTEN


# Whatever is told ----------------------------------------------------------------------------

EVENTS = st.one_of(
    st.builds(
        said,
        st.sampled_from(["slide_started", "done", "empty", "interrupted"]),
        st.sampled_from(SLIDES),
    ),
    st.builds(
        lambda slide_id, failure: said("failed", slide_id, failure=failure),
        st.sampled_from(SLIDES),
        st.sampled_from([*F, "melted"]),
    ),
    st.sampled_from([said("setup_failed", reason="no"), said("superseded"), said("finished")]),
)
OUTCOMES = st.builds(
    SlotOutcome,
    exit_code=st.sampled_from([None, 0, 1, 74, 75, 78, 137, -9, -15, -53]),
    ended_by=st.sampled_from(
        [None, F.OUT_OF_MEMORY, F.TIMEOUT, F.NODE_FAILURE, F.PREEMPTED, F.CANCELLED]
    ),
    word=st.sampled_from(["", "FAILED"]),
    restarts=st.integers(0, 2),
)
HISTORIES = st.builds(
    lambda executions, **others: slot(*executions, **others),
    st.lists(
        st.builds(
            lambda restarts, events: [started(restarts), *events],
            st.integers(0, 2),
            st.lists(EVENTS, max_size=6),
        ),
        max_size=3,
    ),
    outcome=st.none() | OUTCOMES,
    task=st.sampled_from(TaskState),
    cancelled=st.booleans(),
    why=st.sampled_from(["", "Priority"]),
)
EVERYTHING: dict[str, Any] = {"retry": RETRY, "include": frozenset(F), "by_hand": True}


def counted(history: SlotHistory, slide_id: str) -> list[Event]:
    """The events of a slide in executions that were not superseded."""
    return [
        event
        for events in history.executions
        if said("superseded") not in events
        for event in events
        if event.get("slide_id") == slide_id
    ]


@given(histories=st.lists(HISTORIES, min_size=1, max_size=3))
def test_whatever_is_told_a_success_is_final(histories: list[SlotHistory]) -> None:
    results = [e for h in histories for e in counted(h, "hit") if e["event"] in ("done", "empty")]
    v = verdict("hit", histories)
    assert (v.state in (State.DONE, State.EMPTY)) == bool(results)
    assert v.result is (results[-1] if results else None)
    if results:
        assert v.failure is None
        assert resend("hit", v, **EVERYTHING) is None


@given(history=HISTORIES)
def test_whatever_is_told_what_is_not_known_or_not_over_is_never_sent_again(
    history: SlotHistory,
) -> None:
    for slide_id in SLIDES:
        v = verdict(slide_id, [history])
        assert (v.failure is None) == (v.state is not State.FAILED)
        if v.failure is None:
            assert resend(slide_id, v, **EVERYTHING) is None
        if history.task is not ENDED and v.failure:
            assert counted(history, slide_id)[-1]["event"] == "failed" or v.failure in PERMANENT
        assert v.state is not State.UNKNOWN or history.task is UNKNOWN


@given(history=HISTORIES)
def test_whatever_is_told_a_slide_that_was_never_begun_is_never_charged(
    history: SlotHistory,
) -> None:
    for slide_id in SLIDES:
        if not counted(history, slide_id):
            assert verdict(slide_id, [history]).failure not in CHARGED


@given(outcome=OUTCOMES)
def test_an_outcome_comes_back_as_it_was_written(outcome: SlotOutcome) -> None:
    assert SlotOutcome.from_json(outcome.to_json()) == outcome


def test_an_outcome_of_the_first_version_is_understood() -> None:
    written = {"exit_code": 75, "timed_out": True, "out_of_memory": False}
    assert SlotOutcome.from_json(written) == ended(75, F.TIMEOUT)
