"""Attempts on this machine, as a person sees them; and the one-liner that does everything."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.cli.display import console, print_plan, print_status, progress, table
from slidearray.cli.results import reduce_shown
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.core.verdicts import exit_code
from slidearray.errors import RunError
from slidearray.planner import plan_run, planned_before
from slidearray.schedulers.dialect import dialect_for
from slidearray.status import run_status
from slidearray.storage.configs import load_config, load_profile
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.submitter.attempts import next_attempt
from slidearray.submitter.local_attempt import run_here
from slidearray.submitter.until_settled import run_until_settled

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.core.events import Event
    from slidearray.core.profile import Profile
    from slidearray.planner import PlanReport
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt
    from slidearray.submitter.local_attempt import Stopped

#: Lines of a log that are shown when a person has to look.
LOG_TAIL = 20
#: Events after which a slide is over for this attempt.
ENDED = frozenset({"done", "empty", "failed", "interrupted"})


@dataclass(slots=True, kw_only=True)
class Pace:
    """What this invocation got done."""

    began: float = field(default_factory=time.monotonic)
    tiles: int = 0

    @property
    def tiles_per_second(self) -> str:
        """Tiles made here over wall time here; a dash where none were made."""
        return f"{self.tiles / (time.monotonic() - self.began):.3g}" if self.tiles else "-"


def run_config_here(
    config_path: Path,
    *,
    profile_name: str | None = None,
    run_dir: Path | None = None,
    local: bool = False,
) -> int:
    """Do everything for a config on this machine; safe to stop and to start again."""
    config, project = load_config(config_path)
    profile = load_profile(profile_name, project=project)
    refuse_real_scheduler(profile, local=local)
    run = planned_before(config, profile, project=project, run_dir=run_dir)
    if run is None:
        report = plan_shown(config, profile, project=project, run_dir=run_dir)
        print_plan(report, list_rejected=False)  # the summary lists them
        run = report.run
    else:
        console().print(f"going on with {run.root}")
    pace = Pace()
    try:
        with run_lock(run):
            stopped = run_until_settled(run, attempt=lambda each: _watch(each, pace))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return _conclude(run, pace, stopped)


def plan_shown(
    config: Config, profile: Profile, *, project: Path, run_dir: Path | None
) -> PlanReport:
    """Plan with a progress bar."""
    with progress("read headers") as update:
        return plan_run(config, profile, project=project, run_dir=run_dir, progress=update)


def refuse_real_scheduler(profile: Profile, *, local: bool) -> None:
    """Say what this version can do with a cluster's profile."""
    if not (local or dialect_for(profile).runs_here):
        raise RunError(
            f"profile {profile.name} is for {profile.scheduler}, and this version cannot submit to "
            "a scheduler yet: the same command with --local runs the job scripts here; "
            "`slidearray submit RUN --dry-run` prints them"
        )


def run_attempt_here(prepared: PreparedAttempt) -> int:
    """Run one attempt and show what became of the run; the caller holds the lock."""
    pace, run = Pace(), prepared.run
    try:
        stopped = _watch(prepared, pace)
    except KeyboardInterrupt:
        print(f"interrupted; `slidearray resubmit {run.root}` goes on", file=sys.stderr)
        return ExitCode.INTERRUPTED
    ledger = read_ledger(run)
    _print_summary(run, ledger, pace)
    _print_stopped(stopped)
    return ledger_exit_code(ledger, stopped)


def ledger_exit_code(ledger: Ledger, stopped: Stopped | None = None) -> ExitCode:
    """The exit code that tells how far a run is; one that was given up is not to be resumed."""
    code = exit_code(ledger.verdicts.values(), rejected=len(ledger.rejected))
    return ExitCode.INCOMPLETE if stopped and code is ExitCode.INTERRUPTED else code


def _conclude(run: RunDir, pace: Pace, stopped: Stopped | None) -> int:
    """Show what became of the run, and merge it when only permanent failures remain."""
    ledger = read_ledger(run)
    _print_summary(run, ledger, pace)
    _print_stopped(stopped)
    code = ledger_exit_code(ledger, stopped)
    if stopped or code not in (ExitCode.COMPLETE, ExitCode.INCOMPLETE):
        return code
    if next_attempt(run, ledger, by_hand=False):
        console().print("not merged: slides can go again")
        return code
    # Files that contradict their records are no reason to replace a store by a smaller one.
    allowed = frozenset(FailureClass) - {FailureClass.LOST}
    report = reduce_shown(run, allow_missing=allowed)
    lost = any(slide.failure is FailureClass.LOST for slide in report.missing)
    return ExitCode.INTERRUPTED if lost else code


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


def _print_summary(run: RunDir, ledger: Ledger, pace: Pace) -> None:
    status = run_status(run, ledger)
    print_status(status)
    done, empty = status.states["done"], status.states["empty"]
    console().print(
        table(
            ("slides with tiles", "without a tile", "without features", "tiles", "tiles/s"),
            [(done, empty, len(status.troubles), status.tiles, pace.tiles_per_second)],
        )
    )


def _print_stopped(stopped: Stopped | None) -> None:
    if stopped:
        what = "stopped: slot after slot failed with" if stopped.early else "a slot ended with"
        console().print(f"{what} {stopped.failure}. {stopped.log} ends:")
        console().print("\n".join(f"  {line}" for line in _tail(stopped.log)))


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]
