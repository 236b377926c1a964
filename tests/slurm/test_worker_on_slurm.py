"""The worker as a task of a real SLURM: what it knows, what it hears, what it survives."""

from __future__ import annotations

import csv
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.slurm.support import PATIENCE_S
from tests.support import running

from slidearray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.slurm.clusters import Cluster
    from tests.slurm.support import Event, Execution, Site

UNDISTURBED, HUNGRY, DRAINED, STOPPED = range(4)
STRAY = """
import sys, time
from pathlib import Path
from slidearray.storage.rundir import open_run
from slidearray.worker.supervisor import supervise
code = supervise(open_run(Path(sys.argv[1])), 1, 0, walltime_s=600, started_at=time.time(),
                 patience_s=0)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def site(cluster: Cluster, make_site: Callable[..., Site]) -> Site:
    """An array of four slots of three slides; the second slide of three of them acts."""
    site = make_site(cluster, range(12), config={"shards": {"slides_per_task": 3}})
    middle = [slides[1] for slides in dealt(site)]
    if cluster.cgroups:
        site.act(middle[HUNGRY], "allocate 1000")
    for slot in (DRAINED, STOPPED):
        site.act(middle[slot], "block")
    site("submit", site.run_dir)
    cluster.run("scancel", site.advance_id())  # what the chained job would do is not asked here
    site.wait_until_held(middle[DRAINED], middle[STOPPED])
    (array,) = site.job_ids()
    # As `--signal=B:USR1@120` does it, two to three minutes before the end.
    cluster.run("scancel", "--signal=USR1", "--batch", f"{array}_{DRAINED}")
    cluster.run("scancel", f"{array}_{STOPPED}")
    site.go(middle[DRAINED])
    site.wait(lambda: not cluster.squeue("-j", array), "the array to end")
    return site


def dealt(site: Site) -> list[list[int]]:
    """The slides of each slot, by number, in the order of work."""
    slots: list[list[int]] = [[] for _ in range(4)]
    with (site.run_dir / "plan/slides.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            slots[int(row["shard"])].append(int(row["slide_id"].removeprefix("s")))
    return slots


def execution(site: Site, slot: int) -> Execution:
    (found,) = [each for each in site.executions(1) if each.slot == slot]
    return found


def only(site: Site, slot: int, name: str) -> Event:
    (found,) = execution(site, slot).of(name)
    return found


def ends(site: Site, slot: int) -> list[str]:
    """What became of a slot's slides, in the order of work; an empty text where nothing did."""
    told = {
        event["slide_id"]: event["event"] if event["event"] == "done" else event.get("failure", "")
        for event in execution(site, slot).events
        if event["event"] in ("done", "failed")
    }
    return [told.get(f"s{number:03d}", "") for number in dealt(site)[slot]]


def accounted(site: Site) -> dict[int, list[str]]:
    """By slot, the raw id, state and exit code of its task, once the accounts are settled."""
    assert site.cluster
    (array,) = site.job_ids()

    def rows() -> list[list[str]]:
        assert site.cluster
        return site.cluster.sacct("-j", array, output="JobID,JobIDRaw,State,ExitCode,NodeList")

    def settled() -> bool:
        return len(rows()) == 4 and not any(r[2] in ("RUNNING", "PENDING") for r in rows())

    site.wait(settled, "the accounts")
    return {int(row[0].partition("_")[2]): row[1:] for row in rows()}


def test_every_task_knows_its_job_its_limits_and_its_node(cluster: Cluster, site: Site) -> None:
    (array,) = site.job_ids()
    tasks = accounted(site)
    assert array in [task[0] for task in tasks.values()], "the last task bears the array's id"
    for slot in range(4):
        started = only(site, slot, "started")
        assert (started["job_id"], started["task"], started["restarts"]) == (array, slot, 0)
        assert (started["cpus"], started["memory_mb"]) == (1, 700)
        assert started["node"] == tasks[slot][3]
        assert started["node"] in cluster.nodes


