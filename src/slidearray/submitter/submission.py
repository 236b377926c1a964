"""How an attempt is handed to a scheduler so that no job is lost and none runs twice.

Everything is submitted held and its id written down; only when the whole attempt, with the job
that takes it further, is in the queue is it committed and let go. A submitter that is killed at any
point leaves held jobs at worst: `recovery` finishes or undoes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import RefusedError, RunError, SchedulerError
from slidearray.storage.journal import read_attempt_journal
from slidearray.submitter.beginning import claim, write_down
from slidearray.submitter.recovery import abandon, submission_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.schedulers.queue import Queue
    from slidearray.storage.journal import Journal
    from slidearray.submitter.attempts import PreparedAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """An attempt that is in the queue."""

    number: int
    job_ids: tuple[str, ...]  # one a split
    advance_id: str


def submit_attempt(
    prepared: PreparedAttempt, queue: Queue, *, after: Sequence[str] = (), by: str = ""
) -> Submission:
    """Submit an attempt: all of it, or nothing.

    Parameters
    ----------
    prepared
        The attempt.
    queue
        Where it goes.
    after
        Ids of jobs of earlier attempts that are still at work: the attempt is not taken further
        before they end.
    by
        Id of the job that submits it; empty where a person does.

    Raises
    ------
    SchedulerError
        The scheduler refused a part of it. What was submitted before is taken back.
    RunError
        Another submitter has just begun the same attempt.
    """
    cluster = queue.cluster()  # asked first: one that does not answer is no reason to begin
    journal = claim(prepared)
    with submission_lock(prepared.folder) as lock:
        try:
            write_down(prepared, journal, here=False, by=by, cluster=cluster)
            submission = _submit_held(prepared, queue, journal=journal, after=after, lock=lock)
            _check_names(prepared, queue, submission)
            if read_attempt_journal(prepared.folder).abandoned:
                raise RunError(
                    f"{prepared.folder.root}: another submitter took this attempt back meanwhile; "
                    f"`slidearray status {prepared.run.typed}` shows what is there now"
                )
            journal.append("committed")
        except BaseException as error:  # also Ctrl-C: nothing is left in the queue
            _take_back(prepared, queue, error=error)
            raise
        let_go(prepared.number, queue, journal=journal, job_ids=submission.job_ids)
    return submission


def let_go(number: int, queue: Queue, *, journal: Journal, job_ids: Sequence[str]) -> None:
    """Release the jobs of a committed attempt; `SchedulerError` says how to try again."""
    try:
        queue.release(job_ids)
    except SchedulerError as error:
        raise SchedulerError(
            f"attempt {number} is submitted as {', '.join(job_ids)}, and could not be released: "
            f"{error}; the same command releases it"
        ) from error
    journal.append("released")


def _submit_held(
    prepared: PreparedAttempt,
    queue: Queue,
    *,
    journal: Journal,
    after: Sequence[str],
    lock: int,
) -> Submission:
    folder = prepared.folder
    job_ids: list[str] = []
    for job in prepared.jobs:
        behind = [] if job.after is None else [job_ids[job.after]]
        script = folder.script(job.index)
        job_id = queue.submit(script, name=job.name, after=behind, held=True, fds=(lock,))
        journal.append("submitted", split=job.index, job_id=job_id)
        job_ids.append(job_id)
    advance = prepared.advance
    if advance is None:
        raise RunError(f"profile {prepared.profile.name}: its jobs run here; there is no queue")
    # Not held: the arrays in front of it are.
    advance_id = queue.submit(
        folder.advance_script,
        name=advance.name,
        after=[*job_ids, *after],
        held=False,
        fds=(lock,),
    )
    journal.append("advance", job_id=advance_id)
    return Submission(number=prepared.number, job_ids=tuple(job_ids), advance_id=advance_id)


def _check_names(prepared: PreparedAttempt, queue: Queue, submission: Submission) -> None:
    """See that the jobs are found by their names: by nothing else could they be found again."""
    names = [job.name for job in prepared.jobs]
    names += [prepared.advance.name] if prepared.advance else []
    found = {job_id for ids in queue.find(names).values() for job_id in ids}
    # A submission that was believed lost, and came through after all.
    if surplus := sorted(found - {*submission.job_ids, submission.advance_id}):
        queue.cancel(surplus)
    if unseen := [
        each for each in (*submission.job_ids, submission.advance_id) if each not in found
    ]:
        raise SchedulerError(
            f"job {', '.join(unseen)} was accepted and is not in the queue under its name: does "
            "this cluster rename jobs, or hide them? Ask its administrators"
        )


def _take_back(prepared: PreparedAttempt, queue: Queue, *, error: BaseException) -> None:
    """Undo a submission that `error` ended; what cannot be undone now is told with the error."""
    # A refusal leaves nothing in flight; after anything else a submission may still be arriving.
    look_again = not isinstance(error, RefusedError)
    try:
        abandon(prepared.folder, queue, reason=str(error) or repr(error), look_again=look_again)
    except SchedulerError as trouble:
        error.add_note(f"what was submitted could not be taken back: {trouble}")
