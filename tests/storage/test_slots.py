from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slidearray.errors import RunError
from slidearray.storage.slots import Slot, SlotSlide, read_slot, read_slots, write_slots

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}
texts = st.text(st.characters())
slides = st.builds(
    SlotSlide, slide_id=texts, path=texts, cohort=texts, mpp=texts, magnification=texts
)


def _slots(*shards: tuple[SlotSlide, ...]) -> list[Slot]:
    return [Slot(slot=k, shape=SHAPE, slides=shard) for k, shard in enumerate(shards)]


@given(shards=st.lists(st.lists(slides, max_size=3).map(tuple), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_slots_read_back_equal_one_by_one_and_all(
    tmp_path: Path, shards: list[tuple[SlotSlide, ...]]
) -> None:
    path = tmp_path / "slots.jsonl"
    written = _slots(*shards)
    write_slots(path, written)
    assert list(read_slots(path)) == written
    assert [read_slot(path, slot.slot) for slot in written] == written


def test_a_worker_does_not_parse_the_lines_of_others(tmp_path: Path) -> None:
    path = tmp_path / "slots.jsonl"
    write_slots(path, _slots((), (), ()))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"damaged\n" + lines[1] + b"{")
    assert read_slot(path, 1).slot == 1


@pytest.mark.parametrize("slot", [-1, 2, 100])
def test_a_slot_that_is_not_there_is_named(tmp_path: Path, slot: int) -> None:
    write_slots(tmp_path / "slots.jsonl", _slots((), ()))
    with pytest.raises(RunError, match=rf"slots\.jsonl: there is no slot {slot}"):
        read_slot(tmp_path / "slots.jsonl", slot)


def test_missing_and_damaged_slots_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "slots.jsonl"
    with pytest.raises(RunError, match="cannot be read"):
        read_slot(path, 0)
    with pytest.raises(RunError, match="cannot be read"):
        list(read_slots(path))
    write_slots(path, _slots((), ()))
    text = path.read_text()
    for damaged in (text.replace('"slot":1', '"slot":7'), text.replace("shape", "shap"), text[:-4]):
        path.write_text(damaged)
        with pytest.raises(RunError, match="line"):
            list(read_slots(path))
