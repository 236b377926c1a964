"""What a scheduler is to us: array jobs and argument lists. Pure: nothing here runs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from slidearray.schedulers.local_dialect import LocalDialect
from slidearray.schedulers.slurm import SlurmDialect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.shapes import Shape
    from slidearray.schedulers.arrays import ArrayJob


class Dialect(Protocol):
    """How one scheduler is spoken to."""

    @property
    def template(self) -> str:
        """File name of its job-script template."""

    @property
    def runs_here(self) -> bool:
        """Whether its jobs run on this machine, without a queue."""

    def at_once(self, cpus_per_task: int) -> int:
        """Tasks of so many CPUs that surely run at once: with fewer, CPUs would be idle."""

    def arrays(
        self, shapes: Sequence[Shape], *, profile: Profile, token: str, attempt: int
    ) -> list[ArrayJob]:
        """Jobs for all slots of an attempt; ``shapes[k]`` is slot k's, equal ones together."""

    def submission(self, job: ArrayJob, script: Path) -> list[list[str]]:
        """Arguments of the commands that submit a job, in order; ids not known yet in braces."""

    def task_arguments(self, job: ArrayJob, task: int) -> list[str]:
        """Arguments that the script is given in a job's task `task`, counted from 0."""

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """What the scheduler would set in a job's task `task`, counted from 0."""

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """Path of a job's logs in `folder`, as its script names it.

        Raises
        ------
        RunError
            When the scheduler cannot write to such a folder.
        """


DIALECTS: dict[str, Dialect] = {"slurm": SlurmDialect(), "local": LocalDialect()}


def dialect_for(profile: Profile) -> Dialect:
    """The dialect of a profile's scheduler."""
    return DIALECTS[profile.scheduler]
