"""What submitit's `JobEnvironment()` tells inside a PBS job: submitit itself does not know PBS.

Registered through submitit's entry point, for encoders and set-ups that ask it where they run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import UncompletedJobError

from slidearray.schedulers.environment import job_identity, pbs_nodes

if TYPE_CHECKING:
    from slidearray.schedulers.environment import JobIdentity


class PbsJobEnvironment(JobEnvironment):
    """A PBS job, as its variables tell; what they do not tell has a harmless value.

    PBS starts a job's script once, on its first node: one task, of rank 0.
    """

    def activated(self) -> bool:
        """Whether this runs in a PBS job that no executor of submitit started."""
        if executor := os.environ.get("SUBMITIT_EXECUTOR", ""):
            return executor == self.name()
        in_batch = os.environ.get("PBS_ENVIRONMENT", "") == "PBS_BATCH"
        return in_batch and bool(os.environ.get("PBS_JOBID", ""))

    @property
    def raw_job_id(self) -> str:
        """The id as PBS writes it, without its server: ``124``, or ``123[4]`` in an array."""
        identity = _identity()
        return identity.raw_job_id if identity else ""

    @property
    def array_job_id(self) -> str | None:
        """The array, without PBS's brackets; None in a plain job."""
        identity = _identity()
        if identity is None or identity.task is None:
            return None
        return identity.job_id.removesuffix("[]")

    @property
    def array_task_id(self) -> str | None:
        """The number within the array; None in a plain job."""
        identity = _identity()
        return None if identity is None or identity.task is None else str(identity.task)

    @property
    def hostnames(self) -> list[str]:
        """The job's nodes, each once."""
        return pbs_nodes(os.environ) or [self.hostname]

    @property
    def num_nodes(self) -> int:
        """How many nodes the job has."""
        return len(self.hostnames)

    @property
    def node(self) -> int:
        """Which of the job's nodes this is, counted from 0."""
        number = os.environ.get("PBS_NODENUM", "")
        return int(number) if number.isdecimal() and len(number) < 10 else 0

    @property
    def num_tasks(self) -> int:
        """One."""
        return 1

    @property
    def global_rank(self) -> int:
        """The only task's."""
        return 0

    @property
    def local_rank(self) -> int:
        """The only task's."""
        return 0

    def _requeue(self, countdown: int) -> None:
        # qrerun is for operators and managers (seen with 23.06.06: Unauthorized Request).
        raise UncompletedJobError(f"PBS lets no job send itself again: {self.job_id} is not")


def _identity() -> JobIdentity | None:
    told = {name: value for name, value in os.environ.items() if name.startswith("PBS_")}
    return job_identity(told)
