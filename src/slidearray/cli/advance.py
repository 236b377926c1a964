"""`slidearray advance`: what the job behind an attempt's arrays runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slidearray.cli.cluster import advance_on_cluster
from slidearray.cli.results import opened
from slidearray.schedulers.environment import job_identity

if TYPE_CHECKING:
    import argparse


def advance(args: argparse.Namespace) -> int:
    """Take a run further once an attempt has ended."""
    here = job_identity(os.environ)
    return advance_on_cluster(opened(args), args.attempt, by=here.job_id if here else "")
