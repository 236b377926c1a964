"""What a slot used, read from events."""

from __future__ import annotations

from typing import Any

import pytest

from slidearray.core.classes import FailureClass
from slidearray.core.shapes import Shape
from slidearray.core.slot_use import SlotUse, slot_use
from slidearray.core.verdicts import SlotOutcome

SHAPE = Shape(cpus=4, memory_mb=8000, walltime_s=3600)
PREDICTED = {"a": 10.0, "b": 20.0, "c": 30.0}
STARTED = {"event": "started"}
OOM, TIMEOUT = FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT


def done(slide_id: str, seconds: float, **fields: Any) -> dict[str, Any]:
    told = {"seconds": seconds, "cpu_s": 2 * seconds, "peak_mb": 900, "reused": False}
    return {"event": "done", "slide_id": slide_id, **told, **fields}


def failed(slide_id: str, failure: str) -> dict[str, Any]:
    return {"event": "failed", "slide_id": slide_id, "failure": failure, "reason": "why"}


def finished(**fields: Any) -> dict[str, Any]:
    told = {"exit_code": 0, "wall_s": 100.0, "cpu_s": 200.0, "peak_mb": 1000}
    return {"event": "finished", **told, **fields}


def use(*executions: list[dict[str, Any]], outcome: SlotOutcome | None = None) -> SlotUse:
    found = slot_use((2, 7), SHAPE, predicted=PREDICTED, executions=executions, outcome=outcome)
    assert found
    return found


def test_a_slot_that_came_to_its_end_says_all_of_it() -> None:
    found = use([STARTED, done("a", 5), done("b", 5), finished()])
    assert found == SlotUse(
        attempt=2, slot=7, shape=SHAPE, slides=3, planned_s=60, done=2, predicted_s=30, real_s=10,
        finished=True, wall_s=100, cpu_s=200, peak_mb=1000, short_of=frozenset(),
    )  # fmt: skip
    assert found.memory_share == 0.125
    assert found.time_share == 100 / 3600
    assert found.cpu_share == 0.5


def test_of_a_killed_slot_its_slides_tell_the_least_that_it_used() -> None:
    found = use([STARTED, done("a", 5), done("b", 7, peak_mb=1200, cpu_s=1.0)])
    assert (found.finished, found.wall_s, found.cpu_s, found.peak_mb) == (False, 12, 11, 1200)


@pytest.mark.parametrize("events", [[STARTED], [STARTED, failed("a", "lost")]])
def test_where_nothing_tells_nothing_is_known(events: list[dict[str, Any]]) -> None:
    found = use(events)
    assert (found.finished, found.wall_s, found.cpu_s, found.peak_mb) == (False, None, None, None)
    assert (found.memory_share, found.time_share, found.cpu_share) == (0, 0, None)


def test_records_of_the_first_version_tell_the_seconds_alone() -> None:
    old = {"event": "done", "slide_id": "a", "seconds": 4.0, "reused": False}
    found = use([STARTED, old, {"event": "finished", "exit_code": 0}])
    assert (found.finished, found.wall_s, found.cpu_s, found.peak_mb) == (False, 4, None, None)


def test_what_was_found_finished_took_no_time() -> None:
    found = use([STARTED, done("a", 0.1, reused=True), done("b", 5), finished()])
    assert (found.done, found.predicted_s, found.real_s) == (1, 20, 5)


def test_a_slot_that_never_began_used_nothing() -> None:
    superseded = {"event": "superseded", "job_id": "9", "expected": []}
    for executions in ([], [[superseded]]):
        assert not slot_use((1, 0), SHAPE, predicted={}, executions=executions, outcome=None)


def test_the_newest_execution_speaks_and_superseded_ones_do_not() -> None:
    killed, whole = [STARTED, done("a", 5)], [STARTED, done("b", 5), finished()]
    superseded = [{"event": "superseded", "job_id": "9", "expected": []}]
    assert use(killed, whole, superseded).wall_s == 100
    assert use(whole, killed).wall_s == 5


def ended(by: FailureClass | None) -> SlotOutcome:
    return SlotOutcome(exit_code=0, ended_by=by)


@pytest.mark.parametrize(
    ("events", "outcome", "short_of"),
    [
        ([finished()], None, set()),
        ([finished()], ended(None), set()),
        ([failed("a", "out_of_memory"), finished()], None, {OOM}),
        ([failed("a", "timeout"), finished(exit_code=75)], None, {TIMEOUT}),
        ([failed("a", "corrupt_slide"), finished()], None, set()),
        ([], ended(OOM), {OOM}),
        ([failed("a", "out_of_memory")], ended(TIMEOUT), {OOM, TIMEOUT}),
        ([], ended(FailureClass.NODE_FAILURE), set()),
        # Left early by its own reckoning, and told to stop soon after it began.
        ([finished(exit_code=75, wall_s=3400.0)], None, {TIMEOUT}),
        ([finished(exit_code=75, wall_s=100.0)], None, set()),
        (
            [{"event": "interrupted", "slide_id": "a"}, finished(exit_code=75, wall_s=3400.0)],
            None,
            set(),
        ),
    ],
)
def test_too_little_is_told_by_records_or_the_scheduler(
    events: list[dict[str, Any]], outcome: SlotOutcome | None, short_of: set[FailureClass]
) -> None:
    assert use([STARTED, *events], outcome=outcome).short_of == short_of


def test_an_earlier_execution_that_had_too_little_counts() -> None:
    assert use([STARTED, failed("a", "out_of_memory")], [STARTED, finished()]).short_of == {OOM}
