"""What slides took, beside what was predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.storage.support import begin_attempt, begun, done, ended, failed, planned_run, record

from slidearray.storage.measured import MeasuredCost, measured_costs
from slidearray.storage.plan_files import PlannedSlide, write_planned
from slidearray.storage.seals import seal

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir

STARTED: tuple[str, dict[str, Any]] = ("started", {"host": "node7", "cpus": 4})
USED = {"seconds": 5.0, "cpu_s": 9.0, "peak_mb": 700}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A planned run of the slides d, c, b, a."""
    run = planned_run(tmp_path)
    slides = [PlannedSlide(slide_id=i, shard=0, seconds=8.0, megabytes=600) for i in "dcba"]
    write_planned(run.slides_table, slides)
    return run


def test_slides_that_were_made_tell_their_cost(run: RunDir) -> None:
    begin_attempt(run, 1, "ab", "c")
    record(run, 1, 0, STARTED, begun("a"), done("a", **USED), begun("b"), failed("b", "lost"))
    assert measured_costs(run) == [
        MeasuredCost(
            slide_id="a", predicted_s=8, predicted_mb=600, real_s=5, cpu_s=9, peak_mb=700, cpus=4,
            num_tiles=3,
        )
    ]  # fmt: skip


def test_what_cost_nothing_or_had_no_tile_tells_nothing(run: RunDir) -> None:
    begin_attempt(run, 1, "abcd")
    empty = ("empty", {**done("b", **USED)[1], "num_tiles": 0})
    old = done("c", reused=True, **USED)
    record(run, 1, 0, STARTED, old, empty, done("x", **USED), done("d"))
    assert measured_costs(run) == []


def test_records_that_do_not_tell_are_not_guessed(run: RunDir) -> None:
    begin_attempt(run, 1, "a")
    record(run, 1, 0, ("started", {"host": "node7"}), done("a", seconds=5.0))
    (cost,) = measured_costs(run)
    assert (cost.real_s, cost.cpu_s, cost.peak_mb, cost.cpus) == (5, None, None, None)


def test_every_attempt_and_execution_counts_sealed_or_not(run: RunDir) -> None:
    journal = begin_attempt(run, 1, "a")
    record(run, 1, 0, STARTED, done("a", **USED), token="s")
    record(run, 1, 0, STARTED, done("a", **{**USED, "seconds": 6.0}), token="t")
    ended(journal, 0)
    seal(run.attempt(1), {})
    begin_attempt(run, 2, "b")
    record(run, 2, 0, STARTED, done("b", **USED))
    assert [(cost.slide_id, cost.real_s) for cost in measured_costs(run)] == [
        ("a", 5), ("a", 6), ("b", 5),
    ]  # fmt: skip
