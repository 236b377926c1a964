"""Attempt after attempt, until nothing may be sent again or a person has to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.core.classes import BY_HAND
from slidearray.storage.configs import run_config
from slidearray.storage.journal import last_committed
from slidearray.storage.ledger import read_ledger
from slidearray.submitter.attempts import Asked, first_attempt, next_attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from slidearray.core.verdicts import State
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt
    from slidearray.submitter.local_attempt import Stopped


def run_until_settled(
    run: RunDir, *, attempt: Callable[[PreparedAttempt], Stopped | None]
) -> Stopped | None:
    """Make attempts until there is nothing left to send; the caller holds the run's lock.

    Parameters
    ----------
    run
        A planned run; what it has done before is not done again.
    attempt
        Runs one attempt to its end.

    Returns
    -------
    Stopped or None
        What a person has to look at, when that ended it.
    """
    ledger = read_ledger(run)
    by_hand = True  # a person started this
    while prepared := _next(run, ledger, by_hand=by_hand):
        by_hand = False
        stopped = attempt(prepared)
        before, ledger = ledger, read_ledger(run)
        # Interrupted and lost slides use up no attempt: without progress this would never end.
        idle = _progress(ledger) == _progress(before)
        if stopped or idle or _waits_for_a_person(ledger) or not run_config(run).retry.auto:
            return stopped
    return None


def _next(run: RunDir, ledger: Ledger, *, by_hand: bool) -> PreparedAttempt | None:
    if last_committed(run) is None:
        return first_attempt(run)
    return next_attempt(run, ledger, Asked(by_hand=by_hand))


def _progress(ledger: Ledger) -> list[tuple[State, int]]:
    return [(verdict.state, verdict.charged) for verdict in ledger.verdicts.values()]


def _waits_for_a_person(ledger: Ledger) -> bool:
    return any(verdict.failure in BY_HAND for verdict in ledger.verdicts.values())
