from __future__ import annotations

from dataclasses import replace

import pytest

from slidearray.core.classes import BY_HAND, CHARGED, PERMANENT, FailureClass
from slidearray.core.queue import NOT_ASKED, TaskState
from slidearray.core.resending import Resend, Retry, breaker, resend, spent
from slidearray.core.shapes import Shape
from slidearray.core.verdicts import SlotHistory, State, Verdict, verdict

F = FailureClass
SHAPE = Shape(cpus=2, memory_mb=4000, walltime_s=3600)
RETRY = Retry(max_attempts=3, memory_factor=2.0, walltime_factor=1.5)
EVERYTHING = frozenset(F)
NOTHING: frozenset[FailureClass] = frozenset()


def failure_of(failure: FailureClass, *, charged: int = 1, alone: bool = False) -> Verdict:
    return Verdict(
        state=State.FAILED,
        failure=failure,
        reason="",
        charged=charged,
        attempts=charged,
        result=None,
        shape=SHAPE,
        alone=alone,
    )


MORE_MEMORY = replace(SHAPE, memory_mb=8000)
MORE_TIME = replace(SHAPE, walltime_s=5400)


@pytest.mark.parametrize(
    ("failure", "was_alone", "shape", "alone", "why"),
    [
        (F.OUT_OF_MEMORY, False, MORE_MEMORY, True, "8000 MB instead of 4000"),
        (F.OUT_OF_MEMORY, True, MORE_MEMORY, True, "8000 MB instead of 4000"),
        (F.TIMEOUT, False, SHAPE, True, "in a slot of its own"),
        (F.TIMEOUT, True, MORE_TIME, True, "01:30:00 instead of 01:00:00"),
        (F.WORKER_ERROR, False, SHAPE, True, "in a slot of its own"),
        (F.WORKER_ERROR, True, SHAPE, True, "worker_error"),
        *((f, False, SHAPE, False, str(f)) for f in (F.NODE_FAILURE, F.PREEMPTED, F.INTERRUPTED)),
        (F.LOST, False, SHAPE, False, "lost"),
        (F.LOST, True, SHAPE, False, "lost"),
        (F.NOT_STARTED, False, SHAPE, False, "not_started"),
    ],
)
def test_what_may_pass_by_itself_is_sent_again_as_its_class_asks(
    failure: FailureClass, was_alone: bool, shape: Shape, alone: bool, why: str
) -> None:
    v = failure_of(failure, alone=was_alone)
    sent = resend("a", v, retry=RETRY, include=NOTHING, by_hand=False)
    assert sent is not None
    assert replace(sent, why="") == Resend(slide_id="a", shape=shape, alone=alone, why="")
    assert sent.why.startswith(str(failure))
    assert sent.why.endswith(why)


@pytest.mark.parametrize("failure", sorted(PERMANENT))
def test_a_permanent_failure_is_sent_again_only_when_its_class_is_asked_for(
    failure: FailureClass,
) -> None:
    v = failure_of(failure, charged=0)
    assert resend("a", v, retry=RETRY, include=EVERYTHING - {failure}, by_hand=True) is None
    sent = resend("a", v, retry=RETRY, include=frozenset({failure}), by_hand=True)
    assert sent == Resend(slide_id="a", shape=SHAPE, alone=False, why=str(failure))


@pytest.mark.parametrize("failure", sorted(BY_HAND))
def test_what_a_person_has_to_mend_is_sent_again_only_by_a_person(failure: FailureClass) -> None:
    v = failure_of(failure, charged=0)
    assert resend("a", v, retry=RETRY, include=NOTHING, by_hand=False) is None
    sent = Resend(slide_id="a", shape=SHAPE, alone=False, why=str(failure))
    assert resend("a", v, retry=RETRY, include=NOTHING, by_hand=True) == sent
    assert resend("a", v, retry=RETRY, include=frozenset({failure}), by_hand=False) == sent


@pytest.mark.parametrize("failure", sorted(CHARGED | {FailureClass.LOST}))
def test_a_slide_that_used_up_its_attempts_goes_only_when_its_class_is_asked_for(
    failure: FailureClass,
) -> None:
    last, spent = failure_of(failure, charged=2), failure_of(failure, charged=3)
    assert resend("a", last, retry=RETRY, include=NOTHING, by_hand=False)
    assert resend("a", spent, retry=RETRY, include=NOTHING, by_hand=True) is None
    assert resend("a", spent, retry=RETRY, include=frozenset({failure}), by_hand=True)


@pytest.mark.parametrize(
    "failure", sorted(EVERYTHING - PERMANENT - BY_HAND - CHARGED - {FailureClass.LOST})
)
def test_what_is_no_fault_of_the_slide_uses_up_nothing(failure: FailureClass) -> None:
    spent = failure_of(failure, charged=3)
    assert resend("a", spent, retry=RETRY, include=NOTHING, by_hand=False)


@pytest.mark.parametrize("state", [state for state in State if state is not State.FAILED])
def test_what_did_not_fail_is_never_sent_again(state: State) -> None:
    v = replace(failure_of(F.LOST), state=state, failure=None)
    assert resend("a", v, retry=RETRY, include=EVERYTHING, by_hand=True) is None
    assert resend("a", verdict("a", []), retry=RETRY, include=EVERYTHING, by_hand=True) is None


