"""cancel: take back what was submitted, the job that would go on by itself first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.storage.journal import Journal, read_attempt_journal
from slidearray.submitter.recovery import check_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.schedulers.queue import Queue
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import RunDir

#: How long a job that was told to end may take to leave the queue.
PATIENCE_S = 90.0
POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What was taken back."""

    attempts: tuple[int, ...]
    job_ids: tuple[str, ...]


def cancel_run(run: RunDir, queue: Queue) -> Cancelled:
    """Cancel every job of a run that is in the queue or at work.

    Each attempt is marked first, so that no job that runs meanwhile sends another one. What was
    done stays done.

    Raises
    ------
    RunError
        A job that takes the run further does not leave the queue.
    SchedulerError
        The scheduler does not answer; the same command tries again.
    """
    marked: dict[int, AttemptJournal] = {}
    job_ids: list[str] = []
    stopped: list[int] = []
    for journal in _behind(run):
        gone = _cancel_and_wait(queue, _advance_names([journal]))
        if gone:
            Journal(run.attempt(journal.number).journal).append("stopped", reason="cancelled")
            stopped.append(journal.number)
        job_ids += gone
    # The job of an attempt may have begun the next one before it was told to end: look again.
    while fresh := [journal for journal in _open_attempts(run) if journal.number not in marked]:
        for journal in fresh:
            check_cluster(journal, queue)
            if not journal.cancelled:
                Journal(run.attempt(journal.number).journal).append("cancelled")
            marked[journal.number] = journal
        job_ids += _cancel_and_wait(queue, _advance_names(fresh))
    names = [name for journal in marked.values() for name in _names(journal)]
    found = queue.find(names) if names else {}
    arrays = [job_id for name in names for job_id in found.get(name, [])]
    if arrays:
        queue.cancel(arrays)
    for journal in marked.values():
        if not journal.committed:
            Journal(run.attempt(journal.number).journal).append("abandoned", reason="cancelled")
    # One that was cancelled before is mentioned only where something of it was left.
    new = [number for number, journal in marked.items() if arrays or not journal.cancelled]
    return Cancelled(attempts=tuple(sorted({*new, *stopped})), job_ids=(*job_ids, *arrays))


def _open_attempts(run: RunDir) -> list[AttemptJournal]:
    """Attempts that were given to a scheduler and are not settled."""
    journals = [read_attempt_journal(run.attempt(number)) for number in run.attempts()]
    return [
        journal for journal in journals if not (journal.here or journal.sealed or journal.abandoned)
    ]


def _behind(run: RunDir) -> list[AttemptJournal]:
    """Attempts whose slots are over, and whose job may still be about to go on."""
    journals = [read_attempt_journal(run.attempt(number)) for number in run.attempts()]
    return [each for each in journals if each.sealed and not (each.here or each.concluded)]


def _names(journal: AttemptJournal) -> list[str]:
    return list(journal.intent.names) if journal.intent else []


def _advance_names(journals: Sequence[AttemptJournal]) -> list[str]:
    names = [journal.intent.advance for journal in journals if journal.intent]
    return [name for name in names if name]


def _cancel_and_wait(queue: Queue, names: Sequence[str]) -> list[str]:
    """Cancel jobs by name and wait until they are gone; their ids."""
    found = queue.find(names) if names else {}
    job_ids = [job_id for ids in found.values() for job_id in ids]
    if not job_ids:
        return []
    queue.cancel(job_ids)
    deadline = time.monotonic() + PATIENCE_S
    while any(queue.find(names).values()):
        if time.monotonic() >= deadline:
            raise RunError(
                f"{', '.join(job_ids)}: cancelled, and still not gone after {PATIENCE_S:.0f} s; "
                "the same command goes on when it is"
            )
        time.sleep(POLL_S)
    return job_ids
