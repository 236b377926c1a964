"""Faults, and people who step in: the same ends on every scheduler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.slurm.killers import Killer
from tests.slurm.support import slide_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.one_set.beds import Bed, QueueBed
    from tests.one_set.support import BedSite

FREE, HELD = 0, 1


def test_a_setup_line_that_fails_everywhere_stops_the_run_and_shows_its_log(
    bed: Bed, make_site: Callable[..., BedSite]
) -> None:
    site = make_site(bed, (0, 1), profile={"setup": ["module-that-is-not-there load python"]})
    site.submit_and_leave()
    assert site.attempts() == [1], "no second attempt"
    assert site.starts() == {}
    assert set(site.troubles().values()) == {"setup_failed"}, site.story()
    shown = site("status", site.run_dir, expect=3).stdout
    assert "module-that-is-not-there" in shown, "the end of a log says what failed"


def test_a_slide_that_raised_or_crashed_once_is_healed_by_the_next_attempt(
    bed: Bed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(bed, (0, 1, 2))
    site.act(1, "raise once")
    site.act(2, "kill-worker once")
    site.submit_and_leave()
    assert site.status()["complete"], site.story()
    assert site.attempts() == [1, 2]
    assert site.troubles_after(1) == {"s001": "worker_error", "s002": "worker_error"}
    assert site.tries() == {"s000": 1, "s001": 2, "s002": 2}
    assert site.store.read_bytes() == local_store((0, 1, 2))


def test_a_task_that_runs_out_of_time_gets_more_of_it(
    bed: Bed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(bed, (FREE, HELD), profile={"walltime": "00:00:20"})
    site.act(HELD, "block once")
    site.submit_and_leave()
    assert site.status()["complete"], site.story()
    assert site.troubles_after(1) == {slide_id(HELD): "timeout"}
    asked = [_shape(site, attempt, HELD)["walltime_s"] for attempt in (1, 2)]
    assert asked[1] > asked[0]
    assert site.store.read_bytes() == local_store((FREE, HELD))


def test_a_task_that_runs_out_of_memory_gets_more_of_it(
    queue_bed: QueueBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    if not queue_bed.enforces_memory:
        pytest.skip("nothing here holds a task to the memory that it asked for")
    site = make_site(queue_bed, (FREE, HELD))
    site.act(HELD, "hoard 1000")  # more than the first attempt has, less than the second
    site("submit", site.run_dir)
    site.wait(lambda: site.attempts() == [1, 2], "a second attempt")
    site.go(HELD)
    site.wait_until_over()
    assert site.troubles_after(1) == {slide_id(HELD): "out_of_memory"}
    asked = [_shape(site, attempt, HELD)["memory_mb"] for attempt in (1, 2)]
    assert asked[1] == 2 * asked[0]
    assert site.status()["complete"], site.story()
    assert site.store.read_bytes() == local_store((FREE, HELD))


def _shape(site: BedSite, attempt: int, number: int) -> dict[str, Any]:
    lines = (site.run_dir / f"attempts/{attempt:04d}/slots.jsonl").read_text().splitlines()
    shape: dict[str, Any] = json.loads(lines[site.slot_of(number, attempt)])["shape"]
    return shape


def test_what_a_person_deleted_is_sent_by_a_person_only(
    queue_bed: QueueBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(queue_bed, (FREE, HELD))
    site.act(HELD, "block")
    site("submit", site.run_dir)
    site.wait_until_held(HELD)
    queue_bed.delete(site.task_of(HELD))
    site.wait_until_over()
    site.go(HELD)
    assert site.attempts() == [1], site.story()
    assert site.troubles() == {slide_id(HELD): "cancelled"}
    assert not site.store.exists(), "a slide can still come by hand"

    shown = site("resubmit", site.run_dir, "--dry-run").stdout
    assert f"{slide_id(HELD)}" in shown
    assert site.attempts() == [1]
    site("resubmit", site.run_dir)
    site.wait_until_over()
    assert site.status()["complete"], site.story()
    assert site.tries()[slide_id(FREE)] == 1
    assert site.store.read_bytes() == local_store((FREE, HELD))


def test_a_run_that_is_cancelled_at_work_leaves_nothing_behind(
    queue_bed: QueueBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(queue_bed, (FREE, HELD, 2), profile={"max_running": 2})
    site.act(HELD, "block")
    site.act(2, "block")
    site("submit", site.run_dir)
    site.wait_until_held(HELD, 2)
    assert site.status()["states"]["running"] == 2
    refused = site("submit", site.run_dir, expect=1).stderr
    assert "resubmit" in refused
    site("cancel", site.run_dir)
    site.wait_until_over()
    site.go(HELD, 2)
    assert site.attempts() == [1], "the job that would go on was taken as well"
    assert site.troubles() == {slide_id(HELD): "cancelled", slide_id(2): "cancelled"}
    assert "nothing to cancel" in site("cancel", site.run_dir).stdout

    site("resubmit", site.run_dir)
    site.wait_until_over()
    assert site.store.read_bytes() == local_store((FREE, HELD, 2))


def test_a_run_that_is_cancelled_before_it_began_was_not_tried(
    queue_bed: QueueBed, make_site: Callable[..., BedSite]
) -> None:
    site = make_site(queue_bed, (FREE, HELD), profile={"max_running": 1})
    site.act(FREE, "block")
    site("submit", site.run_dir)
    site.wait_until_held(FREE)
    site("cancel", site.run_dir)
    site.wait_until_over()
    site.go(FREE)
    assert set(site.troubles().values()) == {"cancelled"}, site.story()
    assert site.starts() == {0: 1}


@pytest.mark.parametrize(
    ("which", "call", "moment"),
    [
        ("submits", 2, "before"),
        ("submits", 2, "after"),
        ("submits", 3, "after"),
        ("releases", 1, "before"),
        ("releases", 1, "after"),
    ],
)
def test_a_submitter_that_was_killed_is_typed_again_and_each_slot_runs_once(
    queue_bed: QueueBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
    tmp_path: Path,
    *,
    which: str,
    call: int,
    moment: str,
) -> None:
    # An array of two, a plain job and the job that goes on are submitted; then all is released.
    site = make_site(queue_bed, (0, 1, 2), profile={"max_array_size": 2})
    program = getattr(queue_bed, which)
    killer = Killer(folder=tmp_path, program=program, call=call, moment=moment)
    with site.start("submit", site.run_dir, env=killer.environment(site.env)) as submitter:
        output = submitter.communicate()[0]
    assert submitter.returncode == -9, output
    assert killer.acted
    site("submit", site.run_dir)
    site.wait_until_over()
    assert site.starts() == {0: 1, 1: 1, 2: 1}, site.story()
    assert set(site.tries().values()) == {1}
    assert site.store.read_bytes() == local_store((0, 1, 2))
