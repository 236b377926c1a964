"""`init` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import console, counted
from slidearray.core.exits import ExitCode

if TYPE_CHECKING:
    import argparse


def init(args: argparse.Namespace) -> int:
    """Make a project's skeleton; what is there stays as it is."""
    from slidearray.project import init_project

    report = init_project(Path(args.folder))
    for path in report.made:
        console().print(f"made {path}")
    for path in report.kept:
        console().print(f"kept {path}: it was there")
    return ExitCode.COMPLETE


def demo(args: argparse.Namespace) -> int:
    """The whole way once: project, slides, manifest, run."""
    from slidearray.cli.whole_run import run_config_here
    from slidearray.manifests import build_manifest
    from slidearray.project import make_demo

    demo = make_demo(Path(args.folder), slides=Path(args.slides) if args.slides else None)
    report = build_manifest([demo.slides], output=demo.manifest, root=demo.folder)
    console().print(f"{demo.manifest}: {counted(report.slides, 'slide')}")
    return run_config_here(demo.config)
