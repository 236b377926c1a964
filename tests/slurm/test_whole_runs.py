"""From `submit` to the finished store with nobody logged in, in every shape of submission."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.slurm.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from tests.slurm.clusters import Cluster
    from tests.slurm.person import Person
    from tests.slurm.support import Site

LARGE = range(41)  # 40 sound slides and a corrupt one
TWELVE_TASKS = {"shards": {"target_minutes": 0.1, "max_tasks": 12}}
THIRD_OF_A_NODE = {"cpus_per_task": 2, "memory": "1900M"}  # twelve fill three nodes
FEW = range(3)

# What an enclosing job and a user's habits leave in the environment.
ENCLOSING = {
    "SBATCH_ARRAY_INX": "0-99",
    "SBATCH_PARTITION": "one",  # kept: the user chose it
    "SBATCH_JOB_NAME": "mine",
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_OUTPUT": "/dev/null",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_EXPORT": "NONE",
    "SQUEUE_FORMAT": "%i",
    "SQUEUE_STATES": "RUNNING",
    "SACCT_FORMAT": "JobID",
    "SLURM_TIME_FORMAT": "relative",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """A run that fills the cluster, and what was seen while all of its tasks were at work."""

    site: Site
    nodes: set[str]
    processes_elsewhere: list[str]


@pytest.fixture(scope="module")
def large(cluster: Cluster, make_site: Callable[..., Site]) -> Iterator[Future[Large]]:
    with together({"large": functools.partial(_large, cluster, make_site)}) as futures:
        yield futures["large"]


@pytest.fixture(scope="module")
def runs(
    cluster: Cluster, make_site: Callable[..., Site], person: Person, large: Future[Large]
) -> Iterator[Mapping[str, Future[Site]]]:
    few = functools.partial(_submitted, make_site, cluster, FEW)
    makers = {
        "one": functools.partial(_submitted, make_site, cluster, [0]),
        "plain": functools.partial(few, profile={"max_array_size": 0}),
        "person": functools.partial(few, person=person),
        "inside": functools.partial(_submitted_inside, cluster, make_site),
    }
    with together(makers) as futures:
        yield futures


def _submitted(
    make_site: Callable[..., Site], cluster: Cluster, numbers: Sequence[int], **settings: object
) -> Site:
    site = make_site(cluster, numbers, **settings)
    site("submit", site.run_dir)
    return site


def _large(cluster: Cluster, make_site: Callable[..., Site]) -> Large:
    """Its twelve tasks are all held by their first slide; whoever submitted them is gone."""
    site = make_site(cluster, LARGE, config=TWELVE_TASKS, profile=THIRD_OF_A_NODE)
    for number in LARGE:
        site.act(number, "block")
    with site.start("submit", site.run_dir) as submitter:
        output = submitter.communicate()[0]
    assert submitter.returncode == 0, output
    with pytest.raises(ProcessLookupError):  # nothing of its session is left
        os.killpg(submitter.pid, signal.SIGKILL)
    try:
        site.wait(lambda: sum(len(site.held(n)) for n in LARGE) == 12, "twelve tasks at work")
        return Large(
            site=site,
            nodes={held.rsplit("-", 1)[0] for n in LARGE for held in site.held(n)},
            processes_elsewhere=cluster.processes_of(site.folder, on_nodes=False),
        )
    finally:
        site.go(*LARGE)


def _submitted_inside(cluster: Cluster, make_site: Callable[..., Site]) -> Site:
    site = make_site(cluster, FEW)
    command = shlex.join(site.argv("submit", site.run_dir))
    exports = "\n".join(f"export {name}={value}" for name, value in ENCLOSING.items())
    script = site.folder / "enclosing.sh"
    script.write_text(f"#!/bin/bash\n{exports}\ncd {shlex.quote(str(site.folder))}\n{command}\n")
    log = site.folder / "enclosing.log"
    job = cluster.sbatch("--array=7", "--mem=700M", "-o", log, script)
    cluster.wait_for_end(job)
    assert "Traceback" not in log.read_text()
    assert site.attempts() == [1], log.read_text()
    return site


def _complete(site: Site, store: bytes) -> None:
    site.wait_until_over()
    assert site.status()["complete"], site.story()
    assert site.attempts() == [1]
    assert set(site.starts().values()) == {1}, site.story()
    assert site.store.read_bytes() == store


def test_forty_slides_in_twelve_tasks_over_three_nodes_become_a_store(
    cluster: Cluster,
    large: Future[Large],
    runs: Mapping[str, Future[Site]],  # started beside it
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    seen = large.result()
    assert seen.nodes == set(cluster.nodes)
    assert seen.processes_elsewhere == []

    site = seen.site
    site.wait_until_over()
    assert site.troubles() == {"s040": "corrupt_slide"}, site.story()
    assert site.status()["states"]["done"] == 40
    assert site.starts() == dict.fromkeys(range(12), 1)
    assert site.attempts() == [1]
    assert site.store.read_bytes() == local_store(LARGE)


def test_one_slide_is_one_task(
    cluster: Cluster,
    runs: Mapping[str, Future[Site]],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = runs["one"].result()
    _complete(site, local_store([0]))
    (job,) = site.job_ids()
    ((_, state),) = _accounted(cluster, site, job)
    assert state == "COMPLETED"


def test_without_arrays_every_slot_is_a_plain_job(
    cluster: Cluster,
    runs: Mapping[str, Future[Site]],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = runs["plain"].result()
    _complete(site, local_store(FEW))
    jobs = site.job_ids()
    assert len(jobs) == len(FEW)
    assert [_accounted(cluster, site, job) for job in jobs] == [
        [[job, "COMPLETED"]] for job in jobs
    ]


def _accounted(cluster: Cluster, site: Site, job: str) -> list[list[str]]:
    """Rows of a job, once the accounts are settled."""

    def rows() -> list[list[str]]:
        return cluster.sacct("-j", job, output="JobID,State")

    site.wait(lambda: rows() and all(row[1] == "COMPLETED" for row in rows()), f"accounts of {job}")
    return rows()


def test_an_unprivileged_user_with_a_private_umask_gets_a_store_nobody_else_can_read(
    runs: Mapping[str, Future[Site]],
    person: Person,
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = runs["person"].result()
    _complete(site, local_store(FEW))
    made = [site.run_dir, *site.run_dir.rglob("*")]
    assert {path.owner() for path in made} == {person.name}
    shown = [path for path in made if not path.is_symlink() and _is_shown(path)]
    assert shown == []


def _is_shown(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def test_a_submission_from_inside_a_job_takes_nothing_of_that_job_along(
    cluster: Cluster,
    runs: Mapping[str, Future[Site]],
    local_store: Callable[[Sequence[int]], bytes],
) -> None:
    site = runs["inside"].result()
    _complete(site, local_store(FEW))
    nodes = {event["node"] for each in site.executions() for event in each.of("started")}
    assert nodes == {cluster.nodes[0]}, "the user's own choice of a partition is kept"
    assert [log.name for log in site.run_dir.glob("attempts/0001/logs/*/*.log")] != []
