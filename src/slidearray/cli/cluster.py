"""Attempts on a cluster: submit, resubmit, cancel, advance, and waiting for the end of it all."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.advancer import Advanced, Patience, advance, settled_ledger
from slidearray.cli.conclusion import OVER, ledger_exit_code, merge, print_summary
from slidearray.cli.display import console, counted, progress
from slidearray.core.exits import ExitCode
from slidearray.core.queue import TaskState
from slidearray.errors import RunError, SchedulerError
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.queue import Queue
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.journal import last_committed, read_attempt_journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.storage.seals import seal
from slidearray.submitter.attempts import Asked, first_attempt, next_attempt
from slidearray.submitter.cancelling import cancel_run
from slidearray.submitter.recovery import recover
from slidearray.submitter.submission import Submission, submit_attempt

if TYPE_CHECKING:
    from slidearray.core.classes import FailureClass
    from slidearray.storage.ledger import AttemptReport, Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt

#: Seconds between two questions to the scheduler while `run` waits.
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
#: A person waits for records of other nodes, and not for a scheduler.
BY_HAND_PATIENCE = Patience(queue_s=0.0)
AT_WORK = (TaskState.PENDING, TaskState.RUNNING)


def submit_to_cluster(run: RunDir) -> int:
    """Submit a run's first attempt, or finish a submission that was killed."""
    queue = _queue(run)
    with run_lock(run):
        if not _recovered(run, queue):
            _send(first_attempt(run, limits=queue.limits()), queue)
    return ExitCode.COMPLETE


def resubmit_to_cluster(run: RunDir, *, include: frozenset[FailureClass]) -> Ledger | None:
    """Send what may go again; the ledger when that is nothing."""
    queue = _queue(run)
    with run_lock(run):
        _recovered(run, queue)
        ledger = _answered(settled_ledger(run, ask=queue.ask, patience=BY_HAND_PATIENCE))
        _refuse_beside_advance(run, ledger)
        for report in ledger.attempts:
            if report.settled and not report.journal.sealed:
                seal(run.attempt(report.number), report.outcomes)
        asked = Asked(by_hand=True, include=include, limits=queue.limits())
        prepared = next_attempt(run, ledger, asked)
        if prepared is None:
            return ledger
        _send(prepared, queue, ledger=ledger)
    return None


def cancel_on_cluster(run: RunDir) -> int:
    """Take back everything of a run that is in the queue."""
    queue = _queue(run)
    with run_lock(run):
        cancelled = cancel_run(run, queue)
    if not cancelled.attempts:
        console().print("nothing to cancel: no attempt of this run is in the queue")
        return ExitCode.COMPLETE
    jobs = ", ".join(cancelled.job_ids) or "none was left in the queue"
    console().print(f"cancelled {counted(len(cancelled.attempts), 'attempt')}; jobs: {jobs}")
    console().print(f"`slidearray resubmit {run.typed}` sends what was not done")
    return ExitCode.COMPLETE


def advance_on_cluster(run: RunDir, number: int, *, by: str) -> int:
    """Take a run further behind attempt `number`, and say how."""
    queue = Queue(run_profile(run))
    meant = read_attempt_journal(run.attempt(number)).advance_id
    if by and meant and by != meant:
        console().print(f"attempt {number}: job {meant} takes it further, and this is {by}")
        return ExitCode.COMPLETE
    advanced = _take_further(run, number, queue, by=by)
    if advanced.ledger is None:
        console().print(f"attempt {number}: a later attempt is in the queue; nothing to do")
        return ExitCode.COMPLETE
    if advanced.sent:  # what is at work now, not what was before
        print_summary(run, read_ledger(run, ask=queue.ask))
        return ExitCode.COMPLETE
    return _concluded(run, advanced.ledger, advanced, queue=queue)


def run_on_cluster(run: RunDir) -> int:
    """Submit what is to be submitted, wait for the end, and merge what the jobs have not merged."""
    queue = _queue(run)
    try:
        _start(run, queue)
        while True:
            ledger = _wait(run, queue)
            newest = _newest(ledger).journal
            if newest.reduced or newest.stopped or newest.cancelled:
                return _concluded(
                    run, ledger, Advanced(ledger=ledger, stopped=newest.stopped or ""), queue=queue
                )
            with run_lock(run):  # the job that should have done it is gone
                advanced = _take_further(run, newest.number, queue, by="")
            if advanced.ledger is not None and not advanced.sent:
                return _concluded(run, advanced.ledger, advanced, queue=queue)
    except KeyboardInterrupt:
        print(
            f"interrupted; the jobs go on without this command: `slidearray status {run.typed}`; "
            "the same command waits again",
            file=sys.stderr,
        )
        return ExitCode.INTERRUPTED


def asked_ledger(run: RunDir) -> Ledger:
    """The ledger, with the scheduler's word where it has one; nothing is sent without it.

    Raises
    ------
    SchedulerError
        The scheduler does not answer.
    """
    profile = run_profile(run)
    here = dialect_for(profile).runs_here
    return _answered(read_ledger(run, ask=None if here else Queue(profile).ask))


def _answered(ledger: Ledger) -> Ledger:
    if ledger.fault:
        raise SchedulerError(
            f"{ledger.fault}: what is in the queue is not known, so nothing is sent; try again "
            "when the scheduler answers"
        )
    return ledger


def _queue(run: RunDir) -> Queue:
    """The queue of a run's profile.

    Raises
    ------
    SchedulerError
        This machine has no part in its cluster, or the scheduler does not answer.
    """
    profile = run_profile(run)
    queue = Queue(profile)
    if not queue.works_here:
        raise SchedulerError(
            f"profile {profile.name} is for {profile.scheduler}, and this machine has not got its "
            "commands: type the same on a login node of the cluster; with --local the job scripts "
            f"run here, `slidearray submit {run.typed} --dry-run` prints them"
        )
    queue.cluster(wait=False)  # one that does not answer is told before anything else is tried
    return queue


