"""advance: what became of an attempt, and what follows from it.

The job behind an attempt's arrays runs this when the last of them has ended, with nobody logged in:
it waits until records and scheduler have told everything, seals the attempt, and sends the next
one, or gives up with a reason that a person can act on. What is left is to merge.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.core.queue import TaskState
from slidearray.core.resending import breaker
from slidearray.errors import RunError, SchedulerError, TakenError
from slidearray.storage.configs import run_config
from slidearray.storage.files import remove_partials
from slidearray.storage.journal import Journal, read_attempt_journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.seals import seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from slidearray.core.queue import Ask
    from slidearray.core.verdicts import SlotOutcome
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir

#: Exit codes of a script that did not get to the worker: ours, and the shell's.
SETUP_ENDS = (ExitCode.SETUP_FAILED, 126, 127)
#: Attempts one after the other in which no slide came to an end: something ends them all.
MOST_IDLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for what will come by itself."""

    #: Records that other nodes wrote may take so long to be seen here (NFS).
    records_s: float = 90.0
    #: A scheduler may be away, or its accounting behind; a controller restarts in minutes.
    queue_s: float = 1800.0
    #: A submitter that began the next attempt has to let it go.
    submitter_s: float = 120.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """What followed from an attempt."""

    ledger: Ledger | None  # None: a later attempt is there, and speaks for itself
    sent: bool = False  # the next attempt is in the queue
    stopped: str = ""  # why a person has to look


def advance(
    run: RunDir,
    number: int,
    *,
    ask: Ask,
    recover: Callable[[], object],
    send_next: Callable[[Ledger], bool],
    by: str = "",
    patience: Patience | None = None,
) -> Advanced:
    """Take a run further once attempt `number` has ended.

    Parameters
    ----------
    run
        The run.
    number
        The attempt.
    ask
        Asks the scheduler.
    recover
        Finishes or undoes the next attempt, when this very job began it before it was requeued.
    send_next
        Submits what may go again by itself; False when that is nothing.
    by, patience
        Id of the job that runs this, empty where a person does; and how long is waited.

    Raises
    ------
    RunError
        The next attempt was begun by somebody else, and is neither let go nor given up.
    """
    patience = patience or Patience()
    if _later_attempt(run, number, recover=recover, by=by, patience=patience):
        return Advanced(ledger=None)
    ledger = settled_ledger(run, ask=ask, patience=patience)
    if unclear := _unclear(ledger):
        return _stop(run, ledger, number=number, why=f"nothing is sent on this: {unclear}")
    ledger = _sealed(run, ledger)
    if why := _reason_to_stop(run, ledger):
        return _stop(run, ledger, number=number, why=why)
    if not run_config(run).retry.auto or read_attempt_journal(run.attempt(number)).cancelled:
        return Advanced(ledger=ledger)
    try:
        return Advanced(ledger=ledger, sent=send_next(ledger))
    except TakenError:
        return Advanced(ledger=None)
    except SchedulerError as error:
        return _stop(run, ledger, number=number, why=_not_sent(run, error))


def _not_sent(run: RunDir, error: SchedulerError) -> str:
    return (
        f"the next attempt could not be submitted: {error}; where jobs may be submitted, type: "
        f"slidearray resubmit {run.typed}"
    )


def _sealed(run: RunDir, ledger: Ledger) -> Ledger:
    """Seal what has ended; the ledger as everybody reads it from now on."""
    remove_partials(run.features_dir)  # nobody writes features now
    for report in ledger.attempts:
        if not report.journal.sealed:
            seal(run.attempt(report.number), report.outcomes)
    return read_ledger(run)


