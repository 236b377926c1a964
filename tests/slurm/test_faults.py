"""Faults made for real: each gets its class, and the chained jobs alone heal what can be healed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.slurm.support import slide_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

SOUND, MEMORY, TIME, KILLED, REQUEUED, RAISING, CRASHING, LEAVING, TAKEN = range(9)
CORRUPT = 40
SLIDES = (*range(9), CORRUPT)
ACTS = {
    MEMORY: "allocate 1000",  # more than the first attempt has, less than the second
    TIME: "block",
    KILLED: "kill-worker once",
    REQUEUED: "block",
    RAISING: "raise once",
    CRASHING: "crash once",
    LEAVING: "vanish once",
    TAKEN: "block",
}
CLASSES = {
    MEMORY: "out_of_memory",
    TIME: "timeout",
    KILLED: "worker_error",
    RAISING: "worker_error",
    CRASHING: "worker_error",
    LEAVING: "worker_error",
    TAKEN: "cancelled",
    CORRUPT: "corrupt_slide",
}


@pytest.fixture(scope="module")
def faults(cluster: Cluster, make_site: Callable[..., Site]) -> Site:
    """A run with every fault that concerns one task; nobody helps it but the chained jobs."""
    site = make_site(cluster, SLIDES)
    for number, act in ACTS.items():
        if number != MEMORY or cluster.cgroups:
            site.act(number, act)
    site("submit", site.run_dir)
    site.wait_until_held(TIME, REQUEUED, TAKEN)
    cluster.run("scontrol", "requeue", site.task_of(REQUEUED))
    cluster.end_now(site.task_of(TIME))
    cluster.run("scancel", site.task_of(TAKEN))
    site.wait(lambda: len(site.held(REQUEUED)) == 2, "the requeued task to run again")
    site.go(REQUEUED)
    site.wait(lambda: cluster.state(site.task_of(TIME)) == "TIMEOUT", "the time limit")
    site.go(TIME, TAKEN)
    site.wait_until_over()
    return site


@pytest.fixture(scope="module")
def first_classes(faults: Site) -> dict[str, str]:
    """Classes as they were when the first attempt was over."""
    return faults.troubles_after(1)


@pytest.mark.parametrize("number", CLASSES)
def test_a_fault_is_told_by_its_class(
    cluster: Cluster, first_classes: dict[str, str], number: int
) -> None:
    if number == MEMORY and not cluster.cgroups:
        pytest.skip("no memory limits: /sys/fs/cgroup/memory (version 1) cannot be written here")
    assert first_classes[slide_id(number)] == CLASSES[number]


def test_nothing_else_is_called_a_fault(cluster: Cluster, first_classes: dict[str, str]) -> None:
    expected = {slide_id(n) for n in CLASSES if n != MEMORY or cluster.cgroups}
    assert first_classes.keys() == expected


def test_only_what_can_heal_by_itself_is_sent_again(cluster: Cluster, faults: Site) -> None:
    healed = {n for n in CLASSES if n not in (CORRUPT, TAKEN)} - (
        set() if cluster.cgroups else {MEMORY}
    )
    assert faults.attempts() == [1, 2], faults.story()
    sent = {slide["slide_id"] for slot in _slots(faults, 2) for slide in slot["slides"]}
    assert sent == {slide_id(n) for n in healed}
    assert faults.troubles() == {slide_id(TAKEN): "cancelled", slide_id(CORRUPT): "corrupt_slide"}
    assert faults.tries()[slide_id(CORRUPT)] == 1
    assert faults.tries()[slide_id(TAKEN)] == 1


def test_more_memory_and_more_time_are_asked_for_where_they_ran_out(
    cluster: Cluster, faults: Site
) -> None:
    before, after = _slots(faults, 1), _slots(faults, 2)
    assert _shape(after, TIME)["walltime_s"] == 1.5 * _shape(before, TIME)["walltime_s"]
    assert _shape(after, KILLED) == _shape(before, KILLED)
    if cluster.cgroups:
        assert _shape(after, MEMORY)["memory_mb"] == 2 * _shape(before, MEMORY)["memory_mb"]


def test_a_requeued_task_goes_on_in_its_attempt(faults: Site) -> None:
    slot = faults.slot_of(REQUEUED)
    executions = [each for each in faults.executions(1) if each.slot == slot]
    assert [each.of("started")[0]["restarts"] for each in executions] == [0, 1]


def test_what_was_cancelled_is_sent_by_hand_and_completes_the_store(
    faults: Site, local_store: Callable[[Sequence[int]], bytes]
) -> None:
    assert not faults.store.exists(), "a slide can still come by hand"
    faults("resubmit", faults.run_dir)
    faults.wait_until_over()
    assert faults.attempts() == [1, 2, 3]
    assert faults.troubles() == {slide_id(CORRUPT): "corrupt_slide"}, faults.story()
    assert faults.store.read_bytes() == local_store(SLIDES)


def test_a_setup_line_that_fails_everywhere_stops_the_run_and_shows_its_log(
    cluster: Cluster, make_site: Callable[..., Site]
) -> None:
    numbers = range(3)
    site = make_site(cluster, numbers, profile={"setup": ["module-that-is-not-there load python"]})
    site("submit", site.run_dir)
    site.wait_until_over()
    assert site.attempts() == [1], "no second attempt"
    assert site.starts() == {}
    assert len(site.journaled("stopped")) == 1, site.story()
    classes = {slide_id(number): "setup_failed" for number in numbers}
    assert site.troubles() == classes, site.story()
    shown = site("status", site.run_dir, expect=3).stdout
    assert "setup_failed" in shown
    assert "module-that-is-not-there" in shown, "the end of a log says what failed"


def _slots(site: Site, attempt: int) -> list[dict[str, Any]]:
    path = site.run_dir / f"attempts/{attempt:04d}/slots.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def _shape(slots: list[dict[str, Any]], number: int) -> dict[str, Any]:
    (slot,) = (
        slot for slot in slots if slide_id(number) in {each["slide_id"] for each in slot["slides"]}
    )
    shape: dict[str, Any] = slot["shape"]
    return shape
