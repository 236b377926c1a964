"""What became of tasks, from a qstat that is asked for one job a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.core.queue import QueueWord
from slidearray.errors import SchedulerError
from slidearray.schedulers import pbs_questions, pbs_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slidearray.core.queue import SubmittedJob, TaskWord
    from slidearray.schedulers.answers import Task
    from slidearray.schedulers.cluster import Tell
    from slidearray.schedulers.pbs_questions import Server


class PbsAsker:
    """Asks qstat about each job until all its tasks have ended.

    Parameters
    ----------
    tell
        Runs a command.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._server: Server | None = None  # not asked yet
        self._over: dict[str, dict[Task, TaskWord]] = {}  # jobs that change no more

    def ask(self, jobs: Sequence[SubmittedJob], unsettled: Collection[Task]) -> QueueWord:
        """What is known of `jobs`; a server that keeps no history leaves out what has ended."""
        tasks: dict[Task, TaskWord] = {}
        try:
            for job in jobs:
                tasks |= self._over.get(job.job_id) or self._asked(job)
        except SchedulerError as error:
            self._server = None  # it may be another one, or keep no history, when it is back
            return QueueWord(tasks=tasks, fault=str(error))
        return QueueWord(tasks=tasks)

    def _asked(self, job: SubmittedJob) -> dict[Task, TaskWord]:
        """The words on one job; empty when the server does not know it any more."""
        if self._server is None:
            self._server = pbs_questions.server(self._tell)
        server = self._server
        words: dict[Task, TaskWord] = {}
        told = pbs_questions.job_status(self._tell, job.job_id, ended=server.keeps_history)
        if told is not None:
            words = pbs_words.parse_job(told, job, history=server.keeps_history)
        if not words and job.cluster not in ("", server.name):
            raise SchedulerError(
                f"job {job.job_id} is on the PBS server {job.cluster}, and this is {server.name}; "
                "ask there"
            )
        if len(words) == job.count and all(word.outcome for word in words.values()):
            self._over[job.job_id] = words
        return words
