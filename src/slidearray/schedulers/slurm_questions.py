"""The questions that SLURM is asked about jobs: argument lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.schedulers import slurm_words

if TYPE_CHECKING:
    from collections.abc import Sequence

_SQUEUE = ("squeue", "--noheader", "--all", f"--Format={slurm_words.QUEUE_FORMAT}")


def find_argv(names: Sequence[str]) -> list[str]:
    """One line for all pending tasks of an array; hidden partitions too."""
    return [*_SQUEUE, "--states=all", f"--name={','.join(names)}"]


def own_argv(user: str) -> list[str]:
    """Everything that a user has, a line a task."""
    return [*_SQUEUE, "--array", f"--user={user}"]


def queue_argv(names: Sequence[str]) -> list[str]:
    """A line a task, with those that ended until SLURM forgets them (MinJobAge)."""
    return [*_SQUEUE, "--states=all", "--array", f"--name={','.join(names)}"]


def history_argv(job_ids: Sequence[str]) -> list[str]:
    """`sacct`, with every execution of a task that was requeued."""
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--duplicates",
        f"--format={slurm_words.HISTORY_FORMAT}",
        f"--jobs={','.join(job_ids)}",
    ]


def keeps_no_history(words: str) -> bool:
    """Whether an error says that sacct has nothing to read on this cluster."""
    return "accounting storage is disabled" in words or "sacct: not found" in words
