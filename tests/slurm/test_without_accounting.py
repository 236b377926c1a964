"""A cluster that keeps no accounts, forgets within seconds, and whose controller goes away."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING

import pytest
from tests.slurm.support import slide_id
from tests.slurm.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

SOUND, KILLED, RAISING, REQUEUED, HELD, CORRUPT = 0, 1, 2, 3, 4, 40
SLIDES = (SOUND, KILLED, RAISING, REQUEUED, HELD, CORRUPT)


@pytest.fixture(scope="module")
def forgetful(make_cluster: Callable[..., Cluster]) -> Cluster:
    return make_cluster(ACCT="no", MINJOBAGE=5)


@pytest.fixture(scope="module")
def faults(forgetful: Cluster, make_site: Callable[..., Site]) -> Iterator[Future[Site]]:
    """A run with faults; it waits long for records of a task whose end is forgotten."""
    with together({"faults": functools.partial(_faults, forgetful, make_site)}) as futures:
        yield futures["faults"]


def _faults(forgetful: Cluster, make_site: Callable[..., Site]) -> Site:
    site = make_site(forgetful, SLIDES)
    acts = {KILLED: "kill-worker once", RAISING: "raise once", REQUEUED: "block", HELD: "block"}
    for number, act in acts.items():
        site.act(number, act)
    site("submit", site.run_dir)
    site.wait_until_held(REQUEUED, HELD)
    forgetful.run("scontrol", "requeue", site.task_of(REQUEUED))
    site.wait(lambda: len(site.held(REQUEUED)) == 2, "the requeued task to run again")
    site.wait(lambda: not forgetful.state(site.task_of(KILLED)), "the killed task to be forgotten")
    states = site.status()["states"]
    assert states["running"] == 2, site.story()
    assert states["unknown"] == 0
    site.go(REQUEUED, HELD)
    return site


def test_waiting_can_be_stopped_and_the_run_goes_on(
    forgetful: Cluster,
    faults: Future[Site],  # started beside it
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(forgetful, [SOUND, HELD])
    site.act(HELD, "block")
    with site.start("run", "slidearray.yaml", "--profile", "here.yaml") as waiting:
        site.wait_until_held(HELD)
        waiting.send_signal(signal.SIGINT)
        output = waiting.communicate()[0]
    assert waiting.returncode == 75, output
    site.go(HELD)
    site.wait_until_over()
    assert site.store.read_bytes() == local_store([SOUND, HELD])


def test_faults_heal_where_the_scheduler_forgets(
    faults: Future[Site], local_store: Callable[[Sequence[int]], bytes]
) -> None:
    site = faults.result()
    site.wait_until_over()
    assert site.attempts() == [1, 2], site.story()
    first = site.troubles_after(1)
    assert first.pop(slide_id(KILLED)) in ("worker_error", "lost")  # its exit code is forgotten
    assert first == {slide_id(RAISING): "worker_error", slide_id(CORRUPT): "corrupt_slide"}
    assert site.troubles() == {slide_id(CORRUPT): "corrupt_slide"}
    assert site.tries()[slide_id(CORRUPT)] == 1
    assert site.store.read_bytes() == local_store(SLIDES)


def test_a_run_goes_on_when_the_controller_was_away(
    forgetful: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    numbers = (SOUND, REQUEUED, HELD)
    site = make_site(forgetful, numbers)
    site.act(HELD, "block")
    site.act(SOUND, "raise once")  # so that something is left to be sent
    site("submit", site.run_dir)
    site.wait_until_held(HELD)
    forgetful.stop_controller()
    try:
        status = site.status()
        assert status["states"]["done"] + status["states"]["running"] <= len(numbers)
        refused = site("resubmit", site.run_dir, expect=1).stderr
        assert "Unable to contact slurm controller" in refused
        assert site.attempts() == [1]
        site.go(HELD)
        site.wait(lambda: _done(site, HELD), "the slide to be done without a controller")
    finally:
        forgetful.mend()
    site.wait_until_over()
    assert site.attempts() == [1, 2], site.story()
    assert site.status()["complete"], site.story()
    assert site.store.read_bytes() == local_store(numbers)


def _done(site: Site, number: int) -> bool:
    done = (event for each in site.executions() for event in each.of("done"))
    return slide_id(number) in {event["slide_id"] for event in done}
