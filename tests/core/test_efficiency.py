"""Slots taken together, and the worst of them."""

from __future__ import annotations

from typing import Any

from slidearray.core.classes import FailureClass
from slidearray.core.efficiency import by_shape, cpu_share, worst
from slidearray.core.shapes import Shape
from slidearray.core.slot_use import SlotUse

SMALL = Shape(cpus=2, memory_mb=1000, walltime_s=100)
LARGE = Shape(cpus=2, memory_mb=2000, walltime_s=100)


def slot(number: int, **fields: Any) -> SlotUse:
    used: dict[str, Any] = {
        "attempt": 1, "slot": number, "shape": SMALL, "slides": 2, "planned_s": 40.0, "done": 2,
        "predicted_s": 40.0, "real_s": 20.0, "finished": True, "wall_s": 50.0, "cpu_s": 50.0,
        "peak_mb": 500, "short_of": frozenset(),
    }  # fmt: skip
    return SlotUse(**{**used, **fields})


def test_slots_of_an_attempt_and_a_shape_stand_in_one_line() -> None:
    slots = [(2, SMALL), (1, LARGE), (1, SMALL), (1, SMALL), (1, SMALL)]
    uses = [slot(0), slot(1, wall_s=10.0, peak_mb=900, real_s=60.0), slot(3, shape=LARGE)]
    told = [(each.attempt, each.shape, each.slots, each.finished) for each in by_shape(slots, uses)]
    assert told == [(1, SMALL, 3, 2), (1, LARGE, 1, 1), (2, SMALL, 1, 0)]
    first = by_shape(slots, uses)[0]
    assert (first.memory_mb, first.wall_s) == ((700, 900), (30, 50))
    assert first.predicted_per_real == 80 / 80
    assert first.cpu_share == 100 / 120


def test_what_no_slot_tells_is_not_known() -> None:
    (none,) = by_shape([(1, SMALL)], [])
    told = (none.memory_mb, none.cpu_share, none.wall_s, none.predicted_per_real)
    assert told == (None, None, None, None)
    assert none.to_json()["memory_mb"] is None


def test_a_slot_that_was_killed_tells_of_its_slides_alone() -> None:
    killed = slot(0, finished=False, wall_s=3.0, peak_mb=100, predicted_s=5.0, real_s=10.0)
    (line,) = by_shape([(1, SMALL)], [killed])
    assert (line.finished, line.memory_mb, line.wall_s, line.cpu_share) == (0, None, None, None)
    assert line.predicted_per_real == 0.5


def test_long_slots_count_for_more_in_the_use_of_cpus() -> None:
    idle, busy = slot(0, wall_s=10.0, cpu_s=0.0), slot(1, wall_s=90.0, cpu_s=180.0)
    assert cpu_share([idle, busy]) == 0.9
    assert cpu_share([idle, slot(2, wall_s=None), slot(3, cpu_s=None)]) == 0
    assert cpu_share([]) is None


def test_slots_with_too_little_are_the_worst_then_those_closest_to_it() -> None:
    uses = [
        slot(0, peak_mb=100, wall_s=95.0),
        slot(1, peak_mb=900, wall_s=1.0),
        slot(2, peak_mb=None, wall_s=None),
        slot(3, peak_mb=None, wall_s=None, short_of=frozenset({FailureClass.TIMEOUT})),
        slot(4, peak_mb=990, wall_s=1.0),
    ]
    assert [use.slot for use in worst(uses, 9)] == [3, 4, 0, 1]
    assert [use.slot for use in worst(uses, 2)] == [3, 4]
