"""What a scheduler tells of submitted jobs, whatever its own words are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from slidearray.core.verdicts import SlotOutcome


class TaskState(StrEnum):
    """Where an array task is."""

    PENDING = "pending"  # queued, held or requeued
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"  # the scheduler did not answer, or contradicts itself for now


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """A job of an attempt that the scheduler has an id for."""

    job_id: str
    name: str
    attempt: int
    split: int | None  # None: the advance job
    offset: int  # slot of its task 0
    count: int  # tasks
    array: bool  # False: a plain job, of one task
    cluster: str = ""  # that took it; empty where that was not told


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWord:
    """What the scheduler says of one task."""

    state: TaskState
    reason: str = ""  # why it is pending or not known, or the scheduler's own state
    outcome: SlotOutcome | None = None  # of its newest execution; None: not told
    restarts: int = 0  # how often it was requeued


#: A successful answer that does not name the task.
FORGOTTEN = TaskWord(
    state=TaskState.ENDED, reason="the scheduler does not know its array task any more"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWord:
    """One answer of a scheduler."""

    tasks: Mapping[tuple[str, int], TaskWord]  # by job id and task, counted from 0
    fault: str = ""  # why it did not answer

    def of(self, job_id: str, task: int) -> TaskWord:
        """The word on one task; no answer is `UNKNOWN`, an answer without it is `ENDED`."""
        if told := self.tasks.get((job_id, task)):
            return told
        return TaskWord(state=TaskState.UNKNOWN, reason=self.fault) if self.fault else FORGOTTEN


#: Asks for jobs, all at once. The second argument holds the tasks (job id, number) of which no
#: record tells the end, so that it matters how they ended.
Ask: TypeAlias = Callable[[Sequence[SubmittedJob], Collection[tuple[str, int]]], QueueWord]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What the scheduler takes; None where it does not tell."""

    max_array_size: int | None  # array indices are below it
    max_array_tasks: int | None
    max_submit: int | None  # tasks of this user, queued and running
    max_memory_mb: int | None = None  # of the largest node
    max_walltime_s: int | None = None
    nodes: frozenset[str] | None = None  # where the tasks may run
    fault: str = ""  # why it did not answer

    def largest_array(self, given: int | Literal["auto"]) -> int | None:
        """Tasks that one array may hold, 0 where there are none; None: nobody says.

        A number that is `given` by a person is used as it is.
        """
        if given != "auto":
            return given
        told = (self.max_array_size, self.max_array_tasks)
        return min((each for each in told if each is not None), default=None)


#: Where nobody asked the scheduler for its limits.
NOT_ASKED = QueueLimits(max_array_size=None, max_array_tasks=None, max_submit=None)
