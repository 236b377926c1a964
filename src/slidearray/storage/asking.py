"""Where the slots of a run are: the scheduler's word, or the local submitter's in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slidearray.core.queue import FORGOTTEN, QueueWord, TaskState, TaskWord
from slidearray.storage.journal import submitted_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slidearray.core.queue import Ask, SubmittedJob
    from slidearray.storage.evidence import Evidence

_NOT_ASKED = QueueWord(tasks={}, fault="the scheduler was not asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the scheduler was asked for, and what it told."""

    jobs: dict[int, list[SubmittedJob]]  # by attempt; none where nobody asked
    word: QueueWord


def ask_all(found: Sequence[Evidence], ask: Ask | None) -> Answer:
    """Ask one question for all that a scheduler may still have something to say of."""
    if ask is None:
        return Answer(jobs={}, word=_NOT_ASKED)
    own = _open_jobs(found)
    jobs = [job for each in own.values() for job in each]
    unsettled = {
        place
        for each in found
        for slot, place in _places(own.get(each.journal.number, ())).items()
        if not each.told(slot)
    }
    return Answer(jobs=own, word=ask(jobs, unsettled) if jobs else QueueWord(tasks={}))


def _open_jobs(found: Sequence[Evidence]) -> dict[int, list[SubmittedJob]]:
    """By attempt; one that was run here has none, nor has one whose slots were never let go."""
    sent = [each for each in found if each.journal.counts]
    jobs = {e.journal.number: submitted_jobs(e.journal) for e in sent if e.sealed is None}
    if sent and sent[-1].sealed is not None and not sent[-1].journal.concluded:
        # Its slots are over, and the job that goes on behind them may be at work.
        behind = [job for job in submitted_jobs(sent[-1].journal) if job.split is None]
        jobs[sent[-1].journal.number] = behind
    return jobs


def _places(jobs: Iterable[SubmittedJob]) -> dict[int, tuple[str, int]]:
    """Job id and task of every slot that was submitted."""
    return {
        job.offset + task: (job.job_id, task)
        for job in jobs
        if job.split is not None
        for task in range(job.count)
    }


def advance_word(found: Evidence, told: Answer) -> TaskWord | None:
    """What was told of an attempt's advance job; None where nobody asked for it."""
    jobs = told.jobs.get(found.journal.number, ())
    return next((told.word.of(job.job_id, 0) for job in jobs if job.split is None), None)


def slot_words(found: Evidence, told: Answer, *, alive: bool) -> list[TaskWord]:
    """What is known of the task of each slot.

    Parameters
    ----------
    found
        The attempt.
    told
        The scheduler's answer.
    alive
        A submitter may be at work on it here.
    """
    slots = range(len(found.slots))
    if found.sealed is not None:
        return [TaskWord(state=TaskState.ENDED, outcome=outcome) for outcome in found.sealed]
    if found.journal.here:
        return [_word_here(found, slot, alive=alive) for slot in slots]
    places = _places(submitted_jobs(found.journal))
    words = (told.word.of(*places[slot]) if slot in places else FORGOTTEN for slot in slots)
    return [_settled(found, slot, word) for slot, word in enumerate(words)]


def _word_here(found: Evidence, slot: int, *, alive: bool) -> TaskWord:
    if end := found.journal.ends.get(slot):
        return TaskWord(state=TaskState.ENDED, outcome=end.outcome)
    if not alive:
        return TaskWord(state=TaskState.ENDED)
    begun = slot in found.executions
    return TaskWord(state=TaskState.RUNNING if begun else TaskState.PENDING)


def _settled(found: Evidence, slot: int, word: TaskWord) -> TaskWord:
    """A scheduler's word, beside what the records tell."""
    if word.outcome:
        # Kept with the outcome, so that a seal tells which execution it is of.
        count = max(word.restarts, word.outcome.restarts)
        return replace(word, restarts=count, outcome=replace(word.outcome, restarts=count))
    return FORGOTTEN if word.state is TaskState.UNKNOWN and found.told(slot) else word