def test_factors_multiply_to_what_a_person_would_write() -> None:
    retry = replace(RETRY, memory_factor=1.1, walltime_factor=1.1)
    v = replace(failure_of(F.OUT_OF_MEMORY), shape=replace(SHAPE, memory_mb=100))
    sent = resend("a", v, retry=retry, include=NOTHING, by_hand=False)
    assert sent is not None
    assert sent.shape.memory_mb == 110
    v = replace(failure_of(F.TIMEOUT, alone=True), shape=replace(SHAPE, walltime_s=11))
    sent = resend("a", v, retry=retry, include=NOTHING, by_hand=False)
    assert sent is not None
    assert sent.shape.walltime_s == 13


def test_a_slide_that_needs_more_and_more_memory_goes_until_its_budget_is_used_up() -> None:
    histories: list[SlotHistory] = []
    shapes = [SHAPE]
    while True:
        alone = ("a",) if histories else ("a", "b", "c")
        histories.append(
            SlotHistory(
                attempt=len(shapes),
                executions=[[{"event": "failed", "slide_id": "a", "failure": "out_of_memory"}]],
                outcome=None,
                task=TaskState.ENDED,
                cancelled=False,
                slide_ids=alone,
                shape=shapes[-1],
            )
        )
        sent = resend("a", verdict("a", histories), retry=RETRY, include=NOTHING, by_hand=False)
        if sent is None:
            break
        shapes.append(sent.shape)
    assert [shape.memory_mb for shape in shapes] == [4000, 8000, 16000]


def test_memory_grows_up_to_what_one_task_may_have_and_then_the_slide_is_listed() -> None:
    capped = replace(RETRY, max_memory_mb=6000)
    v = failure_of(F.OUT_OF_MEMORY)
    sent = resend("a", v, retry=capped, include=NOTHING, by_hand=False)
    assert sent is not None
    assert (sent.shape.memory_mb, sent.why) == (6000, "out_of_memory: 6000 MB instead of 4000")
    at_most = replace(v, shape=sent.shape)
    for by_hand in (False, True):
        assert resend("a", at_most, retry=capped, include=NOTHING, by_hand=by_hand) is None
    assert spent(at_most, capped) == "it had 6000 MB, and 6000 MB is the most"
    asked = resend("a", at_most, retry=capped, include=frozenset({F.OUT_OF_MEMORY}), by_hand=True)
    assert asked is not None
    assert asked.shape.memory_mb == 6000
    timeout = replace(at_most, failure=F.TIMEOUT)
    assert resend("a", timeout, retry=capped, include=NOTHING, by_hand=False)


def test_walltime_grows_up_to_what_one_task_may_have_and_then_the_slide_is_listed() -> None:
    v = replace(failure_of(F.TIMEOUT), alone=True)
    assert v.shape is not None
    capped = replace(RETRY, max_walltime_s=v.shape.walltime_s + 1)
    sent = resend("a", v, retry=capped, include=NOTHING, by_hand=False)
    assert sent is not None
    assert sent.shape.walltime_s == v.shape.walltime_s + 1
    at_most = replace(v, shape=sent.shape)
    assert resend("a", at_most, retry=capped, include=NOTHING, by_hand=True) is None
    assert (
        spent(at_most, capped)
        == f"it had {sent.shape.walltime}, and {sent.shape.walltime} is the most"
    )
    assert resend("a", replace(at_most, alone=False), retry=capped, include=NOTHING, by_hand=False)


def test_a_slide_says_why_it_is_out_of_attempts() -> None:
    assert spent(failure_of(F.WORKER_ERROR, charged=2), RETRY) == ""
    assert spent(failure_of(F.WORKER_ERROR, charged=3), RETRY) == "all 3 attempts are used up"


# The breaker ---------------------------------------------------------------------------------

S = F.SETUP_FAILED
W = F.WORKER_ERROR


@pytest.mark.parametrize(
    ("slots", "total", "tripped"),
    [
        ([], 0, None),
        ([], 10, None),
        ([S], 1, None),  # one slot is not a pattern
        ([S], 2, None),
        ([S, S], 2, S),
        ([S, S], 3, S),
        ([S, S], 4, None),  # half is not more than half
        ([S, S, S], 4, S),
        ([S, W, S, S], 5, S),
        ([S, W], 2, None),
        ([None, S, S], 3, S),
        ([None, S, S], 4, None),
        ([S] * 4, 100, None),
        ([S] * 5, 100, S),
        ([S] * 4 + [W], 100, None),
        ([S] * 4 + [None], 100, None),
        ([None] + [S] * 5, 100, None),  # not the first five
        ([None] * 5, 6, None),
        ([S] * 5 + [W] * 20, 100, S),
    ],
)
def test_an_attempt_that_fails_alike_everywhere_is_stopped(
    slots: list[FailureClass | None], total: int, tripped: FailureClass | None
) -> None:
    assert breaker(slots, total, any_done=False) is tripped
    assert breaker(slots, total, any_done=True) is None


def test_a_scheduler_s_limits_are_the_most_that_is_asked_for() -> None:
    limits = replace(NOT_ASKED, max_memory_mb=6000, max_walltime_s=60)
    within = RETRY.within(limits)
    assert (within.max_memory_mb, within.max_walltime_s) == (6000, 60)
    assert RETRY.within(NOT_ASKED) == RETRY
