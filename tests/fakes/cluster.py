"""The fake SLURM from the side of a test: put on PATH, made to fail, and looked into."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr")


class FakeSlurm:
    """Programs first on PATH, and their state."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.state = folder / "bin", folder / "state"
        self.programs.mkdir(parents=True)
        self.state.mkdir()
        source = Path(__file__).with_name("slurm.py").read_text()
        for name in PROGRAMS:
            program = self.programs / name
            program.write_text(f"#!{sys.executable} -I\n{source}")
            program.chmod(0o755)
        (self.state / "jobs.json").write_text("{}")
        self.accounting("works")
        self.answers("config", "MinJobAge = 300 sec\nMaxArraySize = 1001\n")
        self.on_cluster("")

    def put_on_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make them the ones that are found."""
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")

    def fails(self, program: str, *faults: dict[str, Any]) -> None:
        """The next calls of a program go wrong, one fault each; an empty one works as ever.

        ``before`` and ``behind`` are printed around the answer, ``stderr`` beside it; ``works:
        False`` does nothing of what was asked; ``hangs`` never ends; ``code`` is the exit code.
        """
        (self.state / f"faults-{program}.json").write_text(json.dumps(faults))

    def accounting(self, mode: str) -> None:
        """``works``, ``off``, ``lags`` (all runs), or is ``silent`` on every job."""
        (self.state / "accounting").write_text(mode)

    def on_cluster(self, name: str) -> None:
        """Jobs go to another cluster, which `sbatch --parsable` prints behind the id."""
        (self.state / "cluster").write_text(f";{name}" if name else "")

    def forgets(self) -> None:
        """`squeue` lists no job that has ended."""
        (self.state / "forgets").touch()

    def is_busy(self) -> None:
        """Nothing begins to run."""
        (self.state / "busy").touch()

    def answers(self, what: str, text: str) -> None:
        """What `scontrol show` prints; of `sacctmgr` with that word before it, and a dash."""
        (self.state / f"{what}.txt").write_text(text)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every job that was ever accepted."""
        found: dict[str, dict[str, Any]] = json.loads((self.state / "jobs.json").read_text())
        return found

    def change(self, job_id: str, task: int, **values: Any) -> None:
        """Set what became of a task."""
        jobs = self.jobs
        jobs[job_id]["tasks"][str(task)] |= values
        (self.state / "jobs.json").write_text(json.dumps(jobs))

    def loses(self, job_id: str, task: int | None = None) -> None:
        """Forget a job, or one of its tasks, without a trace."""
        jobs = self.jobs
        if task is None:
            del jobs[job_id]
        else:
            del jobs[job_id]["tasks"][str(task)]
        (self.state / "jobs.json").write_text(json.dumps(jobs))

    def calls(self, program: str) -> list[list[str]]:
        """Arguments of every call of a program so far, its name first."""
        return [call["argv"] for call in self._log() if call["argv"][0] == program]

    def environments(self, program: str) -> list[dict[str, str]]:
        """What each call of a program had in its environment."""
        return [call["env"] for call in self._log() if call["argv"][0] == program]

    def descriptors(self, program: str) -> list[list[int]]:
        """What each call of a program had open."""
        return [call["fds"] for call in self._log() if call["argv"][0] == program]

    def _log(self) -> list[dict[str, Any]]:
        log = self.state / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
