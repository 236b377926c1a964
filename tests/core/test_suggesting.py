"""Values are suggested from what slots used, and only where they tell enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.core.config import ShardsConfig
from slidearray.core.quantities import memory_mb, walltime_s
from slidearray.core.shapes import Shape
from slidearray.core.slot_use import SlotUse
from slidearray.core.suggesting import (
    Suggestion,
    duration_text,
    memory_text,
    missed_target,
    suggestions,
)

ASKED = Shape(cpus=4, memory_mb=16384, walltime_s=4 * 3600)
SHARDS = ShardsConfig(target_minutes=30)
OOM, TIMEOUT = FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT


def slot(**fields: Any) -> SlotUse:
    """A slot that fits what was asked: nothing is to be changed for it."""
    fitting: dict[str, Any] = {
        "attempt": 1, "slot": 0, "shape": ASKED, "slides": 5, "planned_s": 1800.0, "done": 5,
        "predicted_s": 9000.0, "real_s": 8900.0, "finished": True, "wall_s": 9000.0,
        "cpu_s": 4 * 8900.0, "peak_mb": 13000, "short_of": frozenset(),
    }  # fmt: skip
    return SlotUse(**{**fitting, **fields})


def slots(count: int = 4, **fields: Any) -> list[SlotUse]:
    return [slot(slot=k, **fields) for k in range(count)]


def suggested(uses: list[SlotUse], **shards: Any) -> dict[str, Any]:
    found = suggestions(uses, asked=ASKED, shards=SHARDS.model_copy(update=shards))
    return {each.key: each.value for each in found}


def reason(uses: list[SlotUse]) -> str:
    (found,) = suggestions(uses, asked=ASKED, shards=SHARDS)
    return found.reason


def test_what_fits_is_left_alone() -> None:
    assert suggested(slots()) == {}


@pytest.mark.parametrize(
    ("peak_mb", "value"),
    [
        (90, "512M"),
        (1000, "1.25G"),
        (1700, "2G"),
        (4000, "5G"),
        (8000, "10G"),
        (10000, "12G"),
        (10400, None),  # 13G: not worth a change
        (14000, None),  # 17G: room enough as it is
        (14800, "18G"),
        (16300, "20G"),
    ],
)
def test_memory_is_the_most_that_was_held_and_a_fifth_more(peak_mb: int, value: str | None) -> None:
    uses = [*slots(peak_mb=min(peak_mb, 8000)), slot(peak_mb=peak_mb)]
    assert suggested(uses).get("memory") == value


@pytest.mark.parametrize(
    ("wall_s", "value"),
    [
        (20, "00:30:00"),
        (1300, "00:40:00"),
        (7200, "03:00:00"),
        (7300, None),  # 3:10: not worth a change
        (12000, None),
        (13500, "05:40:00"),
    ],
)
def test_walltime_is_the_longest_slot_and_half_more(wall_s: float, value: str | None) -> None:
    uses = [*slots(wall_s=min(wall_s, 5000)), slot(wall_s=wall_s, cpu_s=4 * wall_s)]
    assert suggested(uses).get("walltime") == value


@pytest.mark.parametrize(
    ("busy", "value"), [(0.3, 1), (1.0, 2), (1.7, 2), (2.7, 3), (2.8, None), (4.0, None)]
)
def test_cpus_are_those_that_were_busy(busy: float, value: int | None) -> None:
    assert suggested(slots(cpu_s=busy * 9000)).get("cpus_per_task") == value


def test_slots_of_seconds_do_not_tell_how_many_cpus_are_needed() -> None:
    assert "cpus_per_task" in suggested(slots(wall_s=60.0, cpu_s=30.0))
    assert "cpus_per_task" not in suggested(slots(wall_s=59.0, cpu_s=30.0))


def test_a_few_slots_are_needed() -> None:
    tiny = {"peak_mb": 500, "wall_s": 60.0, "cpu_s": 60.0}
    assert suggested(slots(2, **tiny)) == {}
    assert suggested(slots(3, **tiny)).keys() == {"memory", "walltime", "cpus_per_task"}


@pytest.mark.parametrize(
    "fields",
    [{"finished": False}, {"done": 0}, {"shape": replace(ASKED, cpus=8)}],
    ids=["killed", "all found finished", "another shape"],
)
def test_slots_that_say_nothing_of_the_profile_do_not_count(fields: dict[str, Any]) -> None:
    assert suggested(slots(9, peak_mb=500, wall_s=60.0, cpu_s=60.0, **fields)) == {}


def test_what_records_do_not_tell_is_not_guessed() -> None:
    assert suggested(slots(wall_s=None, cpu_s=None, peak_mb=None)) == {}


def test_a_slide_in_a_hundred_that_needs_more_changes_nothing_for_the_others() -> None:
    heavy = slot(short_of=frozenset({OOM}), peak_mb=16400)
    again = slot(attempt=2, shape=replace(ASKED, memory_mb=32768), peak_mb=30000)
    uses = [*slots(99, peak_mb=3000), heavy, again]
    assert suggested(uses) == {"memory": "4G"}
    assert "; 1 more had too little" in reason(uses)


def test_where_many_had_too_little_the_slots_with_more_are_heard() -> None:
    heavy = [slot(short_of=frozenset({OOM}), peak_mb=16400)] * 10
    again = slot(attempt=2, shape=replace(ASKED, memory_mb=32768), peak_mb=20000)
    uses = [*slots(90, peak_mb=9000), *heavy, again]
    assert suggested(uses) == {"memory": "24G"}
    assert "10 of 100 had too little" in reason(uses)


def test_where_many_ran_out_of_time_more_is_asked_for() -> None:
    short = slots(2, short_of=frozenset({TIMEOUT}), wall_s=14000.0, cpu_s=56000.0)
    assert suggested([*slots(8), *short]) == {"walltime": "05:50:00"}


def test_slots_that_mostly_start_up_should_be_longer() -> None:
    uses = slots(wall_s=2400.0, real_s=1800.0, cpu_s=9600.0)
    assert suggested(uses)["shards.target_minutes"] == 200
    assert "shards.target_minutes" not in suggested(uses, slides_per_task=5)
    for fields in ({"done": 4}, {"planned_s": 800.0}, {"slides": 1, "done": 1}):
        told = slots(wall_s=2400.0, real_s=1800.0, cpu_s=9600.0, **fields)
        assert "shards.target_minutes" not in suggested(told)


@pytest.mark.parametrize(
    ("wall_s", "minutes"),
    [(300.0, "180"), (850.0, "64"), (1000.0, ""), (3500.0, ""), (7200, "7.5")],
)
def test_slots_that_miss_the_aim_by_far_are_told_of(wall_s: float, minutes: str) -> None:
    note = missed_target(slots(wall_s=wall_s), asked=ASKED, shards=SHARDS)
    assert (f"target_minutes: {minutes}}}" in note) if minutes else not note


def test_slots_that_were_not_dealt_by_the_aim_do_not_miss_it() -> None:
    few = slots(wall_s=20.0, planned_s=20.0)
    assert missed_target(few, asked=ASKED, shards=SHARDS) == ""
    counted = SHARDS.model_copy(update={"slides_per_task": 5})
    assert missed_target(slots(wall_s=20.0), asked=ASKED, shards=counted) == ""


@given(
    st.lists(
        st.builds(
            slot,
            wall_s=st.floats(0.1, 14400) | st.none(),
            cpu_s=st.floats(0, 60000) | st.none(),
            peak_mb=st.integers(1, 20000) | st.none(),
            real_s=st.floats(0, 14400),
            planned_s=st.floats(0, 1e5),
            done=st.integers(0, 5),
            short_of=st.frozensets(st.sampled_from([OOM, TIMEOUT])),
        ),
        max_size=12,
    )
)
def test_what_is_suggested_can_be_asked_for_and_is_enough(uses: list[SlotUse]) -> None:
    found = {each.key: each for each in suggestions(uses, asked=ASKED, shards=SHARDS)}
    enough = [use for use in uses if use.done and not use.short_of]
    if memory := found.get("memory"):
        assert memory_mb(str(memory.value)) > max((use.peak_mb or 0 for use in enough), default=0)
    if walltime := found.get("walltime"):
        assert walltime_s(str(walltime.value)) > max((use.wall_s or 0 for use in enough), default=0)
    if cpus := found.get("cpus_per_task"):
        assert 1 <= float(cpus.value) < ASKED.cpus
    assert all(each.value != each.now for each in found.values())


def test_texts_are_those_of_a_profile() -> None:
    assert [memory_text(n) for n in (512, 1024, 1025, 3 * 256)] == ["512M", "1G", "1025M", "768M"]
    assert all(memory_mb(memory_text(n)) == n for n in range(1, 5000))
    assert duration_text(119) == "119 s"


def test_a_suggestion_is_plain_in_json() -> None:
    one = Suggestion(file="profile", key="memory", now="16G", value="4G", reason="why")
    assert one.to_json() == {
        "file": "profile", "key": "memory", "now": "16G", "value": "4G", "reason": "why",
    }  # fmt: skip