def _reason_to_stop(run: RunDir, ledger: Ledger) -> str:
    """Why a person has to look before anything more is sent; empty when nobody has to."""
    report = ledger.newest
    if report is None:
        return f"planned, and not submitted yet: `slidearray submit {run.typed}`"
    any_done = any(each.any_done for each in ledger.attempts)
    if common := breaker(report.failures, len(report.failures), any_done=any_done):
        return f"slot after slot failed with {common}"
    if any(v.failure is FailureClass.STORAGE_FULL for v in ledger.verdicts.values()):
        return "the storage is full or cannot be written"
    if _idle(ledger):
        return f"{MOST_IDLE} attempts one after the other ended before any of their slides did"
    return ""


def _later_attempt(
    run: RunDir, number: int, *, recover: Callable[[], object], by: str, patience: Patience
) -> bool:
    """Whether a later attempt is in the queue: then this one has no say any more."""
    deadline = time.monotonic() + patience.submitter_s
    while later := _open_later(run, number):
        journal = read_attempt_journal(run.attempt(later))
        mine = bool(by) and journal.intent is not None and journal.intent.by == by
        if mine and not journal.released:
            recover()
            continue
        if journal.counts:
            return True
        if time.monotonic() >= deadline:
            raise RunError(
                f"{run.attempt(later).root}: begun by another submitter and not let go; if none "
                f"is at work: `slidearray resubmit {run.typed}`"
            )
        time.sleep(patience.first_pause_s)
    return False


def _open_later(run: RunDir, number: int) -> int | None:
    """The newest attempt, when it is later than `number` and was meant to run."""
    later = (each for each in reversed(run.attempts()) if each > number)
    return next((n for n in later if not read_attempt_journal(run.attempt(n)).abandoned), None)


def settled_ledger(run: RunDir, *, ask: Ask, patience: Patience) -> Ledger:
    """The ledger once nothing in it is unclear, or once waiting for that makes no sense.

    Parameters
    ----------
    run
        The run.
    ask
        Asks the scheduler.
    patience
        How long is waited: for the scheduler, and for records that it makes one expect.
    """
    began, pause_s = time.monotonic(), patience.first_pause_s
    while True:
        ledger = read_ledger(run, ask=ask, relist=True)
        longest_s = patience.queue_s if _unclear(ledger) else patience.records_s
        if time.monotonic() - began >= longest_s or not (_unclear(ledger) or _may_be_late(ledger)):
            return ledger
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, patience.longest_pause_s)


def _unclear(ledger: Ledger) -> str:
    """What the scheduler has not told; empty when every slot has ended."""
    if ledger.fault and any(v.result is None for v in ledger.verdicts.values()):
        return ledger.fault
    open_slots = {
        report.number: sum(n for state, n in report.slots.items() if state is not TaskState.ENDED)
        for report in ledger.attempts
    }
    left = [f"{count} of attempt {number}" for number, count in open_slots.items() if count]
    return f"slots have not ended as far as the scheduler tells: {', '.join(left)}" if left else ""


def _may_be_late(ledger: Ledger) -> bool:
    """Whether records are missing that another node may have written a moment ago."""
    fresh = [
        history
        for report in ledger.attempts
        if not report.journal.sealed
        for history in report.histories
    ]
    silent = any(not h.executions and not _never_began(h.outcome) for h in fresh)
    sent = (slide_id for history in fresh for slide_id in history.slide_ids)
    return silent or any(ledger.verdicts[name].failure is FailureClass.LOST for name in sent)


def _never_began(outcome: SlotOutcome | None) -> bool:
    """Whether a script ended before it could write a record, or never began."""
    return outcome is not None and (outcome.unbegun or outcome.exit_code in SETUP_ENDS)


def _idle(ledger: Ledger) -> bool:
    sent = [r for r in ledger.attempts if r.journal.counts and not r.journal.cancelled]
    newest = sent[-MOST_IDLE:]
    return len(newest) == MOST_IDLE and not any(report.progressed for report in newest)


def _stop(run: RunDir, ledger: Ledger, *, number: int, why: str) -> Advanced:
    Journal(run.attempt(number).journal).append("stopped", reason=why)
    return Advanced(ledger=ledger, stopped=why)
