"""The one-liner: plan, submit, wait, next attempts, reduce; stopped anywhere, it goes on there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.cli.display import console, print_plan, print_status, progress, table
from slidearray.cli.results import reduce_shown
from slidearray.core.classes import BY_HAND, FailureClass
from slidearray.core.exits import ExitCode
from slidearray.errors import RunError
from slidearray.planner import plan_run, planned_before
from slidearray.status import run_status
from slidearray.storage.configs import load_config, load_profile
from slidearray.storage.ledger import read_ledger
from slidearray.storage.lock import run_lock
from slidearray.submitter.attempts import (
    first_attempt,
    last_released,
    next_attempt,
    run_config,
)
from slidearray.submitter.here import run_here

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.policy import Event, State
    from slidearray.core.profile import Profile
    from slidearray.status import RunStatus
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import RunDir
    from slidearray.submitter.attempts import PreparedAttempt
    from slidearray.submitter.here import Stopped

#: Lines of a log that are shown when an attempt was given up.
LOG_TAIL = 20
ENDED = frozenset({"done", "empty", "failed", "interrupted"})


@dataclass(slots=True, kw_only=True)
class Pace:
    """What this invocation got done; the only thing here that counts time."""

    began: float = field(default_factory=time.monotonic)
    tiles: int = 0

    @property
    def tiles_per_second(self) -> float:
        """Tiles made here over wall time here."""
        return self.tiles / (time.monotonic() - self.began)


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
    refuse_real_scheduler(profile, local=local, command=f"run {config_path}")
    run = planned_before(config, profile, project=project, run_dir=run_dir)
    if run is None:
        with progress("read headers") as update:
            report = plan_run(
                config,
                profile,
                project=project,
                run_dir=run_dir,
                progress=update,
            )
        print_plan(report, list_rejected=False)  # the summary lists them
        run = report.run
    else:
        console().print(f"going on with {run.root}")
    return _attempts_then_reduce(run)


def refuse_real_scheduler(profile: Profile, *, local: bool, command: str) -> None:
    """Say what this version can do with a cluster's profile."""
    if profile.scheduler != "local" and not local:
        raise RunError(
            f"profile {profile.name} is for {profile.scheduler}, and this version cannot submit to "
            f"a scheduler yet: `slidearray {command} --local` runs the same job scripts here"
            + ("" if command.startswith("run") else ", `--dry-run` prints them")
        )


def run_attempt_here(prepared: PreparedAttempt) -> int:
    """Run one attempt and show what became of the run; the caller holds the lock."""
    pace = Pace()
    stopped = _watch(prepared, pace)
    status = run_status(prepared.run, alive=False)
    _print_summary(status, pace)
    _print_stopped(stopped)
    return _exit_code(read_ledger(prepared.run, alive=False))


def _attempts_then_reduce(run: RunDir) -> int:
    pace = Pace()
    with run_lock(run):
        stopped = _attempts(run, pace)
    status, ledger = run_status(run), read_ledger(run)
    _print_summary(status, pace)
    _print_stopped(stopped)
    code = _exit_code(ledger)
    if stopped or code not in (ExitCode.COMPLETE, ExitCode.INCOMPLETE):
        return code
    if next_attempt(run, ledger, by_hand=False):
        console().print(f"not merged: `slidearray resubmit {run.root}` has slides to send again")
    elif status.states["done"] + status.states["empty"] == 0:
        console().print("not merged: no slide has features")
    else:
        reduce_shown(run, allow_missing=True, list_missing=False)
    return code


def _attempts(run: RunDir, pace: Pace) -> Stopped | None:
    """Attempt after attempt until nothing may be sent again; what stopped it, if anything did."""
    auto = run_config(run).retry.auto
    by_hand = True  # a person started this
    while prepared := _next(run, by_hand=by_hand):
        by_hand = False
        before = _settled(read_ledger(run, alive=False))
        stopped = _watch(prepared, pace)
        ledger = read_ledger(run, alive=False)
        if stopped or not auto or _waits_for_a_person(ledger) or _settled(ledger) == before:
            return stopped
    return None


def _next(run: RunDir, *, by_hand: bool) -> PreparedAttempt | None:
    if last_released(run) is None:
        return first_attempt(run)
    return next_attempt(run, read_ledger(run, alive=False), by_hand=by_hand)


def _settled(ledger: Ledger) -> list[tuple[State, int]]:
    """What an attempt has to change, or another one is no use."""
    return [(verdict.state, verdict.charged) for verdict in ledger.verdicts.values()]


def _waits_for_a_person(ledger: Ledger) -> bool:
    return any(verdict.failure in BY_HAND for verdict in ledger.verdicts.values())


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


def _print_summary(status: RunStatus, pace: Pace) -> None:
    print_status(status)
    rate = round(pace.tiles_per_second) if pace.tiles else "-"
    console().print(
        table(
            ("slides with features", "tiles", "tiles/s", "without features"),
            [
                (
                    status.states["done"] + status.states["empty"],
                    status.tiles,
                    rate,
                    len(status.troubles),
                )
            ],
        )
    )


def _print_stopped(stopped: Stopped | None) -> None:
    if stopped:
        what = "stopped: slot after slot failed with" if stopped.early else "a slot ended with"
        console().print(f"{what} {stopped.failure}. {stopped.log} ends:")
        console().print("\n".join(f"  {line}" for line in _tail(stopped.log)))


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]


def _exit_code(ledger: Ledger) -> int:
    failures = {v.failure for v in ledger.verdicts.values() if v.failure}
    if FailureClass.SETUP_FAILED in failures:
        return ExitCode.SETUP_FAILED
    if FailureClass.STORAGE_FULL in failures:
        return ExitCode.STORAGE_FULL
    if failures & {FailureClass.INTERRUPTED, FailureClass.LOST, FailureClass.NOT_STARTED}:
        return ExitCode.INTERRUPTED
    return ExitCode.INCOMPLETE if failures or ledger.rejected else ExitCode.COMPLETE
