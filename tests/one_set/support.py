"""A project with one planned run, on any bed: what a person types, and what the files say then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.slurm.support import Site

if TYPE_CHECKING:
    from tests.one_set.beds import Bed


@dataclass(frozen=True, slots=True, kw_only=True)
class BedSite(Site):
    """A project of a bed."""

    bed: Bed

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command."""
        return {**self.bed.env, **self.extra}

    @property
    def planned_with(self) -> list[str]:
        """Options of `plan`."""
        return ["--profile", "here.yaml"]

    @property
    def usual_profile(self) -> dict[str, Any]:
        """What the profile says where a test says nothing else."""
        return self.bed.profile

    def task_id(self, array: str, number: int) -> str:
        """What the scheduler calls a task of an array."""
        return self.bed.task_id(array, number)

    def queued(self) -> list[list[str]]:
        """What of this run has not ended."""
        names = self.job_names()
        return self.bed.queued(sorted(names)) if names else []

    def submit_and_leave(self) -> None:
        """Submit, and wait for the end that the run then reaches by itself."""
        if self.bed.name == "local":  # here nothing goes on without its command
            self("run", "slidearray.yaml", *self.planned_with, expect=None)
            return
        self("submit", self.run_dir)
        self.wait_until_over()
