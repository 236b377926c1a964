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
from slidearray.schedulers.environment import job_identity
from slidearray.schedulers.limits import ControlGroups
from slidearray.storage.files import execution_token, host_name, storage_fault
from slidearray.storage.records import RecordWriter, executions_before
from slidearray.storage.slots import read_slot
from slidearray.worker.child_process import Children
from slidearray.worker.deadline import Deadline
from slidearray.worker.execution import Execution, log
from slidearray.worker.signals import Signals
from slidearray.worker.superseded import PATIENCE_S, superseded

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.schedulers.environment import JobIdentity
    from slidearray.storage.rundir import AttemptDir, RunDir
    from slidearray.worker.superseded import Superseded


def supervise(
    run: RunDir,
    attempt: int,
    slot: int,
    *,
    walltime_s: float,
    started_at: float,
    groups: ControlGroups | None = None,
    patience_s: float = PATIENCE_S,
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
    patience_s
        How long a journal that names another job is read again.

    Returns
    -------
    ExitCode
        ``COMPLETE`` when every slide has a terminal event, be it `failed`, or when another job
        counts; ``INTERRUPTED`` when a signal or the deadline left some for later;
        ``STORAGE_FULL``; ``SETUP_FAILED`` when run directory or encoder cannot be used.
    """
    identity = job_identity(os.environ)
    folder = run.attempt(attempt)
    with Signals() as signals:
        deadline = Deadline(walltime_s=walltime_s, started_at=started_at)
        try:
            stray = superseded(
                folder, slot, identity=identity, signals=signals, patience_s=patience_s
            )
            if stray:
                return _stand_aside(folder, slot, stray, signals=signals)
            children = Children(run, token=execution_token(), groups=groups or ControlGroups())
            about = {"slot": slot, "attempt": attempt, "walltime_s": walltime_s}
            about |= _here(children) | _job(identity, folder, slot)
            return _work(folder, children, signals=signals, deadline=deadline, about=about)
        except (SlidearrayError, OSError) as error:
            return _failed(error, run.root)


def _work(
    folder: AttemptDir,
    children: Children,
    *,
    signals: Signals,
    deadline: Deadline,
    about: dict[str, Any],
) -> ExitCode:
    """Work through the slot that is told `about`, between `started` and `finished`."""
    slides = read_slot(folder.slots, about["slot"]).slides
    with RecordWriter(folder.record(about["slot"], children.token)) as record:
        record.write("started", **about)
        execution = Execution(children, record=record, signals=signals, deadline=deadline)
        code = execution.work(slides)
        wall_s = round(deadline.used_s(), 3)
        record.write("finished", exit_code=int(code), wall_s=wall_s, **execution.usage.spent())
        return code


def _stand_aside(folder: AttemptDir, slot: int, stray: Superseded, *, signals: Signals) -> ExitCode:
    """End without work; the record says why, unless a signal came before that was certain."""
    log(f"superseded: {stray.reason}")
    if stray.expected and (signals.stop or signals.drain):
        return ExitCode.INTERRUPTED
    with RecordWriter(folder.record(slot, execution_token())) as record:
        record.write("superseded", job_id=stray.job_id, expected=list(stray.expected))
    return ExitCode.COMPLETE


def _here(children: Children) -> dict[str, Any]:
    """Where and with what this execution works."""
    return {
        "host": host_name(),
        "pid": os.getpid(),
        "cpus": children.limits.cpus,
        "memory_mb": children.limits.memory_mb,
        "versions": {"slidearray": __version__, "python": platform.python_version()},
    }


def _job(identity: JobIdentity | None, folder: AttemptDir, slot: int) -> dict[str, Any]:
    """The scheduler's names for this execution; outside of a job it has none."""
    if identity is None:
        return {}
    return {
        "job_id": identity.job_id,
        "task": identity.task,
        **_restarts(identity, folder, slot),
        "node": identity.node or host_name(),
    }


def _restarts(identity: JobIdentity, folder: AttemptDir, slot: int) -> dict[str, Any]:
    """How often the slot was begun before: by the scheduler's word, else by its records."""
    if identity.restarts is not None:
        return {"restarts": identity.restarts}
    return {"restarts": executions_before(folder, slot), "restarts_counted": True}


def _failed(error: SlidearrayError | OSError, where: Path) -> ExitCode:
    """Exit code for an error that left no record of itself."""
    full = error if isinstance(error, StorageFullError) else storage_fault(where, error)
    log(f"error: {full or error}")
    return ExitCode.STORAGE_FULL if full else ExitCode.SETUP_FAILED