def _start(run: RunDir, queue: Queue) -> None:
    """Submit the first attempt, or what a person who starts a run again means to send."""
    with run_lock(run):
        _recovered(run, queue)
        if last_committed(run) is None:
            _send(first_attempt(run, limits=queue.limits()), queue)
            return
        ledger = asked_ledger(run)
        if _at_work(ledger):
            return
        asked = Asked(by_hand=True, limits=queue.limits())
        if prepared := next_attempt(run, ledger, asked):
            _send(prepared, queue, ledger=ledger)


def _wait(run: RunDir, queue: Queue) -> Ledger:
    """The ledger once nothing of the run is in the queue."""
    pause = FIRST_WAIT_S
    with progress("slides") as update:
        while True:
            ledger = read_ledger(run, ask=queue.ask)
            over = sum(verdict.state in OVER for verdict in ledger.verdicts.values())
            update(over, len(ledger.verdicts))
            if not (ledger.fault or _at_work(ledger)):
                return ledger
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_WAIT_S)


def _at_work(ledger: Ledger) -> bool:
    """Whether a slot or an advance job of the run has not ended."""
    advances = [report.advance for report in ledger.attempts if report.advance]
    return any(word.state is not TaskState.ENDED for word in advances) or any(
        not report.settled for report in ledger.attempts
    )


def _take_further(run: RunDir, number: int, queue: Queue, *, by: str) -> Advanced:
    def send_next(ledger: Ledger) -> bool:
        prepared = next_attempt(run, ledger, Asked(by_hand=False, limits=queue.limits()))
        if prepared is not None:
            _send(prepared, queue, ledger=ledger, by=by)
        return prepared is not None

    return advance(
        run,
        number,
        ask=queue.ask,
        recover=lambda: recover(run, queue),
        send_next=send_next,
        by=by,
    )


def _concluded(run: RunDir, ledger: Ledger, advanced: Advanced, *, queue: Queue) -> int:
    if advanced.stopped:
        ledger = read_ledger(run)  # with what was written down of the stop
    print_summary(run, ledger)
    if advanced.stopped and any(verdict.result is None for verdict in ledger.verdicts.values()):
        return ledger_exit_code(ledger, stopped=True)
    if _newest(ledger).journal.reduced:
        return ledger_exit_code(ledger)
    return merge(run, ledger, limits=queue.limits())


def _recovered(run: RunDir, queue: Queue) -> bool:
    """Finish or undo a submission that was killed; True when its jobs are let go now."""
    found = recover(run, queue)
    if found is None:
        return False
    jobs = ", ".join(found.job_ids) or "no job"
    if found.released:
        console().print(
            f"attempt {found.number} was submitted by a command that was killed: "
            f"{jobs} released now"
        )
    else:
        console().print(f"attempt {found.number}, half submitted, was taken back: {jobs}")
    return found.released


def _send(
    prepared: PreparedAttempt, queue: Queue, *, ledger: Ledger | None = None, by: str = ""
) -> None:
    """Submit an attempt and say what is in the queue now."""
    for doubt in _doubts(prepared, queue):
        console().print(f"warning: as things are now, tasks would not start: {doubt}")
    submission = submit_attempt(prepared, queue, after=_still_at_work(ledger), by=by)
    _print_submission(prepared, submission)


def _doubts(prepared: PreparedAttempt, queue: Queue) -> list[str]:
    """Why tasks of an attempt might wait for ever: a held job is taken without such a look."""
    texts = {job.shape: text for job, text in zip(prepared.jobs, prepared.scripts, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "rehearsal.sh"
        found = []
        for text in texts.values():
            script.write_text(text, encoding="utf-8")
            found.append(queue.rehearse(script).replace(f"{script}: ", ""))
    return sorted({doubt for doubt in found if doubt})


def _still_at_work(ledger: Ledger | None) -> list[str]:
    """Ids of the arrays of earlier attempts that have not ended."""
    reports = ledger.attempts if ledger else ()
    return [
        job.job_id
        for report in reports
        if not report.settled
        for job in report.jobs
        if job.split is not None
    ]


def _print_submission(prepared: PreparedAttempt, submission: Submission) -> None:
    run = prepared.run
    console().print(
        f"attempt {submission.number}: {counted(prepared.slides, 'slide')} in "
        f"{counted(len(prepared.slots), 'array task')}: job {', '.join(submission.job_ids)}"
    )
    what = "sends what failed, then merges" if run_config(run).retry.auto else "merges"
    console().print(
        f"job {submission.advance_id} goes on when they have ended: it {what}; "
        f"`slidearray status {run.typed} --watch` shows how far it is"
    )


def _newest(ledger: Ledger) -> AttemptReport:
    """The newest attempt of a run that was submitted."""
    if ledger.newest is None:
        raise RunError("no attempt of this run was let go: `slidearray submit RUN` does it")
    return ledger.newest


def _refuse_beside_advance(run: RunDir, ledger: Ledger) -> None:
    """Say that the run goes on by itself, where it is about to."""
    if not run_config(run).retry.auto or ledger.newest is None:
        return
    report = _newest(ledger)
    word = report.advance
    if word and word.state in AT_WORK and (report.settled or word.state is TaskState.RUNNING):
        raise RunError(
            f"attempt {report.number} has ended, and its job {report.journal.advance_id} is about "
            "to send what failed by itself; wait for it "
            f"(`slidearray status {run.typed} --watch`), or stop it: "
            f"`slidearray cancel {run.typed}`"
        )
