"""The fake SLURM on PATH, and what is submitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakes.cluster import FakeSlurm
from tests.fakes.jobs import AT_ONCE, profile

from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Its programs, first on PATH."""
    found = FakeSlurm(tmp_path / "fake")
    found.put_on_path(monkeypatch)
    return found


@pytest.fixture
def queue(fake_slurm: FakeSlurm) -> Queue:
    return Queue(profile(), patience=AT_ONCE)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An array of three tasks; the second one fails."""
    path = tmp_path / "a b.sh"
    path.write_text(
        "#!/bin/bash\n#SBATCH --array=0-2\n"
        f"#SBATCH --output='{tmp_path}/%a.log'\n"
        'echo "task $SLURM_ARRAY_TASK_ID"\n'
        "exit $((SLURM_ARRAY_TASK_ID == 1 ? 7 : 0))\n"
    )
    return path
