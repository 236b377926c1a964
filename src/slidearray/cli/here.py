"""Attempts on this machine, with a progress bar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slidearray.cli.conclusion import (
    Pace,
    ledger_exit_code,
    merge,
    print_summary,
)
from slidearray.cli.display import console, progress
from slidearray.core.exits import ExitCode
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.submitter.local_attempt import run_here
from slidearray.submitter.until_settled import run_until_settled

if TYPE_CHECKING:
    from slidearray.core.events import Event
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt
    from slidearray.submitter.local_attempt import Stopped

#: Events after which a slide is over for this attempt.
ENDED = frozenset({"done", "empty", "failed", "interrupted"})


def run_attempt_here(prepared: PreparedAttempt) -> int:
    """Run one attempt and show what became of the run; the caller holds the lock."""
    pace, run = Pace(), prepared.run
    try:
        stopped = _watch(prepared, pace)
    except KeyboardInterrupt:
        print(f"interrupted; `slidearray resubmit {run.typed}` goes on", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return _summary(run, pace, stopped)


def run_all_here(run: RunDir) -> int:
    """Make attempts until nothing may be sent again, then merge."""
    pace = Pace()
    try:
        with run_lock(run):
            stopped = run_until_settled(run, attempt=lambda each: _watch(each, pace))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return ExitCode.INTERRUPTED
    code = _summary(run, pace, stopped)
    return code if stopped else merge(run, read_ledger(run))


def _summary(run: RunDir, pace: Pace, stopped: Stopped | None) -> ExitCode:
    ledger = read_ledger(run)
    print_summary(run, ledger, pace)
    if stopped:
        what = "slot after slot failed with" if stopped.early else "a slot ended with"
        console().print(f"stopped: {what} {stopped.failure}")
    return ledger_exit_code(ledger, stopped=bool(stopped))


def _watch(prepared: PreparedAttempt, pace: Pace) -> Stopped | None:
    ended: set[str] = set()
    with progress(f"attempt {prepared.number}") as update:

        def on_events(events: list[Event]) -> None:
            ended.update(event["slide_id"] for event in events if event["event"] in ENDED)
            pace.tiles += sum(_new_tiles(event) for event in events)
            update(len(ended), prepared.slides)

        return run_here(prepared, on_events=on_events)


def _new_tiles(event: Event) -> int:
    return int(event["num_tiles"]) if event["event"] == "done" and not event["reused"] else 0
