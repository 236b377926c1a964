"""The queue of a cluster: submit, release, cancel, find, ask, through the scheduler's commands."""

from __future__ import annotations

import os
import pwd
import shutil
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from slidearray import command
from slidearray.core.queue import QueueLimits
from slidearray.errors import RefusedError, SchedulerError
from slidearray.schedulers.answers import Refusal, RefusalKind
from slidearray.schedulers.dialect import queue_dialect_for
from slidearray.schedulers.environment import scheduler_environment, with_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueWord, SubmittedJob
    from slidearray.schedulers.answers import Accepted, Task
    from slidearray.schedulers.cluster import Survey

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a scheduler is waited for."""

    #: sbatch itself tries for two minutes when the controller is full.
    submit_s: float = 180.0
    query_s: float = 60.0
    #: Between two tries, when a refusal is expected to pass.
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    #: How far the accounting may be behind the queue before its silence means something.
    lag_s: float = 60.0


class _RefusedError(SchedulerError):
    """A command that failed, with what it means."""

    def __init__(self, program: str, refusal: Refusal, *, said: str = "") -> None:
        super().__init__(f"{program}: {refusal}")
        self.refusal = refusal
        self.said = said


class Queue:
    """What a profile's scheduler is told and asked.

    Parameters
    ----------
    profile
        Of a cluster: the local one has no queue.
    patience
        How long a scheduler is waited for.
    """

    def __init__(self, profile: Profile, *, patience: Patience | None = None) -> None:
        self._profile = with_defaults(profile, os.environ)
        self._dialect = queue_dialect_for(profile)
        self._patience = patience or Patience()
        self._asker = self._dialect.asker(self._tell, lag_s=self._patience.lag_s)

    @property
    def works_here(self) -> bool:
        """Whether the scheduler's commands are on this machine."""
        return shutil.which(self._dialect.program) is not None

    def submit(
        self,
        script: Path,
        *,
        name: str,
        after: Sequence[str] = (),
        held: bool = False,
        fds: Collection[int] = (),
    ) -> str:
        """Submit a script and return the job's id; there is never more than one job of a name.

        Parameters
        ----------
        script
            The job script.
        name
            The job's name, of one job only.
        after
            Ids of jobs that have to end first, however they end.
        held
            Keep it from starting until it is released.
        fds
            Descriptors that the command keeps for as long as it lives.

        Raises
        ------
        RefusedError
            With the scheduler's own words, and what to change; nothing of it is in the queue.
        SchedulerError
            It does not answer, and the job may have arrived.
        """
        argv = self._dialect.submit_argv(script, name=name, after=after, held=held)
        trouble, may_try = "", True
        for pause_s in self._patience.pauses_s:
            if may_try:
                try:
                    return self._submit_once(argv, script=script, name=name, fds=fds)
                except _RefusedError as error:
                    trouble = str(error)
                    if error.refusal.kind is not RefusalKind.TEMPORARY:
                        raise RefusedError(f"{script}: not submitted: {trouble}") from None
            time.sleep(pause_s)
            try:
                if found := self._id_of(name):  # it got through, although no answer came back
                    return found
                may_try = True
            except _RefusedError as error:
                trouble, may_try = str(error), False
        raise SchedulerError(f"{script}: not submitted: {trouble}")

    def rehearse(self, script: Path) -> str:
        """Why a script would be refused, and what to change; empty when it would be accepted.

        A held job is not looked at as closely: what no node has, is only seen here.
        """
        argv = self._dialect.rehearse_argv(script)
        try:
            if argv is not None:
                self._tell(argv, script=script)
        except SchedulerError as error:
            return str(error)
        return ""

    def release(self, ids: Sequence[str]) -> None:
        """Let held jobs start; one that was released before, or has ended, is no error.

        Raises
        ------
        SchedulerError
            One of them is still held, or nobody can tell.
        """

        def release() -> None:
            try:
                self._tell(self._dialect.release_argv(ids))
            except _RefusedError:
                if self._dialect.held(self._tell, ids, user=_user_name()):
                    raise

        self._patiently(release)

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs, or take them out of the queue; one that has ended is no error.

        Raises
        ------
        SchedulerError
            The scheduler refuses it, or does not answer.
        """
        for argv in self._dialect.cancellations(ids):
            self._patiently(partial(self._cancel, argv))

    def find(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Ids of the jobs in the queue that have one of the names; ended ones are not in it.

        Raises
        ------
        SchedulerError
            The scheduler does not answer.
        """
        return self._patiently(lambda: self._dialect.find(self._tell, names))

    def ask(self, jobs: Sequence[SubmittedJob], unsettled: Collection[Task]) -> QueueWord:
        """What the scheduler tells of jobs; never raises: a fault is part of the answer.

        One call, and a second one when the end of an unsettled task has to be explained.

        Parameters
        ----------
        jobs
            The jobs to ask for.
        unsettled
            Tasks (job id, number) of which no record tells the end.
        """
        return self._asker.ask(jobs, unsettled)

    def survey(self) -> Survey:
        """What there is on the cluster.

        Raises
        ------
        SchedulerError
            The scheduler does not answer.
        """
        return self._dialect.survey(self._tell, user=_user_name())

    def cluster(self, *, wait: bool = True) -> str:
        """The name of the cluster that takes our jobs.

        Parameters
        ----------
        wait
            Ask again while the scheduler does not answer; a person who waits is told at once.

        Raises
        ------
        SchedulerError
            The scheduler does not answer.
        """
        if not wait:
            return self._dialect.cluster_name(self._tell)
        return self._patiently(lambda: self._dialect.cluster_name(self._tell))

    def limits(self) -> QueueLimits:
        """What the scheduler accepts of this user; never raises: a fault is part of the answer."""
        try:
            return self.survey().limits(self._profile)
        except SchedulerError as error:
            return QueueLimits(
                max_array_size=None, max_array_tasks=None, max_submit=None, fault=str(error)
            )

    def _cancel(self, argv: Sequence[str]) -> None:
        try:
            self._tell(argv)
        except _RefusedError as error:
            if not self._dialect.forgives(error.said):
                raise

    def _submit_once(
        self, argv: Sequence[str], *, script: Path, name: str, fds: Collection[int]
    ) -> str:
        done = self._run(argv, timeout_s=self._patience.submit_s, script=script, fds=fds)
        accepted = self._dialect.parse_accepted(done.stdout)
        if done.code == 0 and accepted is not None:
            return self._on_this_cluster(accepted)
        if (done.code == 0 or accepted is not None) and (found := self._id_of(name)):
            return found  # a wrapper of the site's own says something else
        refusal = self._dialect.explain(_said(done))
        if done.code == 0:
            words = f"it printed {done.stdout + done.stderr!r}, and no job {name} is in the queue"
            refusal = Refusal(kind=RefusalKind.FINAL, words=words)
        raise _RefusedError(argv[0], self._counted(refusal, script))

    def _counted(self, refusal: Refusal, script: Path) -> Refusal:
        """A refusal that may be for too many tasks, with their number."""
        most = self.limits().max_submit if refusal.of_person else None
        if most is None:
            return refusal
        try:
            queued = self._dialect.count(self._tell, user=_user_name())
        except SchedulerError:
            return refusal
        added = self._dialect.tasks_of(_text_of(script))
        return refusal.counted(queued=queued, added=added, most=most)

    def _id_of(self, name: str) -> str:
        """The id of the job of a name, also when it has ended; empty when there is none."""
        ids = self._dialect.find(self._tell, [name], ended=True).get(name, [])
        return ids[0] if ids else ""

    def _on_this_cluster(self, accepted: Accepted) -> str:
        """The id of a job; one that went to another cluster is taken back, and refused."""
        if not accepted.cluster:
            return accepted.job_id
        (argv,) = self._dialect.cancellations([accepted.job_id], cluster=accepted.cluster)
        try:
            self._patiently(lambda: self._tell(argv))
            outcome = "and was cancelled"
        except SchedulerError as error:
            outcome = f"and could not be cancelled ({error}); type: {' '.join(argv)}"
        raise SchedulerError(
            f"job {accepted.job_id} went to the cluster {accepted.cluster}, {outcome}: several "
            f"clusters under one {self._dialect.program} are not supported; submit on a login node "
            f"of one of them, or ask for a {self._dialect.program} that stays there"
        )

    def _patiently(self, action: Callable[[], Answer]) -> Answer:
        """What `action` gives; it is tried again while its refusal may pass."""
        for pause_s in self._patience.pauses_s:
            try:
                return action()
            except _RefusedError as error:
                if error.refusal.kind is not RefusalKind.TEMPORARY:
                    raise
            time.sleep(pause_s)
        return action()

    def _tell(self, argv: Sequence[str], *, script: Path | None = None) -> str:
        """What a command that answers at once printed; `_RefusedError` when it failed."""
        done = self._run(argv, timeout_s=self._patience.query_s, script=script)
        if done.code != 0:
            raise _RefusedError(argv[0], self._dialect.explain(_said(done)), said=_said(done))
        return done.stdout

    def _run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        script: Path | None = None,
        fds: Collection[int] = (),
    ) -> command.Completed:
        env = scheduler_environment(os.environ, self._profile.environment)
        if script is None:
            env |= self._dialect.query_environment
        else:  # what the script says itself is not to be overruled
            for name in self._dialect.said_by(_text_of(script)):
                env.pop(name, None)
        try:
            return command.run(argv, env=env, timeout_s=timeout_s, pass_fds=fds)
        except command.TimedOutError as error:
            refusal = Refusal(kind=RefusalKind.TEMPORARY, words=str(error))
        except command.CommandError:
            words = (
                "not found: is this a login node of the cluster? `slidearray submit RUN --local` "
                "runs the scripts here"
            )
            refusal = Refusal(kind=RefusalKind.FINAL, words=words)
        raise _RefusedError(argv[0], refusal)


def _said(done: command.Completed) -> str:
    return done.stderr if done.stderr.strip() else done.stdout


def _text_of(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the scheduler says so itself
        return ""


def _user_name() -> str:
    """Who we are; $USER may be anybody, and a user of a container has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
