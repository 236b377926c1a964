"""What a scheduler is to us: array jobs, argument lists, and what its answers mean.

Pure: nothing here runs anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from slidearray.errors import RunError
from slidearray.schedulers.local_dialect import LocalDialect
from slidearray.schedulers.pbs import PbsDialect
from slidearray.schedulers.slurm import SlurmDialect

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits, QueueWord, SubmittedJob
    from slidearray.core.shapes import Shape
    from slidearray.schedulers.answers import Accepted, Refusal, Task
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.schedulers.cluster import Survey, Tell


class Dialect(Protocol):
    """How one scheduler is spoken to."""

    #: File name of its job-script template.
    template: str
    #: Whether its jobs run on this machine, without a queue.
    runs_here: bool
    #: Seconds between TERM and KILL when a task comes to its walltime.
    kill_wait_s: float

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

    def array_options(
        self, profile: Profile, shape: Shape, *, exclude: Sequence[str] = ()
    ) -> list[str]:
        """What stands in the directives of an array's script, beside what its template says.

        `exclude` names nodes that took a slot with them; where nodes cannot be left out by name,
        nothing follows from it.
        """

    def advance_options(self, profile: Profile) -> list[str]:
        """What stands in the directives of the job behind an attempt's arrays."""

    def check_script(self, text: str, *, profile: Profile, array: str | None, source: str) -> None:
        """Look at a rendered script before the scheduler does.

        Raises
        ------
        RunError
            Naming `source`: the scheduler would refuse it, or it asks for other tasks than those
            of its job, whose range is `array` (None: a plain job).
        """

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


class Asker(Protocol):
    """Asks a scheduler what became of tasks."""

    def ask(self, jobs: Sequence[SubmittedJob], unsettled: Collection[Task]) -> QueueWord:
        """What is known of `jobs`; of tasks that are not `unsettled` the state is enough.

        Never raises: a fault is part of the answer.
        """


class QueueDialect(Dialect, Protocol):
    """How a scheduler with a queue is spoken to, and what it answers.

    `tell` runs a command, gives what it printed, and raises `SchedulerError` with the scheduler's
    own words when it fails; every method that has it may raise that.
    """

    #: The program whose presence tells that jobs can be submitted here.
    program: str
    #: What a question wants in its environment, beside what a submission gets.
    query_environment: Mapping[str, str]

    def rehearse_argv(self, script: Path) -> list[str] | None:
        """Arguments that ask whether a script would be accepted; None where nobody can be asked."""

    def parse_accepted(self, stdout: str) -> Accepted | None:
        """The job that a submission printed; None when it cannot be told."""

    def task_id(self, job_id: str, task: int) -> str:
        """A task of an array, as the scheduler's own commands take it."""

    def explain(self, words: str) -> Refusal:
        """What a command's error means, and what to change."""

    def advice_for(self, reason: str) -> str | None:
        """What a pending task's reason means, and what to do; None for one that is not known."""

    def release_argv(self, job_ids: Sequence[str]) -> list[str]:
        """Arguments that let held jobs start."""

    def cancellations(self, job_ids: Sequence[str], *, cluster: str = "") -> list[list[str]]:
        """Commands that end jobs, in this order; of another cluster when it is named."""

    def forgives(self, words: str) -> bool:
        """Whether an error says nothing but that jobs have ended."""

    def said_by(self, script: str) -> list[str]:
        """Variables of the environment that would overrule what a script says itself."""

    def tasks_of(self, script: str) -> int:
        """How many tasks a script of ours asks for."""

    def find(
        self, tell: Tell, names: Sequence[str], *, ended: bool = False
    ) -> dict[str, list[str]]:
        """Ids of jobs by name, those that have not ended first; the others when `ended`."""

    def held(self, tell: Tell, ids: Sequence[str], *, user: str) -> set[str]:
        """Those of a user's jobs `ids` that wait for their release."""

    def count(self, tell: Tell, *, user: str) -> int:
        """How many tasks of a user have not ended."""

    def asker(self, tell: Tell, *, lag_s: float) -> Asker:
        """Who asks what became of tasks; an accounting may be `lag_s` behind."""

    def cluster_name(self, tell: Tell) -> str:
        """The name of the cluster that takes our jobs."""

    def survey(self, tell: Tell, *, user: str) -> Survey:
        """What there is on the cluster for a user."""


_QUEUES: dict[str, QueueDialect] = {"slurm": SlurmDialect(), "pbs": PbsDialect()}
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
