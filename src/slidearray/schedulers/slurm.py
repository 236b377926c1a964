"""SLURM: arrays within MaxArraySize, `sbatch` and `scontrol` argument lists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.schedulers.arrays import ArrayJob, chained, split, throttles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.shapes import Shape

#: MaxArraySize where nobody changed it (slurm.conf): it caps the index, so 0 to 1000 are allowed.
DEFAULT_MAX_ARRAY_SIZE = 1001


class SlurmDialect:
    """SLURM's words."""

    template = "slurm.sh.j2"
    runs_here = False

    def at_once(self, cpus_per_task: int) -> int:
        """One: how much of the cluster is free, nobody knows."""
        return 1

    def arrays(
        self, shapes: Sequence[Shape], *, profile: Profile, token: str, attempt: int
    ) -> list[ArrayJob]:
        """Jobs for all slots of an attempt; a throttle holds over all of them together."""
        asked = profile.max_array_size
        limit = DEFAULT_MAX_ARRAY_SIZE if asked == "auto" else asked
        jobs = split(shapes, limit=max(limit, 1), token=token, attempt=attempt)
        total = profile.max_running
        if total is not None and total < len(jobs):
            jobs = chained(jobs, lanes=total)
            total = len(jobs)  # one each; the chains keep it to as many as there are lanes
        if limit == 0:
            return jobs
        counts = [job.count for job in jobs]
        shares = counts if total is None else throttles(counts, total=total)
        return [
            replace(job, array=_range(job.count, throttle=share))
            for job, share in zip(jobs, shares, strict=True)
        ]

    def submission(self, job: ArrayJob, script: Path) -> list[list[str]]:
        """`sbatch`, held and printing the id alone, then `scontrol release` of all its tasks."""
        after = [] if job.after is None else [f"--dependency=afterany:{{array id of {job.after}}}"]
        return [
            ["sbatch", "--parsable", "--hold", *after, str(script)],
            ["scontrol", "release", "{array id}"],
        ]

    def task_arguments(self, job: ArrayJob, task: int) -> list[str]:
        """None: the script takes its slot from the array."""
        return []

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """Variables of a batch script, with ids that no two tasks of an attempt share."""
        # The id of an array is the id of one of its tasks, and ids are numbers (job_array.html).
        environment = {
            "SLURM_JOB_ID": str(job.offset + task + 1),
            "SLURM_JOB_NAME": job.name,
            "SLURM_CPUS_PER_TASK": str(job.shape.cpus),
            "SLURM_MEM_PER_NODE": str(job.shape.memory_mb),
        }
        if job.array is None:
            return environment
        return environment | {
            "SLURM_ARRAY_JOB_ID": str(job.offset + 1),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": str(job.count - 1),
            "SLURM_ARRAY_TASK_COUNT": str(job.count),
            "SLURM_ARRAY_TASK_STEP": "1",
        }

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """Path for ``--output``: ``%a`` stands for the task, a real ``%`` is doubled.

        Raises
        ------
        RunError
            When the path holds a backslash: it turns the pattern off, and goes missing itself
            (slurm, src/slurmd/slurmstepd/fname.c).
        """
        if "\\" in str(folder):
            raise RunError(
                f"{folder}: SLURM cannot write logs to a path with a backslash; "
                "choose another run_dir"
            )
        name = "0.log" if job.array is None else "%a.log"
        return f"{str(folder).replace('%', '%%')}/{name}"


def _range(count: int, *, throttle: int) -> str:
    return f"0-{count - 1}" if throttle >= count else f"0-{count - 1}%{throttle}"
