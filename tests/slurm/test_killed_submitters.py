"""A submitter that is killed at any step: the same command again, and each slot runs once."""

from __future__ import annotations

import functools
import subprocess
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.slurm.killers import Killer
from tests.slurm.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Site

NUMBERS = range(3)
TWO_LOOKS_S = 20.0  # a submitter that does not wait for the lingering call has looked twice by then
TWO_ARRAYS = {"max_array_size": 2}  # an array of two, and one slot
#: An array, a plain job and the chained job are submitted; then all is released.
POINTS = {
    f"{moment}-{program}-{call}": (program, call, moment)
    for program, calls in (("sbatch", (1, 2, 3)), ("scontrol", (1,)))
    for call in calls
    for moment in ("before", "after", "lingering")
}


@pytest.fixture(scope="module")
def killed(
    small_arrays: Cluster, make_site: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Site]]]:
    """For each kill point a run that was submitted, killed, and submitted again."""
    makers = {
        name: functools.partial(
            _killed_and_again,
            functools.partial(make_site, small_arrays, NUMBERS, profile=TWO_ARRAYS),
            Killer(folder=tmp_path_factory.mktemp(name), program=program, call=call, moment=moment),
        )
        for name, (program, call, moment) in POINTS.items()
    }
    with together(makers) as futures:
        yield futures


def _killed_and_again(make: Callable[[], Site], killer: Killer) -> Site:
    site = make()
    with site.start("submit", site.run_dir, env=killer.environment(site.env)) as submitter:
        site.wait(lambda: submitter.poll() is not None, "the submitter to be killed")
        assert submitter.returncode == -9, submitter.stdout and submitter.stdout.read()
    assert killer.acted
    with site.start("submit", site.run_dir) as again:
        if killer.moment == "lingering":
            with suppress(subprocess.TimeoutExpired):  # else it did not wait for the call
                again.wait(TWO_LOOKS_S)
            killer.let_go()
        output = again.communicate()[0]
    assert again.returncode == 0, f"{output}\n{site.story()}"
    return site


@pytest.mark.parametrize("point", POINTS)
def test_each_slot_runs_once(
    small_arrays: Cluster,
    killed: Mapping[str, Future[Site]],
    local_store: Callable[[Sequence[int]], bytes],
    point: str,
) -> None:
    site = killed[point].result()
    site.wait_until_over()
    starts = site.starts()
    assert starts == dict.fromkeys(range(len(NUMBERS)), 1), site.story()
    assert set(site.tries().values()) == {1}
    assert site.status()["complete"], site.story()
    assert site.store.read_bytes() == local_store(NUMBERS)

    site.wait(lambda: _settled(small_arrays, site), "the accounts to be settled")
    ran = Counter(name for name, _, node in _accounts(small_arrays, site) if node in _nodes(site))
    newest = site.journaled("intent", site.attempts()[-1])[0]
    assert ran == {newest["names"][0]: 2, newest["names"][1]: 1, newest["advance"]: 1}


def _accounts(cluster: Cluster, site: Site) -> list[list[str]]:
    """Name, state and node of every execution of the run's jobs."""
    names = ",".join(sorted(site.job_names()))
    return cluster.sacct(f"--name={names}", "-S", "today", output="JobName,State,NodeList")


def _settled(cluster: Cluster, site: Site) -> bool:
    states = [state for _, state, _ in _accounts(cluster, site)]
    return len(states) >= 4 and all(
        state == "COMPLETED" or state.startswith("CANCELLED") for state in states
    )


def _nodes(site: Site) -> tuple[str, ...]:
    assert site.cluster
    return site.cluster.nodes
