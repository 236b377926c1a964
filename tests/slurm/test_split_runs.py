"""A cluster that takes arrays of five tasks at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

SLIDES = range(41)  # slide 40 is corrupt
TWELVE_TASKS = {"shards": {"target_minutes": 0.1, "max_tasks": 12}}


def test_a_run_is_split_at_what_the_cluster_says_it_takes(
    small_arrays: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(small_arrays, SLIDES, config=TWELVE_TASKS)
    site("submit", site.run_dir)
    (intent,) = site.journaled("intent")
    assert intent["splits"] == [[0, 5, True], [5, 5, True], [10, 2, True]]
    site.wait_until_over()
    assert site.troubles() == {"s040": "corrupt_slide"}, site.story()
    assert site.starts() == dict.fromkeys(range(12), 1)
    assert site.attempts() == [1]
    assert site.store.read_bytes() == local_store(SLIDES)
