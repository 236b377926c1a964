"""Where a run can go: a real SLURM, a PBS (the fake one, or the one on PATH), this machine."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.fakes.pbs_bed import FakePbs
    from tests.slurm.clusters import Cluster

COMMAND_PATIENCE_S = 120
ADVANCE_JOB = {"walltime": "00:10:00", "cpus_per_task": 1, "memory": "700M"}


class Bed(Protocol):
    """One scheduler, as the tests need it."""

    @property
    def name(self) -> str:
        """The scheduler's, as a profile has it."""

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of a person who submits to it."""

    @property
    def profile(self) -> dict[str, Any]:
        """What a profile says of it, beside the shape of a task."""

    @property
    def enforces_memory(self) -> bool:
        """Whether it ends a task that takes more than it asked for."""

    def queued(self, names: Iterable[str]) -> list[list[str]]:
        """Id and name of what has not ended of the jobs of these names."""

    def task_id(self, array: str, number: int) -> str:
        """What it calls a task of an array."""

    def delete(self, *ids: str) -> None:
        """What a person does to jobs or tasks by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmBed:
    """A real SLURM, started for the tests."""

    cluster: Cluster
    name: str = "slurm"
    submits: str = "sbatch"
    releases: str = "scontrol"
    profile: dict[str, Any] = field(
        default_factory=lambda: {"scheduler": "slurm", "advance_job": ADVANCE_JOB}
    )

    @property
    def env(self) -> Mapping[str, str]:
        return self.cluster.env

    @property
    def enforces_memory(self) -> bool:
        return self.cluster.cgroups

    def queued(self, names: Iterable[str]) -> list[list[str]]:
        return self.cluster.squeue(f"--name={','.join(names)}")

    def task_id(self, array: str, number: int) -> str:
        return f"{array}_{number}"

    def delete(self, *ids: str) -> None:
        self.cluster.run("scancel", *ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsBed:
    """A PBS on PATH; `fake` where it is ours."""

    env: Mapping[str, str]
    fake: FakePbs | None
    name: str = "pbs"
    submits: str = "qsub"
    releases: str = "qrls"
    profile: dict[str, Any] = field(
        default_factory=lambda: {"scheduler": "pbs", "advance_job": ADVANCE_JOB}
    )

    @property
    def enforces_memory(self) -> bool:
        return self.fake is not None

    def queued(self, names: Iterable[str]) -> list[list[str]]:
        found = [(each, name) for name in names for each in self._run("qselect", "-N", name)]
        return [[job_id, name] for job_id, name in found]

    def task_id(self, array: str, number: int) -> str:
        return array.replace("[]", f"[{number}]")

    def delete(self, *ids: str) -> None:
        for job_id in ids:
            self._run("qdel", job_id)

    @contextmanager
    def without_history(self) -> Iterator[None]:
        """The server forgets what has ended."""
        if self.fake:
            self.fake.forgets()
        else:
            self._run("qmgr", "-c", "set server job_history_enable=False")
        try:
            yield
        finally:
            if self.fake:
                self.fake.set(history=True)
            else:
                self._run("qmgr", "-c", "set server job_history_enable=True")

    def _run(self, *argv: str) -> Sequence[str]:
        done = subprocess.run(
            argv,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=COMMAND_PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.split()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBed:
    """This machine: the submitting command waits for its jobs."""

    name: str = "local"
    profile: dict[str, Any] = field(default_factory=lambda: {"scheduler": "local"})
    enforces_memory: bool = False

    @property
    def env(self) -> Mapping[str, str]:
        return os.environ

    def queued(self, names: Iterable[str]) -> list[list[str]]:
        return []

    def task_id(self, array: str, number: int) -> str:
        raise AssertionError("this machine has no tasks that others could name")

    def delete(self, *ids: str) -> None:
        raise AssertionError("nothing can be deleted here")


#: Beds where jobs wait, and go on when nobody is logged in.
QueueBed = SlurmBed | PbsBed
