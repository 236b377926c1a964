from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass, Rejected
from slidearray.errors import RunError
from slidearray.storage.plan_files import (
    CHUNK,
    PlannedSlide,
    PlannedTable,
    read_planned,
    read_planned_table,
    read_rejected,
    write_planned,
    write_planned_table,
    write_rejected,
)

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = st.integers(0, 10**9).map(lambda ms: ms / 1000)
SLIDES = st.builds(
    PlannedSlide,
    slide_id=st.text("a ,\"'\u00e9;", min_size=1, max_size=6),
    shard=st.integers(0, 999),
    seconds=SECONDS,
    megabytes=st.integers(0, 10**6),
    model_seconds=st.none() | SECONDS,
)


@given(slides=st.lists(SLIDES, max_size=5))
def test_what_was_planned_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, slides: list[PlannedSlide]
) -> None:
    path = tmp_path_factory.mktemp("p") / "slides.csv"
    write_planned(path, slides)
    assert list(read_planned(path)) == slides


def test_a_table_of_many_slides_reads_back_equal(tmp_path: Path) -> None:
    count = 2 * CHUNK + 1
    table = PlannedTable(
        slide_id=[f"s{n}" for n in range(count)],
        shard=[n % 7 for n in range(count)],
        seconds=[n / 8 for n in range(count)],
        megabytes=list(range(count)),
        model_seconds=[None, *(n / 4 for n in range(count - 1))],
    )
    write_planned_table(tmp_path / "s.csv", table)
    found = read_planned_table(tmp_path / "s.csv")
    assert list(found.slide_id) == table.slide_id
    assert list(found.shard) == table.shard
    assert list(found.seconds) == table.seconds
    assert list(found.megabytes) == table.megabytes
    assert list(found.model_seconds) == table.model_seconds


def test_the_table_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slides.csv"
    path.write_text("slide_id,shard,predicted_seconds,predicted_megabytes\na,3,1.5,600\n")
    assert list(read_planned(path)) == [
        PlannedSlide(slide_id="a", shard=3, seconds=1.5, megabytes=600)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slide_id,shard\na,1\n",
        "slide_id,shard,predicted_seconds,predicted_megabytes,model_seconds\na,1,2.0\n",
        "slide_id,shard,predicted_seconds,predicted_megabytes,model_seconds\na,1,2.0,x,\n",
        "slide_id,shard,predicted_seconds,predicted_megabytes,model_seconds\na,1,2.0,3,\nb,1,2\n",
        "slide_id,shard,predicted_seconds,predicted_megabytes,model_seconds\na,one,2.0,3,\n",
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "slides.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=r"slides\.csv: damaged"):
        read_planned_table(path)


def test_a_table_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"slides\.csv: cannot be read"):
        read_planned_table(tmp_path / "slides.csv")


def test_rejected_slides_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "rejected.jsonl"
    rejected = [
        Rejected(slide_id="a\u2028", row=2, failure=FailureClass.MISSING_MPP, reason='say "why"\n')
    ]
    write_rejected(path, rejected)
    assert read_rejected(path) == rejected
