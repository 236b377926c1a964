"""`slidearray work`: what a job script ends in. Imports only the light supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.storage.rundir import open_run
from slidearray.worker.supervisor import supervise

if TYPE_CHECKING:
    import argparse


def work(args: argparse.Namespace) -> int:
    """Take one slot."""
    project = Path(args.project) if args.project else None
    run = open_run(Path(args.run), project)
    return supervise(
        run, args.attempt, args.slot, walltime_s=args.walltime, started_at=args.started
    )
