"""The end of a run as a person sees it: what became of it, and the store."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.cli.display import console, counted, print_status, table
from slidearray.cli.results import note_reduced, reduce_shown
from slidearray.core.classes import BY_HAND, FailureClass
from slidearray.core.exits import ExitCode
from slidearray.core.queue import NOT_ASKED, QueueLimits
from slidearray.core.verdicts import State, exit_code
from slidearray.status.report import run_status
from slidearray.submitter.attempts import Asked, next_attempt

if TYPE_CHECKING:
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir

#: States in which a slide is neither at work nor unknown.
OVER = frozenset({State.DONE, State.EMPTY, State.FAILED})


@dataclass(slots=True, kw_only=True)
class Pace:
    """What this invocation got done."""

    began: float = field(default_factory=time.monotonic)
    tiles: int = 0

    @property
    def tiles_per_second(self) -> str:
        """Tiles made here over wall time here; a dash where none were made."""
        return f"{self.tiles / (time.monotonic() - self.began):.3g}" if self.tiles else "-"


def ledger_exit_code(ledger: Ledger, *, stopped: bool = False) -> ExitCode:
    """The exit code that tells how far a run is; one that was given up is not to be resumed."""
    code = exit_code(ledger.verdicts.values(), rejected=len(ledger.rejected))
    return ExitCode.INCOMPLETE if stopped and code is ExitCode.INTERRUPTED else code


def print_summary(run: RunDir, ledger: Ledger, pace: Pace | None = None) -> None:
    """What became of every slide, and how fast this invocation was, if it did the work."""
    status = run_status(run, ledger)
    print_status(status)
    counts = {
        "slides with tiles": status.states["done"],
        "without a tile": status.states["empty"],
        "without features": len(status.troubles),
        "tiles": status.tiles,
    }
    speed = {"tiles/s": pace.tiles_per_second} if pace else {}
    console().print(table((*counts, *speed), [(*counts.values(), *speed.values())]))


def merge(run: RunDir, ledger: Ledger, *, limits: QueueLimits = NOT_ASKED) -> int:
    """Merge what there is, once only permanent failures remain; the run's exit code."""
    code = ledger_exit_code(ledger)
    waiting = sum(verdict.failure in BY_HAND for verdict in ledger.verdicts.values())
    if waiting:
        console().print(f"not merged: {counted(waiting, 'slide')} may go again when you say so")
        return code
    if code not in (ExitCode.COMPLETE, ExitCode.INCOMPLETE):
        return code
    if any(verdict.state not in OVER for verdict in ledger.verdicts.values()):
        console().print("not merged: slides are at work, or nobody tells whether they are")
        return code
    if next_attempt(run, ledger, Asked(by_hand=False, limits=limits)):
        console().print("not merged: slides can go again")
        return code
    # Files that contradict their records are no reason to replace a store by a smaller one.
    report = reduce_shown(run, allow_missing=frozenset(FailureClass) - {FailureClass.LOST})
    note_reduced(run, report)
    lost = any(slide.failure is FailureClass.LOST for slide in report.missing)
    return ExitCode.INTERRUPTED if lost else code
