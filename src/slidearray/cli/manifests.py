"""`manifest build` and `manifest check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import LISTED, console, counted, print_json, print_rejected
from slidearray.core.exits import ExitCode
from slidearray.manifests import build_manifest, check_manifest
from slidearray.storage.configs import load_config
from slidearray.storage.plan_files import rejected_json

if TYPE_CHECKING:
    import argparse

    from slidearray.manifests import CheckReport


def build(args: argparse.Namespace) -> int:
    """List the slides under folders in a CSV."""
    output = Path(args.output)
    report = build_manifest(
        [Path(folder) for folder in args.folders],
        output=output,
        root=Path(args.root or "."),
        headers=args.headers,
    )
    for line in report.notes:
        console().print(line)
    if report.not_found:
        console().print(
            f"{counted(len(report.not_found), 'row')} kept although these folders have no such "
            f"slide: {', '.join(report.not_found[:LISTED])}"
        )
    print_rejected(report.unreadable, rest=f"slidearray manifest check {output} --json")
    console().print(f"{output}: {counted(report.slides, 'slide')}, {len(report.added)} of them new")
    return ExitCode.COMPLETE


def check(args: argparse.Namespace) -> int:
    """Name every problem of a manifest in one go."""
    config, project = load_config(Path(args.config)) if args.config else (None, Path())
    root = Path(args.root) if args.root else project
    root = root.absolute()  # so that a missing slide shows where it was looked for
    report = check_manifest(Path(args.manifest), root=root, config=config)
    if args.json:
        print_json(_json(report))
    else:
        console().print(f"{args.manifest}: {counted(report.slides, 'slide')}")
        print_rejected(report.rejected, rest="--json lists them all")
    return ExitCode.INCOMPLETE if report.rejected else ExitCode.COMPLETE


def _json(report: CheckReport) -> dict[str, object]:
    return {
        "slides": report.slides,
        "rejected": [rejected_json(slide) for slide in report.rejected],
    }
