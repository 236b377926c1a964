"""What a scheduler is to us: array jobs, argument lists, and what its answers mean.

Pure: nothing here runs anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from slidearray.errors import RunError
from slidearray.schedulers.local_dialect import LocalDialect
from slidearray.schedulers.slurm import SlurmDialect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits, SubmittedJob, TaskWord
    from slidearray.core.shapes import Shape
    from slidearray.schedulers.answers import Accepted, History, Refusal, Task
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.schedulers.cluster import Cluster, Tell


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
        self,
        shapes: Sequence[Shape],
        *,
        profile: Profile,
        token: str,
        attempt: int,
        limits: QueueLimits,
    ) -> list[ArrayJob]:
        """Jobs for all slots of an attempt; ``shapes[k]`` is slot k's, equal ones together."""

    def submit_argv(
        self, script: Path, *, name: str, after: Sequence[str] = (), held: bool
    ) -> list[str]:
        """Arguments that submit a script, behind the jobs `after`, however those end."""

    def submission(self, job: ArrayJob, script: Path) -> list[str]:
        """Arguments that submit a job of an attempt; ids not known yet in braces."""

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


class QueueDialect(Dialect, Protocol):
    """How a scheduler with a queue is spoken to, and what it answers."""

    #: The program whose presence tells that jobs can be submitted here.
    program: str
    #: What a question wants in its environment, beside what a submission gets.
    query_environment: Mapping[str, str]

    def rehearse_argv(self, script: Path) -> list[str]:
        """Arguments that ask whether a script would be accepted, without submitting it."""

    def parse_accepted(self, stdout: str) -> Accepted | None:
        """The job that a submission printed; None when it cannot be told."""

    def explain(self, words: str) -> Refusal:
        """What a command's error means, and what to change."""

    def release_argv(self, job_ids: Sequence[str]) -> list[str]:
        """Arguments that let held jobs start."""

    def cancel_argv(self, job_ids: Sequence[str], *, cluster: str = "") -> list[str]:
        """Arguments that end jobs; of another cluster when it is named."""

    def find_argv(self, names: Sequence[str]) -> list[str]:
        """Arguments that list the jobs of some names, ended ones too."""

    def parse_found(self, stdout: str, *, ended: bool = False) -> dict[str, list[str]]:
        """Ids of jobs by name, those that have not ended first; the others when `ended`."""

    def own_argv(self, user: str) -> list[str]:
        """Arguments that list every task of a user that has not ended."""

    def parse_held(self, stdout: str) -> set[str]:
        """Ids of the jobs that wait for their release."""

    def parse_count(self, stdout: str) -> int:
        """How many tasks have not ended."""

    def tasks_of(self, script: str) -> int:
        """How many tasks a script of ours asks for."""

    def with_count(self, refusal: Refusal, *, queued: int, added: int, most: int) -> Refusal:
        """A refusal, once it is known how many tasks a person has queued and may have."""

    def queue_argv(self, names: Sequence[str]) -> list[str]:
        """Arguments that list every task of the jobs of some names."""

    def parse_queue(self, stdout: str, jobs: Sequence[SubmittedJob]) -> dict[Task, TaskWord]:
        """What the queue says of the tasks of `jobs`."""

    def history_argv(self, job_ids: Sequence[str]) -> list[str]:
        """Arguments that list how tasks ended, from the accounting."""

    def parse_history(self, stdout: str, jobs: Sequence[SubmittedJob]) -> History:
        """What the accounting says of the tasks of `jobs`."""

    def keeps_no_history(self, words: str) -> bool:
        """Whether an error says that this cluster has no accounting."""

    def forgives(self, words: str) -> bool:
        """Whether an error says nothing but that jobs have ended."""

    def said_by(self, script: str) -> list[str]:
        """Variables of the environment that would overrule what a script says itself."""

    def basics(self, tell: Tell) -> Cluster:
        """What the configuration of the scheduler tells.

        Raises
        ------
        SchedulerError
            The scheduler does not answer.
        """

    def survey(self, tell: Tell, *, user: str) -> Cluster:
        """What there is on the cluster for a user.

        Raises
        ------
        SchedulerError
            The scheduler does not answer.
        """

    def limits_of(self, cluster: Cluster, profile: Profile) -> QueueLimits:
        """What of a cluster's limits surely holds for a profile's arrays."""


_QUEUES: dict[str, QueueDialect] = {"slurm": SlurmDialect()}
DIALECTS: dict[str, Dialect] = {**_QUEUES, "local": LocalDialect()}


def dialect_for(profile: Profile) -> Dialect:
    """The dialect of a profile's scheduler."""
    return DIALECTS[profile.scheduler]


def queue_dialect_for(profile: Profile) -> QueueDialect:
    """The dialect of a profile whose scheduler has a queue.

    Raises
    ------
    RunError
        Its jobs run here.
    """
    if profile.scheduler not in _QUEUES:
        raise RunError(f"profile {profile.name}: scheduler {profile.scheduler} has no queue")
    return _QUEUES[profile.scheduler]
