"""`reduce`, `verify`, `info`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import (
    console,
    counted,
    print_json,
    print_listing,
    progress,
    size_text,
    table,
)
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.storage.journal import Journal, last_committed
from slidearray.storage.rundir import open_run

if TYPE_CHECKING:
    import argparse

    from slidearray.reducer import ReduceReport
    from slidearray.storage.rundir import RunDir
    from slidearray.storage.verify import FileCheck


def opened(args: argparse.Namespace) -> RunDir:
    """The run directory that a command names."""
    return open_run(Path(args.run), Path(args.project) if args.project else None)


def reduce(args: argparse.Namespace) -> int:
    """Merge feature files into one store."""
    allowed = frozenset(FailureClass) if args.allow_missing else frozenset[FailureClass]()
    run = opened(args)
    report = reduce_shown(run, allow_missing=allowed)
    if report.complete:
        note_reduced(run, report)
    return ExitCode.COMPLETE if report.complete else ExitCode.INCOMPLETE


def note_reduced(run: RunDir, report: ReduceReport) -> None:
    """Write behind the newest attempt that its run is merged."""
    if report.store is not None and (newest := last_committed(run)):
        journal = Journal(run.attempt(newest).journal)
        journal.append("reduced", slides=report.slides, missing=len(report.missing))


def reduce_shown(run: RunDir, *, allow_missing: frozenset[FailureClass]) -> ReduceReport:
    """Reduce with a progress bar, then say where the store is and how to open it."""
    from slidearray.reducer import reduce_run

    with progress("reduce") as update:
        report = reduce_run(run, allow_missing=allow_missing, progress=update)
    if report.store is None:
        _print_no_store(run, report)
        return report
    missing = counted(len(report.missing), "slide")
    console().print(
        f"store {report.store} ({size_text(report.store.stat().st_size)}): "
        f"{counted(report.slides, 'slide')}, {counted(report.tiles, 'tile')}"
        + ("" if report.complete else f"; not complete, {missing} missing")
    )
    console().print(
        f"  from slidearray import FeatureStore\n  store = FeatureStore({str(report.store)!r})"
    )
    return report


def _print_no_store(run: RunDir, report: ReduceReport) -> None:
    console().print(f"no store written, {counted(len(report.missing), 'slide')} missing:")
    print_listing(
        ("slide_id", "class", "reason"),
        [(slide.slide_id, slide.failure.value, slide.reason) for slide in report.missing],
        rest=f"slidearray status {run.typed} --json",
    )
    if any(slide.failure is FailureClass.LOST for slide in report.missing):
        console().print(
            f"`slidearray resubmit {run.typed} --include lost` makes anew what is not as recorded"
        )
    console().print(
        f"`slidearray status {run.typed}` says what can be done about the others; "
        "`slidearray reduce --allow-missing` writes a store without them"
    )


def verify(args: argparse.Namespace) -> int:
    """Open and check files."""
    from slidearray.storage.verify import verify_paths

    checks = verify_paths([Path(path) for path in args.paths])
    if args.json:
        print_json([{**asdict(check), "path": str(check.path)} for check in checks])
    else:
        _print_checks(checks)
    faulty = any(check.faults for check in checks)
    return ExitCode.INCOMPLETE if faulty else ExitCode.COMPLETE


def _print_checks(checks: list[FileCheck]) -> None:
    faults = [(check.path, fault) for check in checks for fault in check.faults]
    if faults:
        print_listing(("file", "fault"), faults, rest="--json lists them all")
    for check in checks:
        if check.missing:
            missing = counted(len(check.missing), "slide")
            console().print(f"{check.path}: sound, but not complete: {missing} missing")
    bad = len({path for path, _ in faults})
    console().print(f"{counted(len(checks), 'file')} checked, {bad} with faults")


def info(args: argparse.Namespace) -> int:
    """Describe one slide."""
    from slidearray.info import describe_slide

    found = describe_slide(Path(args.path))
    if args.json:
        print_json(found)
        return ExitCode.COMPLETE
    levels = found.pop("levels")
    console().print(
        table(
            ("key", "value"), [(k, "not given" if v is None else str(v)) for k, v in found.items()]
        )
    )
    console().print(
        table(
            ("level", "width", "height", "downsample", "reader", "pixels"),
            [
                (
                    one["level"],
                    one["width"],
                    one["height"],
                    f"{one['downsample']:.6g}",
                    one["reader"],
                    "interpolated" if one["interpolated"] else "exact",
                )
                for one in levels
            ],
        )
    )
    for why in dict.fromkeys(one["why_not_fast"] for one in levels if one["why_not_fast"]):
        console().print(f"not read fast: {why}", soft_wrap=True)
    return ExitCode.COMPLETE
