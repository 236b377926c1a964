"""`plan`, `submit`, `resubmit`, `run`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import console, print_listing, print_plan, progress
from slidearray.cli.results import opened
from slidearray.cli.whole_run import refuse_real_scheduler, run_attempt_here, run_config_here
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.errors import RunError
from slidearray.planner import plan_run
from slidearray.storage.configs import load_config, load_profile
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.submitter.attempts import first_attempt, next_attempt, preview, run_profile

if TYPE_CHECKING:
    import argparse

    from slidearray.submitter.attempts import PreparedAttempt


def plan(args: argparse.Namespace) -> int:
    """Freeze a run directory."""
    config, project = load_config(Path(args.config))
    profile = load_profile(args.profile, project=project)
    run_dir = Path(args.run_dir) if args.run_dir else None
    with progress("read headers") as update:
        report = plan_run(
            config,
            profile,
            project=project,
            run_dir=run_dir,
            progress=update,
        )
    print_plan(report)
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
        return _print_preview(first_attempt(run))
    refuse_real_scheduler(run_profile(run), local=args.local, command=f"submit {args.run}")
    with run_lock(run):
        return run_attempt_here(first_attempt(run))


def resubmit(args: argparse.Namespace) -> int:
    """Send what failed or is missing."""
    run = opened(args)
    include = _classes(args.include)
    if args.dry_run:
        prepared = next_attempt(run, read_ledger(run), include=include, by_hand=True)
        return _print_preview(prepared)
    refuse_real_scheduler(run_profile(run), local=args.local, command=f"resubmit {args.run}")
    with run_lock(run):
        ledger = read_ledger(run, alive=False)
        prepared = next_attempt(run, ledger, include=include, by_hand=True)
        if prepared is None:
            console().print("nothing to send again; `slidearray status` lists what failed for good")
            return ExitCode.COMPLETE
        return run_attempt_here(prepared)


def _classes(names: list[str]) -> frozenset[FailureClass]:
    known = [failure.value for failure in FailureClass]
    if unknown := [name for name in names if name not in known]:
        raise RunError(f"--include {unknown[0]}: no failure class; known are {', '.join(known)}")
    return frozenset(FailureClass(name) for name in names)


def _print_preview(prepared: PreparedAttempt | None) -> int:
    if prepared is None:
        console().print("nothing to send again")
        return ExitCode.COMPLETE
    console().print(
        f"attempt {prepared.number}: {prepared.slides} slides in {len(prepared.slots)} array tasks"
    )
    if prepared.resends:
        print_listing(
            ("slide_id", "why"), [(again.slide_id, again.why) for again in prepared.resends]
        )
    for script in preview(prepared):
        console().print(f"\n--- {script.path}")
        print(script.text, end="")
        console().print("---")
        for argv in script.commands:
            console().print(_shown(argv))
    return ExitCode.COMPLETE


def _shown(argv: tuple[str, ...]) -> str:
    """An argv as one would type it; an id that is not known yet stays readable."""
    return " ".join(part if "{" in part else shlex.quote(part) for part in argv)
