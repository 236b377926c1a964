"""`plan`, `submit`, `resubmit`, `cancel`, `run`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.cluster import (
    asked_ledger,
    cancel_on_cluster,
    resubmit_to_cluster,
    run_on_cluster,
    submit_to_cluster,
)
from slidearray.cli.conclusion import ledger_exit_code
from slidearray.cli.display import console, counted, print_listing, print_plan, progress
from slidearray.cli.here import run_all_here, run_attempt_here
from slidearray.cli.results import opened
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.core.queue import NOT_ASKED
from slidearray.errors import RunError
from slidearray.planner import plan_run, planned_before
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.queue import Queue
from slidearray.status.report import run_status
from slidearray.storage.configs import load_config, load_profile, run_profile
from slidearray.storage.lock import run_lock
from slidearray.storage.rundir import open_run
from slidearray.submitter.attempts import (
    Asked,
    first_attempt,
    next_attempt,
    preview,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from slidearray.core.config import Config
    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.planner import PlanReport
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt

#: Stands in a command line for what only a submission can tell; it is printed as it is.
UNKNOWN = re.compile(r"(--dependency=afterany)?([:,]?\{(array id of \d+|slot)\})+")


def plan(args: argparse.Namespace) -> int:
    """Freeze a run directory."""
    config, project = load_config(Path(args.config))
    profile = load_profile(args.profile, project=project)
    run_dir = Path(args.run_dir) if args.run_dir else None
    report = _planned(config, profile, project=project, run_dir=run_dir, reuse=args.reuse)
    print_plan(report)
    return ExitCode.COMPLETE


def run(args: argparse.Namespace) -> int:
    """Plan, submit, wait, next attempts, reduce."""
    return run_everything(
        Path(args.config),
        profile_name=args.profile,
        run_dir=Path(args.run_dir) if args.run_dir else None,
        reuse=args.reuse,
        local=args.local,
    )


def run_everything(
    config_path: Path,
    *,
    profile_name: str | None = None,
    run_dir: Path | None = None,
    reuse: Sequence[str] = (),
    local: bool = False,
) -> int:
    """Do everything for a config; safe to stop and to start again."""
    config, project = load_config(config_path)
    profile = load_profile(profile_name, project=project)
    run = planned_before(config, profile, project=project, run_dir=run_dir)
    if run is None:
        report = _planned(config, profile, project=project, run_dir=run_dir, reuse=reuse)
        print_plan(report, list_rejected=False)  # the summary lists them
        run = report.run
    else:
        console().print(f"going on with {run.root}")
    here = local or dialect_for(profile).runs_here
    return run_all_here(run) if here else run_on_cluster(run)


def submit(args: argparse.Namespace) -> int:
    """Submit a planned run, once."""
    run = opened(args)
    profile = run_profile(run)
    if args.dry_run:
        _print_preview(first_attempt(run, limits=_limits(profile)))
        return ExitCode.COMPLETE
    if not _is_here(args, profile):
        return submit_to_cluster(run)
    with run_lock(run):
        return run_attempt_here(first_attempt(run))


def resubmit(args: argparse.Namespace) -> int:
    """Send what failed or is missing."""
    run = opened(args)
    include, profile = _classes(args.include), run_profile(run)
    here = _is_here(args, profile)
    if args.dry_run:
        ledger = asked_ledger(run)
        asked = Asked(by_hand=True, include=include, limits=_limits(profile))
        if prepared := next_attempt(run, ledger, asked):
            _print_preview(prepared)
        else:
            _print_nothing_to_send(run, ledger, asked.limits)
        return ExitCode.COMPLETE
    if not here:
        left = resubmit_to_cluster(run, include=include)
        if left is None:
            return ExitCode.COMPLETE
        return _print_nothing_to_send(run, left, _limits(profile))
    with run_lock(run):
        ledger = asked_ledger(run)
        if prepared := next_attempt(run, ledger, Asked(by_hand=True, include=include)):
            return run_attempt_here(prepared)
    return _print_nothing_to_send(run, ledger, NOT_ASKED)


def cancel(args: argparse.Namespace) -> int:
    """Take back what was submitted."""
    run = opened(args)
    if dialect_for(run_profile(run)).runs_here:
        raise RunError(
            f"{run.root}: its slots run here, under the command that submitted them: end that with "
            "Ctrl-C; they end with it"
        )
    return cancel_on_cluster(run)


def _planned(
    config: Config,
    profile: Profile,
    *,
    project: Path,
    run_dir: Path | None,
    reuse: Sequence[str],
) -> PlanReport:
    """Plan with a progress bar, within what the scheduler takes."""
    with progress("read headers") as update:
        return plan_run(
            config,
            profile,
            project=project,
            run_dir=run_dir,
            reuse=[open_run(Path(other)) for other in reuse],
            limits=_limits(profile),
            progress=update,
        )


def _is_here(args: argparse.Namespace, profile: Profile) -> bool:
    return bool(args.local) or dialect_for(profile).runs_here


def _limits(profile: Profile) -> QueueLimits:
    return NOT_ASKED if dialect_for(profile).runs_here else Queue(profile).limits()


def _classes(names: list[str]) -> frozenset[FailureClass]:
    known = [failure.value for failure in FailureClass]
    if unknown := [name for name in names if name not in known]:
        raise RunError(f"--include {unknown[0]}: no failure class; known are {', '.join(known)}")
    return frozenset(FailureClass(name) for name in names)


def _print_nothing_to_send(run: RunDir, ledger: Ledger, limits: QueueLimits) -> int:
    console().print("nothing to send again")
    for line in run_status(run, ledger, limits=limits).advice:
        console().print(line)
    return ledger_exit_code(ledger)


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
