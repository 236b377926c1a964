"""What became of tasks, from a squeue that forgets and a sacct that is behind."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import FORGOTTEN, QueueWord, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import SchedulerError
from slidearray.schedulers import slurm_cluster, slurm_questions, slurm_words
from slidearray.schedulers.slurm_words import History

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slidearray.core.queue import SubmittedJob
    from slidearray.schedulers.answers import Task
    from slidearray.schedulers.cluster import Tell
    from slidearray.schedulers.slurm_parts import Cluster

_BEHIND = "accounting lags"
_PRIVATE = "people see their own jobs only on this cluster; ask as the one who submitted them"
#: An array task that is cancelled before it began leaves no trace, neither in squeue nor in sacct
#: (seen with 22.05).
_TAKEN_OUT = TaskWord(
    state=TaskState.ENDED,
    reason="taken out of its array",
    outcome=SlotOutcome(
        exit_code=None,
        ended_by=FailureClass.CANCELLED,
        word="taken out of its array unbegun",
        unbegun=True,
    ),
)


class Settler:
    """Asks squeue first, and sacct only for ends that have to be explained.

    Parameters
    ----------
    tell
        Runs a command.
    lag_s
        How far the accounting may be behind before its silence means something.
    """

    def __init__(self, tell: Tell, *, lag_s: float) -> None:
        self._tell = tell
        self._lag_s = lag_s
        self._behind_since: dict[Task, float] = {}
        self._basics: Cluster | None = None  # not asked yet

    def ask(self, jobs: Sequence[SubmittedJob], unsettled: Collection[Task]) -> QueueWord:
        """What is known of `jobs`; of tasks that are not `unsettled` the queue's word is enough."""
        if not jobs:
            return QueueWord(tasks={})
        try:
            argv = slurm_questions.queue_argv([job.name for job in jobs])
            queue = slurm_words.parse_queue(self._tell(argv), jobs)
        except SchedulerError as error:
            return QueueWord(tasks={}, fault=str(error))
        over = [task for task in unsettled if _is_over(queue.get(task))]
        if fault := self._elsewhere(jobs, {job_id for job_id, _ in queue}, over):
            return QueueWord(tasks=queue, fault=fault)
        if not over:
            return QueueWord(tasks=queue)
        return self._explained(queue, jobs, over)

    def _elsewhere(
        self, jobs: Sequence[SubmittedJob], queued: Collection[str], over: Sequence[Task]
    ) -> str:
        """Why it means nothing that jobs are not in the queue: another cluster has them."""
        gone = {job_id for job_id, _ in over} - set(queued)
        clusters = {job.cluster for job in jobs if job.job_id in gone and job.cluster}
        here = self._told_basics() if clusters else None
        if here is None or clusters <= {here.name}:
            return ""
        other = ", ".join(sorted(clusters - {here.name}))
        return f"the jobs are on the cluster {other}, and this is {here.name}; ask there"

    def _explained(
        self, queue: dict[Task, TaskWord], jobs: Sequence[SubmittedJob], over: Sequence[Task]
    ) -> QueueWord:
        """The queue's word, and the accounting's on the tasks that are `over`."""
        wanted = {job_id for job_id, _ in over}
        asked = [job for job in jobs if job.job_id in wanted]
        try:
            argv = slurm_questions.history_argv([job.job_id for job in asked])
            history, fault = slurm_words.parse_history(self._tell(argv), asked), ""
        except SchedulerError as error:
            if slurm_questions.keeps_no_history(str(error)):
                return QueueWord(tasks=queue)
            history, fault = History(), str(error)
        queued = {job_id for job_id, _ in queue}
        arrays = {job.job_id for job in asked if job.array}
        tasks = dict(queue)
        for task in over:
            told = history.tasks.get(task)
            tasks[task] = self._settled(task, queue.get(task), told, fault=fault) or self._gone(
                told,
                array=task[0] in arrays,
                queued=task[0] in queued,
                known=task[0] in history.known,
            )
        silent = any(tasks[task].state is TaskState.UNKNOWN for task in over)
        return QueueWord(tasks=tasks, fault=fault if silent else "")

    def _settled(
        self, task: Task, seen: TaskWord | None, told: TaskWord | None, *, fault: str
    ) -> TaskWord | None:
        """What became of one task, from the queue (`seen`) and the accounting (`told`).

        None when neither knows, and that is no matter of time.
        """
        told_all = told is not None and told.restarts >= (seen.restarts if seen else 0)
        if told is not None and told_all and told.state is TaskState.ENDED:
            return told
        waited = self._waited(task)
        if seen is not None and waited:
            return seen
        if seen is None and not fault and (self._queue_remembers() or waited):
            return None
        return TaskWord(state=TaskState.UNKNOWN, reason=fault or _BEHIND)

    def _gone(self, told: TaskWord | None, *, array: bool, queued: bool, known: bool) -> TaskWord:
        """A task that is in no queue, and of which the accounting tells no end."""
        pending = told is not None and told.state is TaskState.PENDING
        if array and ((queued and pending) or (told is None and (queued or known))):
            return _TAKEN_OUT
        if not (queued or known) and self._basics is not None and self._basics.private:
            return TaskWord(state=TaskState.UNKNOWN, reason=_PRIVATE)
        return FORGOTTEN

    def _waited(self, task: Task) -> bool:
        """Whether the accounting has been behind on this task for long."""
        now = time.monotonic()
        return now - self._behind_since.setdefault(task, now) >= self._lag_s

    def _queue_remembers(self) -> bool:
        """Whether what the queue has forgotten ended so long ago that the accounting has it."""
        basics = self._told_basics()
        if basics is None:
            return False
        return basics.forgets_after_s is None or basics.forgets_after_s >= self._lag_s

    def _told_basics(self) -> Cluster | None:
        """What the scheduler tells of itself, asked once; None while it does not answer."""
        if self._basics is None:
            with suppress(SchedulerError):
                self._basics = slurm_cluster.basics(self._tell)
        return self._basics


def _is_over(word: TaskWord | None) -> bool:
    return word is None or word.state is TaskState.ENDED
