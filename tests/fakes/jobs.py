"""What tests of the queue submit, and ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slidearray.core.profile import Profile, parse_profile
from slidearray.core.queue import SubmittedJob
from slidearray.schedulers.queue import Patience

if TYPE_CHECKING:
    from slidearray.core.queue import TaskWord
    from slidearray.schedulers.queue import Queue

#: Tries at once, and takes an accounting that is behind for one that says nothing at all.
AT_ONCE = Patience(pauses_s=(0.0, 0.0, 0.0), lag_s=0.0)
#: Never gives the accounting up.
WAITING = replace(AT_ONCE, lag_s=3600.0)


def profile(**keys: object) -> Profile:
    raw = {"version": 1, "scheduler": "slurm", "walltime": 60, "memory": "1G", **keys}
    return parse_profile(raw, source="p.yaml", name="p")


def as_job(job_id: str, name: str = "sa-1", *, count: int = 3) -> SubmittedJob:
    return SubmittedJob(
        job_id=job_id, name=name, attempt=1, split=0, offset=0, count=count, array=count > 1
    )


def all_tasks(*jobs: SubmittedJob) -> set[tuple[str, int]]:
    return {(job.job_id, task) for job in jobs for task in range(job.count)}


def words(queue: Queue, job: SubmittedJob) -> list[TaskWord]:
    told = queue.ask([job], all_tasks(job))
    return [told.of(job.job_id, task) for task in range(job.count)]
