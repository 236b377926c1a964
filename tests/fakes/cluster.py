"""The fake SLURM from the side of a test: put on PATH, made to fail, and looked into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes.programs import FakePrograms

PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr")


class FakeSlurm(FakePrograms):
    """Programs first on PATH, and their state."""

    def __init__(self, folder: Path) -> None:
        source = Path(__file__).with_name("slurm.py").read_text()
        super().__init__(folder, programs=PROGRAMS, text=source)
        (self.state / "jobs.json").write_text("{}")
        self.accounting("works")
        self.answers("config", "MinJobAge = 300 sec\nMaxArraySize = 1001\n")
        self.on_cluster("")

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

    def left(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        waits = ("PENDING", "RUNNING")
        jobs = self.jobs.items()
        return [k for k, job in jobs if any(t["state"] in waits for t in job["tasks"].values())]

    def wait_for_end(self) -> None:
        """At once: jobs run inside the command that lets them go."""

    def stop(self) -> None:
        """There is nothing to stop."""

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
