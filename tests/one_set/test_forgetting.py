"""A PBS that keeps no history: what has ended is known from records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.slurm.support import slide_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.one_set.beds import PbsBed
    from tests.one_set.support import BedSite

FREE, HELD, RAISING, KILLED = range(4)
SLIDES = (FREE, HELD, RAISING, KILLED)


def test_a_run_heals_and_ends_without_a_history(
    pbs_bed: PbsBed,
    make_site: Callable[..., BedSite],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    with pbs_bed.without_history():
        site = make_site(pbs_bed, SLIDES)
        for number, act in {
            HELD: "block",
            RAISING: "raise once",
            KILLED: "kill-worker once",
        }.items():
            site.act(number, act)
        site("submit", site.run_dir)
        site.wait_until_held(HELD)
        assert site.status()["states"]["unknown"] == 0, site.story()
        site.go(HELD)
        site.wait_until_over()
        assert site.attempts() == [1, 2], site.story()
        assert site.status()["complete"], site.story()
        first = site.troubles_after(1)
        assert first.pop(slide_id(KILLED)) in ("worker_error", "lost")  # its exit code is forgotten
        assert first == {slide_id(RAISING): "worker_error"}
        assert site.tries()[slide_id(FREE)] == 1
        assert site.store.read_bytes() == local_store(SLIDES)
