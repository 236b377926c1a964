"""work: one slot of one attempt, slide by slide, in a child that may crash.

The supervisor owns signals, the deadline and the record, and loads nothing that touches pixels, so
that no slide can end it.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from slidearray import __version__
from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError, StorageFullError
from slidearray.schedulers.limits import ControlGroups
from slidearray.storage.files import execution_token, host_name, storage_fault
from slidearray.storage.records import RecordWriter
from slidearray.storage.slots import read_slot
from slidearray.worker.child_process import Children
from slidearray.worker.deadline import Deadline
from slidearray.worker.execution import Execution, log
from slidearray.worker.signals import Signals

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir


def supervise(
    run: RunDir,
    attempt: int,
    slot: int,
    *,
    walltime_s: float,
    started_at: float,
    groups: ControlGroups | None = None,
) -> ExitCode:
    """Work through one slot and write its record; called in the main thread.

    Parameters
    ----------
    run
        The run directory.
    attempt, slot
        Which line of which attempt's slots.jsonl.
    walltime_s
        What the scheduler grants the job.
    started_at
        When the job script started, in seconds since 1970 by this host's clock.
    groups
        Control groups to take limits from; those of this process when None.

    Returns
    -------
    ExitCode
        ``COMPLETE`` when every slide has a terminal event, be it `failed`; ``INTERRUPTED`` when a
        signal or the deadline left some for later; ``STORAGE_FULL``; ``SETUP_FAILED`` when the
        run directory or the encoder cannot be used.
    """
    with Signals() as signals:
        deadline = Deadline(walltime_s=walltime_s, started_at=started_at)
        try:
            slides = read_slot(run.attempt(attempt).slots, slot).slides
            token = execution_token()
            children = Children(run, token=token, groups=groups or ControlGroups())
            with RecordWriter(run.attempt(attempt).record(slot, token)) as record:
                record.write(
                    "started", slot=slot, attempt=attempt, walltime_s=walltime_s, **_here(children)
                )
                execution = Execution(children, record=record, signals=signals, deadline=deadline)
                code = execution.work(slides)
                record.write("finished", exit_code=int(code))
                return code
        except (SlidearrayError, OSError) as error:
            return _failed(error, run.root)


def _here(children: Children) -> dict[str, Any]:
    """Where and with what this execution works."""
    return {
        "host": host_name(),
        "pid": os.getpid(),
        "cpus": children.limits.cpus,
        "memory_mb": children.limits.memory_mb,
        "versions": {"slidearray": __version__, "python": platform.python_version()},
    }


def _failed(error: SlidearrayError | OSError, where: Path) -> ExitCode:
    """Exit code for an error that left no record of itself."""
    full = error if isinstance(error, StorageFullError) else storage_fault(where, error)
    log(f"error: {full or error}")
    return ExitCode.STORAGE_FULL if full else ExitCode.SETUP_FAILED
