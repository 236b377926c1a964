"""`init` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.cli.display import console, counted
from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError
from slidearray.storage.manifest import read_manifest

if TYPE_CHECKING:
    import argparse

    from slidearray.project import DemoProject


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
    from slidearray.cli.runs import run_everything
    from slidearray.manifests import build_manifest
    from slidearray.project import make_demo

    demo = make_demo(Path(args.folder), slides=Path(args.slides) if args.slides else None)
    if demo.manifest.exists():  # a run directory is frozen: it goes on with the slides it has
        _refuse_other_slides(demo)
        console().print(f"going on with the demo in {demo.folder}")
    else:
        report = build_manifest([demo.slides], output=demo.manifest, root=demo.folder)
        console().print(f"{demo.manifest}: {counted(report.slides, 'slide')}")
    return run_everything(demo.config)


def _refuse_other_slides(demo: DemoProject) -> None:
    folder = demo.slides.resolve()
    rows = read_manifest(demo.manifest).rows
    if not any((demo.folder / row.path).resolve().is_relative_to(folder) for row in rows):
        raise SlidearrayError(
            f"{demo.folder}: holds a demo of other slides than those in {demo.slides}; "
            "name another folder for this one"
        )