def test_a_slot_that_nothing_disturbs_tells_what_it_used(site: Site) -> None:
    assert ends(site, UNDISTURBED) == ["done"] * 3
    finished = only(site, UNDISTURBED, "finished")
    assert finished["exit_code"] == 0
    assert 10 < finished["peak_mb"] < 700
    assert 0 < finished["cpu_s"] < PATIENCE_S


def test_the_memory_limit_is_the_kernels_and_not_only_a_variable(cluster: Cluster) -> None:
    if not cluster.cgroups:
        pytest.skip("no memory limits: /sys/fs/cgroup/memory (version 1) cannot be written here")
    code = "from slidearray.schedulers.limits import *; print(ControlGroups().memory_mb())"
    log = cluster.dir / "limit.log"
    job = cluster.sbatch(
        "--mem=300M", "-o", log, "--wrap", shlex.join([sys.executable, "-c", code])
    )
    cluster.wait_for_end(job)
    assert log.read_text().split() == ["300"]


def test_a_slide_that_needs_too_much_memory_ends_neither_its_slot_nor_the_next_slide(
    cluster: Cluster, site: Site
) -> None:
    if not cluster.cgroups:
        pytest.skip("no memory limits: /sys/fs/cgroup/memory (version 1) cannot be written here")
    assert ends(site, HUNGRY) == ["done", "out_of_memory", "done"], site.story()
    assert "(limit 700 MB)" in only(site, HUNGRY, "failed")["reason"]
    assert only(site, HUNGRY, "finished")["exit_code"] == 0
    assert accounted(site)[HUNGRY][1:3] == ["OUT_OF_MEMORY", "0:125"]


def test_the_warning_signal_lets_the_slide_in_flight_end_and_starts_no_other(site: Site) -> None:
    assert ends(site, DRAINED) == ["done", "done", ""]
    assert not execution(site, DRAINED).of("interrupted")
    assert only(site, DRAINED, "finished")["exit_code"] == 75
    assert accounted(site)[DRAINED][1:3] == ["FAILED", "75:0"]


def test_a_task_that_is_cancelled_records_it_before_it_is_killed(site: Site) -> None:
    assert ends(site, STOPPED) == ["done", "", ""]
    interrupted, finished = (only(site, STOPPED, name) for name in ("interrupted", "finished"))
    assert interrupted["slide_id"] == f"s{dealt(site)[STOPPED][1]:03d}"
    assert finished["exit_code"] == 75  # it is there: KILL came later
    assert accounted(site)[STOPPED][1].startswith("CANCELLED")
    (child,) = site.held(dealt(site)[STOPPED][1])
    assert not running(int(child.rpartition("-")[2]))


def test_a_job_that_the_journal_does_not_name_touches_no_slide(
    cluster: Cluster, site: Site
) -> None:
    job = run_to_its_end(cluster, site, "--wrap", shlex.join(
        [sys.executable, "-c", STRAY, str(site.run_dir)]))  # fmt: skip
    (superseded,) = [e for each in site.executions(1) for e in each.of("superseded")]
    told: dict[str, Any] = {"job_id": job, "expected": site.job_ids()}
    assert superseded == superseded | told
    assert all(len(each.of("started")) == 1 for each in site.executions(1) if each.started)


def test_a_task_of_an_abandoned_attempt_touches_no_slide(cluster: Cluster, site: Site) -> None:
    before = site.tries()
    Journal(site.run_dir / "attempts/0001/journal.jsonl").append("abandoned", reason="a test")
    (script,) = site.run_dir.glob("attempts/0001/arrays-*.sh")
    job = run_to_its_end(cluster, site, f"--array={STOPPED}", script)
    stray = [e for each in site.executions(1) for e in each.of("superseded") if e["job_id"] == job]
    assert [event["expected"] for event in stray] == [[]]
    assert site.tries() == before


def run_to_its_end(cluster: Cluster, site: Site, *args: Any) -> str:
    """Submit a job beside those of the journal; its id, once it ended well."""
    job = cluster.sbatch("-o", site.folder / "stray-%j.log", *args)
    cluster.wait_for_end(job)

    def ended() -> bool:
        rows = cluster.sacct("-j", job, output="State,ExitCode")
        return rows == [["COMPLETED", "0:0"]]

    site.wait(ended, f"job {job} to end well")
    return job
