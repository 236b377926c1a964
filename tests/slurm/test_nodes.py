"""Nodes that go down, and nodes that hang and come back with the jobs that were given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.slurm.support import slide_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

NUMBERS = (0, 1)


def _node(site: Site, number: int) -> str:
    """Where the newest task that this slide holds is."""
    return site.held(number)[-1].rsplit("-", 1)[0]


def test_what_a_node_loses_when_it_goes_down_is_done_on_another(
    cluster: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    requeued = make_site(cluster, NUMBERS)
    given_up = make_site(cluster, NUMBERS)
    for site in (requeued, given_up):
        site.act(NUMBERS[0], "block")
        site("submit", site.run_dir)
    for site in (requeued, given_up):
        site.wait_until_held(NUMBERS[0])
    cluster.run("scontrol", "update", f"JobId={given_up.task_of(NUMBERS[0])}", "Requeue=0")
    down = {_node(site, NUMBERS[0]) for site in (requeued, given_up)}
    try:
        for node in down:
            cluster.set_node(node, "down")
        # SLURM itself starts the one again, an attempt of ours the other.
        requeued.wait(lambda: len(requeued.held(NUMBERS[0])) == 2, "the task to run elsewhere")
        given_up.wait(lambda: len(given_up.held(NUMBERS[0])) == 2, "the next attempt")
        for site in (requeued, given_up):
            site.go(*NUMBERS)
            site.wait_until_over()
    finally:
        for node in down:
            cluster.set_node(node, "resume")

    assert requeued.attempts() == [1]
    assert given_up.attempts() == [1, 2], given_up.story()
    assert given_up.troubles_after(1) == {slide_id(NUMBERS[0]): "node_failure"}
    (script,) = given_up.run_dir.glob("attempts/0002/arrays-*.sh")
    (excluded,) = (line for line in script.read_text().splitlines() if "--exclude" in line)
    assert any(node in excluded for node in down)
    for site in (requeued, given_up):
        assert site.status()["complete"], site.story()
        assert site.store.read_bytes() == local_store(NUMBERS)


def test_two_copies_of_a_slot_do_no_harm_when_a_node_hangs_and_comes_back(
    cluster: Cluster,
    make_site: Callable[..., Site],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = make_site(cluster, NUMBERS)
    for number in NUMBERS:
        site.act(number, "block")
    site("submit", site.run_dir)
    site.wait_until_held(*NUMBERS)
    first = _node(site, NUMBERS[0])
    try:
        cluster.node("hang", first)
        site.wait(lambda: len(site.held(NUMBERS[0])) == 2, "a second copy of the slot")
        site.go(*NUMBERS)  # the first copy is frozen, and does its work when it comes back
        site.wait(lambda: len(_results(site, NUMBERS[0])) == 1, "the second copy's result")
    finally:
        cluster.node("unhang", first)
    site.wait_until_over()
    site.wait(lambda: not cluster.processes_of(site.folder), "the first copy to end")

    assert site.attempts() == [1], site.story()
    assert site.starts()[site.slot_of(NUMBERS[0])] == 2
    assert site.status()["complete"], site.story()
    assert site.store.read_bytes() == local_store(NUMBERS)
    site("verify", site.run_dir)


def _results(site: Site, number: int) -> list[str]:
    """Executions that finished a slide."""
    return [
        each.path.name
        for each in site.executions()
        for event in each.of("done")
        if event["slide_id"] == slide_id(number)
    ]
