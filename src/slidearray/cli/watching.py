"""`status`, `logs`, `efficiency`: how a run goes on."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import console, print_json, print_status
from slidearray.cli.efficiency_display import print_efficiency
from slidearray.cli.results import opened
from slidearray.core.exits import ExitCode
from slidearray.efficiency import run_efficiency, write_profile
from slidearray.errors import RunError
from slidearray.logs import Ending, find_log, follow, why_missing
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.queue import Queue
from slidearray.status.report import run_status, with_last_step
from slidearray.storage.configs import run_profile
from slidearray.storage.ledger import read_ledger
from slidearray.storage.uncollected import uncollected
from slidearray.watch import watch

if TYPE_CHECKING:
    import argparse

    from slidearray.core.queue import Ask
    from slidearray.logs import FoundLog
    from slidearray.status.report import RunStatus
    from slidearray.storage.rundir import RunDir


def status(args: argparse.Namespace) -> int:
    """Count slides by state and class, once or until nothing is at work."""
    run = opened(args)
    ask = _ask(run)

    def look() -> RunStatus:
        with uncollected():
            return with_last_step(run_status(run, read_ledger(run, ask=ask), ask=ask))

    def show(found: RunStatus) -> None:
        if not args.json:
            console().clear()  # a terminal; a file gets one block below the other
            print_status(found)
            console().print()

    if args.watch:
        found = watch(look, show=show, at_work=lambda seen: seen.at_work, wait=time.sleep)
    else:
        found = look()
        if not args.json:
            print_status(found)
    if args.json:
        print_json(found.to_json())
    return ExitCode.COMPLETE if found.complete else ExitCode.INCOMPLETE


def _ask(run: RunDir) -> Ask | None:
    """How the run's scheduler is asked; None where it has none."""
    profile = run_profile(run)
    return None if dialect_for(profile).runs_here else Queue(profile).ask


def logs(args: argparse.Namespace) -> int:
    """Show the log of a slide, a slot, or the job behind the slots."""
    run = opened(args)
    log = find_log(run, args.what, attempt=args.attempt)
    ending = Ending(run, log, ask=_ask(run))
    for note in log.notes:
        console().print(f"note: {note}")
    if not log.path.exists():
        ending.seen()
        missing = why_missing(log, ending.word)
        if not args.follow:
            raise RunError(missing)
        print(missing, file=sys.stderr)
    console().print(_header(log))
    with suppress(KeyboardInterrupt):  # how one ends what is followed
        for text in follow(log.path, over=ending.seen if args.follow else _now, wait=time.sleep):
            sys.stdout.write(text)
            sys.stdout.flush()
    if not log.path.exists():
        raise RunError(why_missing(log, ending.word))
    return ExitCode.COMPLETE


def _now() -> bool:
    return True


def _header(log: FoundLog) -> str:
    what = "goes on behind the slots" if log.slot is None else f"slot {log.slot}"
    job = f", job {log.job_name}" if log.job_name else ""
    return f"==> {log.path} (attempt {log.attempt}, {what}{job})"


def efficiency(args: argparse.Namespace) -> int:
    """Compare what slots used with what they asked for, and suggest other values."""
    report = run_efficiency(opened(args))
    if args.output:
        write_profile(report, Path(args.output))
    if args.json:
        print_json(report.to_json())
        return ExitCode.COMPLETE
    print_efficiency(report)
    if args.output:
        console().print(f"wrote {args.output}: `slidearray plan CONFIG --profile {args.output}`")
    return ExitCode.COMPLETE
