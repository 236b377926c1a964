"""No scheduler but this machine: one script a shape, which takes its slot as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.schedulers.arrays import ArrayJob, split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

    from slidearray.core.profile import Profile
    from slidearray.core.shapes import Shape


class LocalDialect:
    """No scheduler: no variables, no commands, no limits."""

    template = "local.sh.j2"

    def arrays(
        self,
        shapes: Sequence[Shape],
        *,
        profile: Profile,
        token: str,
        attempt: int,
    ) -> list[ArrayJob]:
        """One job a shape."""
        return split(shapes, limit=max(len(shapes), 1), token=token, attempt=attempt)

    def submit_command(self, script: Path, *, after: str | None) -> NoReturn:
        """Nothing to submit to: `RunError`."""
        raise RunError(f"{script}: the local profile has no queue; use `slidearray submit --local`")

    def release_command(self, job_id: str) -> NoReturn:
        """Nothing to release: `RunError`."""
        raise RunError(f"{job_id}: the local profile has no queue, so nothing is held")

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """Nothing: the slot is the script's argument."""
        return {}

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """The folder: whoever runs the script opens one log a slot in it."""
        return str(folder)
