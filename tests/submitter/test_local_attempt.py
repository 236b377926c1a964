"""What the slots of an attempt become on this machine, under the profile of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slidearray.core.profile import parse_profile
from slidearray.core.shapes import Shape
from slidearray.schedulers.arrays import ArrayJob
from slidearray.storage.rundir import RunDir
from slidearray.submitter.attempts import PreparedAttempt
from slidearray.submitter.local_attempt import local_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.schedulers.local import LocalTask


def tasks_of(folder: Path, scheduler: str) -> list[LocalTask]:
    raw = {"version": 1, "scheduler": scheduler, "walltime": 1, "memory": "1G", "cpus_per_task": 2}
    profile = parse_profile(raw, source="test", name="test")
    jobs = [
        ArrayJob(index=k, name=f"j{k}", offset=2 * k, count=2 - k, shape=profile.shape())
        for k in range(2)
    ]
    prepared = PreparedAttempt(
        run=RunDir(root=folder / "run", project=folder),
        profile=profile,
        number=1,
        slots=(),
        jobs=tuple(jobs),
        scripts=("", ""),
        advance=None,
    )
    assert profile.shape() == Shape(cpus=2, memory_mb=1024, walltime_s=60)
    return local_tasks(prepared)


@pytest.mark.parametrize(("scheduler", "seconds"), [("slurm", 30), ("pbs", 8), ("local", 30)])
def test_a_task_has_as_long_after_term_as_its_scheduler_gives(
    tmp_path: Path, scheduler: str, seconds: float
) -> None:
    tasks = tasks_of(tmp_path, scheduler)
    assert [task.slot for task in tasks] == [0, 1, 2]
    assert {(task.walltime_s, task.kill_wait_s) for task in tasks} == {(60, seconds)}


def test_an_enclosing_job_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PBS_JOBID", "PBS_O_HOME", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "outer")
    monkeypatch.setenv("PBS_SERVER", "head")  # not of a job: where the server is
    for scheduler in ("slurm", "pbs", "local"):
        for task in tasks_of(tmp_path, scheduler):
            assert "outer" not in task.environment.values()
            assert task.environment["PBS_SERVER"] == "head"
