"""`plan`, `submit`, `resubmit`, `run`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import console, counted, print_listing, print_plan
from slidearray.cli.results import opened
from slidearray.cli.whole_run import (
    ledger_exit_code,
    plan_shown,
    refuse_real_scheduler,
    run_attempt_here,
    run_config_here,
)
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.errors import RunError
from slidearray.status import run_status
from slidearray.storage.configs import load_config, load_profile, run_profile
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.submitter.attempts import first_attempt, next_attempt, preview

if TYPE_CHECKING:
    import argparse

    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt

#: Stands in a command line for what only a submission can tell; it is printed as it is.
UNKNOWN = re.compile(r"(--dependency=afterany:)?\{(array id( of \d+)?|slot)\}")


def plan(args: argparse.Namespace) -> int:
    """Freeze a run directory."""
    config, project = load_config(Path(args.config))
    profile = load_profile(args.profile, project=project)
    run_dir = Path(args.run_dir) if args.run_dir else None
    print_plan(plan_shown(config, profile, project=project, run_dir=run_dir))
    return ExitCode.COMPLETE


def run(args: argparse.Namespace) -> int:
    """Plan, submit, wait, next attempts, reduce."""
    return run_config_here(
        Path(args.config),
        profile_name=args.profile,
        run_dir=Path(args.run_dir) if args.run_dir else None,
        local=args.local,
    )


def submit(args: argparse.Namespace) -> int:
    """Submit a planned run, once."""
    run = opened(args)
    if args.dry_run:
        _print_preview(first_attempt(run))
        return ExitCode.COMPLETE
    refuse_real_scheduler(run_profile(run), local=args.local)
    with run_lock(run):
        return run_attempt_here(first_attempt(run))


def resubmit(args: argparse.Namespace) -> int:
    """Send what failed or is missing."""
    run = opened(args)
    include = _classes(args.include)
    if args.dry_run:
        ledger = read_ledger(run)
        if prepared := next_attempt(run, ledger, include=include, by_hand=True):
            _print_preview(prepared)
        else:
            _print_nothing_to_send(run, ledger)
        return ExitCode.COMPLETE
    refuse_real_scheduler(run_profile(run), local=args.local)
    with run_lock(run):
        ledger = read_ledger(run)
        if prepared := next_attempt(run, ledger, include=include, by_hand=True):
            return run_attempt_here(prepared)
    _print_nothing_to_send(run, ledger)
    return ledger_exit_code(ledger)


def _classes(names: list[str]) -> frozenset[FailureClass]:
    known = [failure.value for failure in FailureClass]
    if unknown := [name for name in names if name not in known]:
        raise RunError(f"--include {unknown[0]}: no failure class; known are {', '.join(known)}")
    return frozenset(FailureClass(name) for name in names)


def _print_nothing_to_send(run: RunDir, ledger: Ledger) -> None:
    console().print("nothing to send again")
    for line in run_status(run, ledger).advice:
        console().print(line)


def _print_preview(prepared: PreparedAttempt) -> None:
    console().print(
        f"attempt {prepared.number}: {counted(prepared.slides, 'slide')} in "
        f"{counted(len(prepared.slots), 'array task')}"
    )
    if prepared.resends:
        rows = [(again.slide_id, again.why) for again in prepared.resends]
        print_listing(("slide_id", "why"), rows, rest="in the run's status")
    for script in preview(prepared):
        console().print(f"\n--- {script.path}")
        print(script.text, end="")
        console().print("---")
        for argv in script.commands:
            console().print(command_line(argv))


def command_line(argv: tuple[str, ...]) -> str:
    """An argv as one would type it; what is not known yet stays readable."""
    return " ".join(part if UNKNOWN.fullmatch(part) else shlex.quote(part) for part in argv)
