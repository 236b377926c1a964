"""work: one slot of one attempt, slide by slide, in a child that may crash.

The supervisor owns signals, the deadline and the record, and loads nothing that touches pixels, so
that no slide can end it. Wherever it waits, it waits for whatever comes first: a message of the
child, the child's end, a signal, the deadline.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from slidearray import __version__
from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError, StorageFullError
from slidearray.storage.files import execution_token, host_name, remove_partials, storage_fault
from slidearray.storage.records import RecordWriter
from slidearray.storage.rundir import read_document
from slidearray.storage.slots import read_slot
from slidearray.worker.child_process import ChildProcess, how_it_ended
from slidearray.worker.limits import ControlGroups, limits_here
from slidearray.worker.signals import DRAIN, Signals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

    from slidearray.storage.rundir import RunDir
    from slidearray.storage.slots import SlotSlide
    from slidearray.worker.channel import Message

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
            with RecordWriter(run.attempt(attempt).record(slot, token)) as record:
                crew = Crew(run, token=token, groups=groups or ControlGroups())
                record.write(
                    "started",
                    slot=slot,
                    attempt=attempt,
                    host=host_name(),
                    pid=os.getpid(),
                    walltime_s=walltime_s,
                    versions={"slidearray": __version__, "python": platform.python_version()},
                    **asdict(crew.limits),
                )
                code = Shift(crew, record=record, signals=signals, deadline=deadline).work(slides)
                record.write("finished", exit_code=int(code))
                return code
        except (SlidearrayError, OSError) as error:
            return _failed(error, run.root)


def _failed(error: SlidearrayError | OSError, where: Path) -> ExitCode:
    """Exit code for an error that left no record of itself."""
    full = error if isinstance(error, StorageFullError) else storage_fault(where, error)
    log(f"error: {full or error}")
    return ExitCode.STORAGE_FULL if full else ExitCode.SETUP_FAILED
