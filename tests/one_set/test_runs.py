"""From `submit` to the finished store with nobody logged in: the same on every scheduler."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.one_set.beds import Bed, QueueBed
    from tests.one_set.support import BedSite

SOUND, CORRUPT = (0, 1, 2), 6
SLIDES = (*SOUND, CORRUPT)
Store = "Callable[[Sequence[int]], bytes]"


@pytest.fixture(scope="module")
def finished(bed: Bed, make_site: Callable[..., BedSite]) -> BedSite:
    """A run of three sound slides and a corrupt one in two tasks, left to itself."""
    site = make_site(bed, SLIDES, config={"shards": {"slides_per_task": 2}})
    site.submit_and_leave()
    return site


def test_several_slides_in_several_tasks_become_the_store_of_a_local_run(
    finished: BedSite, local_store: Callable[[Sequence[int]], bytes]
) -> None:
    assert finished.attempts() == [1], finished.story()
    assert finished.starts() == {0: 1, 1: 1}
    assert finished.store.read_bytes() == local_store(SLIDES)


def test_a_corrupt_slide_is_told_and_not_sent_again(finished: BedSite) -> None:
    assert finished.troubles() == {"s006": "corrupt_slide"}
    assert finished.tries()["s006"] == 1
    assert finished.status()["states"]["done"] == len(SOUND)
    told = finished("resubmit", finished.run_dir, expect=3)
    assert "nothing to send again" in told.stdout
    assert finished.attempts() == [1]


def test_the_log_of_a_slide_is_found(finished: BedSite) -> None:
    assert "s001: done" in finished("logs", finished.run_dir, "s001").stdout
    assert "s006" in finished("logs", finished.run_dir, "s006").stdout


def test_what_was_used_is_told(finished: BedSite) -> None:
    told = json.loads(finished("efficiency", finished.run_dir, "--json").stdout)
    assert told, finished.story()


def test_a_store_that_is_made_is_not_made_again(finished: BedSite) -> None:
    before = finished.store.stat().st_mtime_ns
    finished("reduce", finished.run_dir, expect=None)
    assert finished.store.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("numbers", "profile", "jobs"),
    [
        pytest.param((0,), {}, 1, id="one slide"),
        pytest.param((0, 1, 2), {"max_array_size": 2}, 2, id="two jobs"),
        pytest.param((0, 1), {"max_array_size": 0}, 2, id="no arrays"),
        pytest.param((0, 1, 2), {"max_running": 1}, 1, id="one at a time"),
    ],
)
def test_every_shape_of_submission_ends_in_the_same_store(
    queue_bed: QueueBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
    numbers: Sequence[int],
    profile: dict[str, Any],
    jobs: int,
) -> None:
    site = make_site(queue_bed, numbers, profile=profile)
    site.submit_and_leave()
    assert site.status()["complete"], site.story()
    assert len(site.job_ids()) == jobs
    assert site.starts() == dict.fromkeys(range(len(numbers)), 1), site.story()
    assert site.store.read_bytes() == local_store(numbers)


def test_one_command_plans_submits_waits_and_merges(
    bed: Bed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(bed, (0, 1))
    site("run", "slidearray.yaml", "--profile", "here.yaml")
    assert site.store.read_bytes() == local_store((0, 1))
    assert site.starts() == {0: 1, 1: 1}


def test_files_have_the_rights_that_the_submitter_gives(
    bed: Bed, make_site: Callable[..., BedSite]
) -> None:
    for mask, forbidden in ((0o027, stat.S_IWGRP | stat.S_IRWXO), (0o077, stat.S_IRWXG)):
        before = os.umask(mask)
        try:
            site = make_site(bed, (0,))
            site.submit_and_leave()
        finally:
            os.umask(before)
        assert site.store.exists(), site.story()
        made = [path for path in site.run_dir.rglob("*") if not path.is_symlink()]
        shown = [path for path in made if path.stat().st_mode & forbidden]
        assert shown == []
        if mask == 0o027:
            group = stat.S_IRGRP
            hidden = [path for path in made if path.is_file() and not path.stat().st_mode & group]
            assert hidden == [], "the group of the submitter reads all of it"


def test_a_profile_is_held_against_the_cluster(bed: Bed, make_site: Callable[..., BedSite]) -> None:
    site = make_site(bed, (0,))
    assert site("profile", "check", "here.yaml").stderr == ""


def test_a_node_is_looked_at_by_one_short_job(
    queue_bed: QueueBed, make_site: Callable[..., BedSite]
) -> None:
    site = make_site(queue_bed, (0,))
    told = site("doctor", "--profile", "here.yaml", "--submit", "--json", expect=None)
    checks = json.loads(told.stdout)
    assert told.returncode == 0, json.dumps(checks, indent=1)
