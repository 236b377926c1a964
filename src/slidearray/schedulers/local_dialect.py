"""No scheduler but this machine: one script a shape, which takes its slot as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.schedulers.arrays import ArrayJob, split
from slidearray.schedulers.limits import local_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.core.shapes import Shape


class LocalDialect:
    """No scheduler: no variables, no queue, no limits."""

    template = "local.sh.j2"
    runs_here = True
    kill_wait_s = 30.0

    def at_once(self, cpus_per_task: int) -> int:
        """As many as this machine's CPUs take."""
        return local_window(cpus_per_task)

    def arrays(
        self,
        shapes: Sequence[Shape],
        *,
        profile: Profile,
        token: str,
        attempt: int,
        limits: QueueLimits,
    ) -> list[ArrayJob]:
        """One job a shape."""
        return split(shapes, limit=max(len(shapes), 1), token=token, attempt=attempt)

    def array_options(
        self, profile: Profile, shape: Shape, *, exclude: Sequence[str] = ()
    ) -> list[str]:
        """None: nobody reads them."""
        return []

    def advance_options(self, profile: Profile) -> list[str]:
        """None: there is no such job."""
        return []

    def check_script(self, text: str, *, profile: Profile, array: str | None, source: str) -> None:
        """Nothing: bash itself looks at a script."""

    def submit_argv(
        self, script: Path, *, name: str, after: Sequence[str] = (), held: bool
    ) -> list[str]:
        """What runs the script."""
        return ["/bin/bash", "-l", str(script)]

    def submission(self, job: ArrayJob, script: Path) -> list[str]:
        """What runs each slot."""
        return [*self.submit_argv(script, name=job.name, held=False), "{slot}"]

    def task_arguments(self, job: ArrayJob, task: int) -> list[str]:
        """The slot."""
        return [str(job.offset + task)]

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """Nothing: the slot is the script's argument."""
        return {}

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """The folder: whoever runs the script opens one log a slot in it."""
        return str(folder)
