"""What a submitter that was killed left half-done is finished, or undone.

A committed attempt is let go: every job of it is in the queue and known. One that is not committed
is taken back: its jobs are held, so none of them has run, and the scheduler finds them by name,
also one whose id nobody wrote down.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import SchedulerError
from slidearray.storage.journal import Journal, read_attempt_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.schedulers.queue import Queue
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import AttemptDir, RunDir

#: A submission command outlives the submitter that was killed, and its job shows up later than
#: the first look.
LOOK_AGAIN_S = 15.0
#: How long such a command is waited for; it gives up by itself much earlier.
LINGERING_S = 300.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of a half-done attempt."""

    number: int
    released: bool  # it was committed and now runs; else it was taken back
    job_ids: tuple[str, ...]


def unfinished(run: RunDir) -> AttemptJournal | None:
    """The journal of the newest attempt, when its submission was begun and never ended.

    One that was cancelled is never let go. If it was committed, its jobs may have run: it counts.
    """
    numbers = run.attempts()
    if not numbers:
        return None
    journal = read_attempt_journal(run.attempt(numbers[-1]))
    begun_here = journal.intent is not None and journal.intent.here
    ended = journal.released or journal.abandoned or (journal.committed and journal.cancelled)
    return None if begun_here or ended else journal


def recover(run: RunDir, queue: Queue) -> Recovered | None:
    """Finish or undo the submission that a killed submitter left; None when there is none.

    The caller makes sure that no other submitter is at work on the run.

    Raises
    ------
    SchedulerError
        The scheduler does not answer; nothing is decided then.
    """
    journal = unfinished(run)
    if journal is None:
        return None
    attempt = run.attempt(journal.number)
    check_cluster(journal, queue)
    with submission_lock(attempt):
        journal = read_attempt_journal(attempt)
        if unfinished(run) is None:  # thanks to the one that was waited for
            return None
        if journal.committed:
            job_ids = tuple(journal.job_ids[split] for split in sorted(journal.job_ids))
            queue.release(job_ids)
            Journal(attempt.journal).append("released")
            return Recovered(number=journal.number, released=True, job_ids=job_ids)
        taken = abandon(attempt, queue, reason="its submitter was killed", look_again=True)
        return Recovered(number=journal.number, released=False, job_ids=taken)


def check_cluster(journal: AttemptJournal, queue: Queue) -> None:
    """See that an attempt's jobs are on this cluster.

    Raises
    ------
    SchedulerError
        They are on another one, where ids mean other jobs; or the scheduler does not answer.
    """
    meant = journal.intent.cluster if journal.intent else ""
    here = queue.cluster() if meant else ""
    if meant != here:
        raise SchedulerError(
            f"attempt {journal.number} was submitted to the cluster {meant}, and this is {here}: "
            "type the same there"
        )


def abandon(attempt: AttemptDir, queue: Queue, *, reason: str, look_again: bool) -> tuple[str, ...]:
    """Take back whatever of an attempt is in the queue, and write that it will never run.

    Parameters
    ----------
    attempt
        An attempt that is not released.
    queue
        Where its jobs are.
    reason
        Why, for the journal.
    look_again
        A submission may still be arriving: look a second time, `LOOK_AGAIN_S` later.

    Returns
    -------
    tuple of str
        Ids of the jobs that were taken back.
    """
    found = _cancel_all(attempt, queue)
    if look_again:
        time.sleep(LOOK_AGAIN_S)
        found += [job_id for job_id in _cancel_all(attempt, queue) if job_id not in found]
    Journal(attempt.journal).append("abandoned", reason=reason)
    return tuple(found)


def _cancel_all(attempt: AttemptDir, queue: Queue) -> list[str]:
    """Cancel every job of an attempt that the scheduler knows by name, or the journal by id."""
    journal = read_attempt_journal(attempt)
    if journal.intent is None:
        return []  # nothing is submitted before what is meant was written down
    # The job that would go on first: it fires on deleted arrays too.
    names = [name for name in (journal.intent.advance, *journal.intent.names) if name]
    found = queue.find(names)
    job_ids = [job_id for name in names for job_id in found.get(name, [])]
    known = (journal.advance_id, *journal.job_ids.values())
    job_ids += [job_id for job_id in known if job_id and job_id not in job_ids]
    if job_ids:
        queue.cancel(job_ids)
    return job_ids


@contextmanager
def submission_lock(attempt: AttemptDir) -> Iterator[int]:
    """Hold an attempt's submission, together with the submission commands that it starts.

    They inherit the descriptor that is yielded, so that the lock is held for as long as one of
    them lives, whatever became of the submitter. Where the file system has no locks, only the
    second look protects.

    Raises
    ------
    SchedulerError
        A submission command that a killed submitter started does not end.
    """
    descriptor = os.open(attempt.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _lock(descriptor, attempt)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, attempt: AttemptDir) -> None:
    deadline = time.monotonic() + LINGERING_S
    with suppress(OSError):  # no locks on this file system
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    break
            time.sleep(POLL_S)
        raise SchedulerError(
            f"{attempt.journal}: a submission command that was started for this attempt has not "
            f"ended within {LINGERING_S:.0f} s; `fuser {attempt.journal}` shows it; try again when "
            "it is gone"
        )
