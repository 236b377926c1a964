"""What a person can do about a run, in sentences with the commands to type."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.exits import ended_in_words
from slidearray.core.queue import TaskState
from slidearray.core.resending import resend
from slidearray.core.verdicts import State
from slidearray.schedulers.dialect import queue_dialect_for
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.lock import lock_is_live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.core.queue import QueueLimits, TaskWord
    from slidearray.core.verdicts import SlotOutcome
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir

#: Reasons for which the job behind the slots waits as it should.
WAITS_FOR_SLOTS = frozenset({"Dependency", ""})


def meaning(run: RunDir, reason: str) -> str:
    """What a pending reason means, with the run's own name in the commands to type."""
    advice = queue_dialect_for(run_profile(run)).advice_for(reason)
    return (advice or "").replace(" RUN`", f" {run.typed}`")


def how(outcome: SlotOutcome) -> str:
    """How a job ended, when that was not well."""
    if outcome.ended_by is None and (
        outcome.exit_code == 0 or not (outcome.exit_code or outcome.word)
    ):
        return ""
    told = outcome.word if outcome.exit_code is None else ended_in_words(outcome.exit_code)
    words = str(outcome.ended_by or told)
    return f"{words} on {outcome.node}" if outcome.node else words


def advice_on(
    run: RunDir, ledger: Ledger, advance: TaskWord | None, *, limits: QueueLimits
) -> Iterator[str]:
    """What a person can do about the slides without features."""
    states = {verdict.state for verdict in ledger.verdicts.values()}
    yield from _advice_on_submission(run, ledger)
    if states & {State.RUNNING, State.PENDING} and any(r.journal.counts for r in ledger.attempts):
        yield "slots are at work"
    if unknown := sum(v.state is State.UNKNOWN for v in ledger.verdicts.values()):
        yield f"{unknown} unknown: nothing of them is sent again before the scheduler tells"
    yield from _advice_on_advance(run, ledger, advance)
    again, by_themselves, for_good = _sorted_out(run, ledger, limits)
    if by_themselves and advance is not None and advance.state is not TaskState.ENDED:
        yield f"{by_themselves} go again by themselves when all slots have ended"
        again -= by_themselves
    if again:
        yield f"{again} can go again: `slidearray resubmit {run.typed}`"
    for failure, count in sorted(for_good.items()):
        yield (
            f"{count} failed for good with {failure}: mend them, then "
            f"`slidearray resubmit {run.typed} --include {failure}`"
        )
    if ledger.rejected:
        yield (
            f"{len(ledger.rejected)} rejected by the plan: mend them, then plan into another "
            "run directory (--run-dir); this one is frozen"
        )


def _advice_on_submission(run: RunDir, ledger: Ledger) -> Iterator[str]:
    """An attempt that was begun and never let go, or that there is none yet."""
    sent = ledger.newest
    begun = ledger.attempts[-1].journal if ledger.attempts else None
    if begun is not None and not (begun.released or begun.abandoned or begun.cancelled):
        command = "resubmit" if sent else "submit"
        who = "is being submitted" if lock_is_live(run) else "was begun and never let go"
        yield f"attempt {begun.number} {who}: `slidearray {command} {run.typed}` goes on with it"
    elif sent is None:
        yield f"not submitted yet: `slidearray submit {run.typed}`"


def _advice_on_advance(run: RunDir, ledger: Ledger, word: TaskWord | None) -> Iterator[str]:
    """The job behind the newest attempt: what it waits for, does, or left undone."""
    newest = ledger.newest
    if newest is None:
        return
    journal = newest.journal
    if journal.stopped is not None:
        yield f"stopped after attempt {newest.number}: {journal.stopped}"
    if word is None:
        return
    if journal.cancelled and not newest.settled:
        yield f"cancelled, and jobs are still there: `slidearray cancel {run.typed}` goes on"
    job = f"job {journal.advance_id}"
    if word.state is TaskState.RUNNING:
        yield f"{job} goes on with what follows attempt {newest.number}"
    elif word.state is TaskState.PENDING and not newest.settled and word.reason in WAITS_FOR_SLOTS:
        yield f"{job} goes on when they have ended"
    elif word.state is TaskState.PENDING:
        means = meaning(run, word.reason)
        yield f"{job}, which goes on, waits: {word.reason}" + (f": {means}" if means else "")
    elif word.state is TaskState.ENDED and not journal.concluded and _died(journal, word):
        told = how(word.outcome) if word.outcome else ""
        yield (
            f"{job}, which was to go on, ended before it could{f' ({told})' if told else ''}; its "
            f"log is {run.attempt(newest.number).advance_log}. Once all slots have ended, "
            f"`slidearray resubmit {run.typed}` sends what is missing, "
            f"`slidearray reduce {run.typed}` merges"
        )


def _died(journal: AttemptJournal, word: TaskWord) -> bool:
    """Whether the job behind the slots ended before it was through."""
    if not journal.sealed or word.outcome is None:
        return not journal.sealed
    return word.outcome.ended_by is not None or (word.outcome.exit_code or 0) < 0


def _sorted_out(
    run: RunDir, ledger: Ledger, limits: QueueLimits
) -> tuple[int, int, Counter[FailureClass]]:
    """How many slides `resubmit` would send, how many of them go without it, and all others."""
    config = run_config(run)
    once_more = partial(resend, retry=config.retry_policy().within(limits), include=frozenset())
    again, by_themselves, for_good = 0, 0, Counter[FailureClass]()
    for slide_id, verdict in ledger.verdicts.items():
        if verdict.failure is None:
            continue
        if once_more(slide_id, verdict, by_hand=True):
            again += 1
            by_themselves += config.retry.auto and bool(once_more(slide_id, verdict, by_hand=False))
        else:
            for_good[verdict.failure] += 1
    return again, by_themselves, for_good
