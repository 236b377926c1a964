"""The fake PBS from the side of a test: put on PATH, made to fail, and looked into."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from tests.fakes.programs import FakePrograms
from tests.support import wait_for

PROGRAMS = ("qsub", "qstat", "qdel", "qrls", "qalter", "qselect", "pbsnodes")
CHECKOUT = Path(__file__).resolve().parents[2]
ENDED = ("finished", "failed", "terminated", "dropped")


class FakePbs(FakePrograms):
    """Programs first on PATH, their state, and the tasks that run in the background.

    Parameters
    ----------
    folder
        A folder of its own.
    settings
        Changes of `_SETTINGS`.
    """

    _SETTINGS: ClassVar[dict[str, Any]] = {
        "history": True,
        "max_array_size": 10000,
        "ncpus": 8,
        "kill_delay_s": 8.0,
        "enforces_memory": False,
        "busy": False,
        "default_queue": "workq",
        "queues": {"workq": {}},
        "resources": [],  # those that the site defined: ngpus, too
        "groups": [],  # those that everyone is in, beside groups of this machine
        "server": {},  # more attributes that `qstat -B` shows
        "node": {},  # more of the node's resources
    }

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, programs=PROGRAMS, text=_program())
        mom = folder / "mom"
        mom.write_text(f"#!{sys.executable} -IS\n{_program()}")
        mom.chmod(0o755)
        self.home = folder / "home"
        self.home.mkdir()
        # As a site does it: the login shell of a job finds the scheduler's commands.
        profile = f'export PATH="{self.programs}:$PATH"\n'
        (self.home / ".bash_profile").write_text(profile)
        (self.state / "spool").mkdir()
        (self.state / "sequence").write_text("0")
        (self.state / "jobs.json").write_text("{}")
        usual = {"home": str(self.home), "path": f"{self.programs}:/usr/local/bin:/usr/bin:/bin"}
        self._settings = {**self._SETTINGS, **usual, **settings}
        self.set()

    def set(self, **values: Any) -> None:
        """Change settings."""
        self._settings |= values
        (self.state / "settings.new").write_text(json.dumps(self._settings))
        (self.state / "settings.new").replace(self.state / "settings.json")

    def is_busy(self) -> None:
        """Nothing begins to run."""
        self.set(busy=True)

    def forgets(self) -> None:
        """There is no history, and what ended before is forgotten."""
        self.set(history=False)
        with self._changed() as jobs:
            for job_id in [each for each, job in jobs.items() if _is_over(job)]:
                del jobs[job_id]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every job that is known, by its id without server."""
        found: dict[str, dict[str, Any]] = json.loads((self.state / "jobs.json").read_text())
        return found

    def left(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [job_id for job_id, job in self.jobs.items() if not _is_over(job)]

    def change(self, job_id: str, task: int | str, **values: Any) -> None:
        """Set what became of a task; of a plain job its number is empty."""
        with self._changed() as jobs:
            jobs[job_id]["tasks"][str(task)] |= values

    def loses(self, job_id: str) -> None:
        """Forget a job without a trace."""
        with self._changed() as jobs:
            del jobs[job_id]

    def strikes(self, job_id: str, task: int | str, code: int) -> None:
        """End a running task as PBS itself does, with a code such as -27 or -29."""
        self._mark(job_id, task, str(code))

    def reruns(self, job_id: str, task: int | str = "") -> None:
        """Kill a running task, and queue it again, as after a restart of PBS."""
        self._mark(job_id, task, "rerun")

    def wait_for_end(self) -> None:
        """Until nothing runs, nor can start."""
        wait_for(lambda: not self.left(), "the jobs of the fake PBS to end")

    def stop(self) -> None:
        """End every task, at once and without a word; nothing starts any more."""
        self.set(busy=True)
        wait_for(self._all_killed, "the tasks of the fake PBS to be gone")

    def _all_killed(self) -> bool:
        running = [
            task
            for job in self.jobs.values()
            for task in job["tasks"].values()
            if task["state"] in ("running", "exiting")
        ]
        for task in running:
            with suppress(ProcessLookupError, KeyError):  # it ends, or has just been started
                os.killpg(task["session"], signal.SIGKILL)
        return not running

    def _mark(self, job_id: str, task: int | str, word: str) -> None:
        path = self.state / "spool" / f"{job_id.rstrip('[]')}.{task}.struck"
        path.with_suffix(".new").write_text(word)
        path.with_suffix(".new").replace(path)

    def _changed(self) -> Any:
        return _Changed(self.state)


class _Changed:
    """All jobs, for the time of a block."""

    def __init__(self, state: Path) -> None:
        self._path, self._lock = state / "jobs.json", (state / "lock").open("w")

    def __enter__(self) -> dict[str, dict[str, Any]]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        jobs: dict[str, dict[str, Any]] = json.loads(self._path.read_text())
        self._jobs = jobs
        return jobs

    def __exit__(self, *_: object) -> None:
        self._path.with_suffix(".new").write_text(json.dumps(self._jobs))
        self._path.with_suffix(".new").replace(self._path)
        self._lock.close()


def _is_over(job: dict[str, Any]) -> bool:
    return all(task["state"] in ENDED for task in job["tasks"].values())


def _program() -> str:
    return (
        "import sys\n"
        f"sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from tests.fakes.pbs import main\n"
        "sys.exit(main(sys.argv))\n"
    )
