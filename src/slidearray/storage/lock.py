"""The lock of a run: courtesy between submitters; who held it last is readable."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import SoftFileLock, Timeout

from slidearray.errors import RunError
from slidearray.storage.files import host_name, process_exists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.storage.rundir import RunDir

# Time for filelock to judge a dead owner's file, or one that was never finished, and take it over.
TAKE_OVER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """What a lock file says of who made it."""

    pid: int
    host: str


@contextmanager
def run_lock(run: RunDir) -> Iterator[None]:
    """Hold the run's lock during the block.

    The lock of a process of this host that is gone is taken over.

    Raises
    ------
    RunError
        Another process holds it; says which, and how to remove the lock if it is gone.
    """
    lock = SoftFileLock(run.lock)
    patience = 0.0 if _held_elsewhere(run.lock) else TAKE_OVER_S
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RunError(_refusal(run.lock)) from None
    except PermissionError:
        raise RunError(f"{run.lock}: cannot be written: is this another user's run?") from None
    try:
        yield
    finally:
        lock.release()


def lock_is_live(run: RunDir) -> bool:
    """Whether a process other than this one is at work on the run.

    A process of this host is asked for; one of another host counts as living.
    """
    holder = _holder(run.lock)
    if holder is not None and holder.pid == os.getpid() and _is_here(holder):
        return False
    return _held_elsewhere(run.lock)


def _held_elsewhere(path: Path) -> bool:
    holder = _holder(path)
    return holder is not None and not (_is_here(holder) and not process_exists(holder.pid))


def _holder(path: Path) -> LockHolder | None:
    """The writer of a lock file: filelock writes the process id, then the host."""
    try:
        pid, host, *_ = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return LockHolder(pid=int(pid), host=host)
    except (OSError, ValueError):
        return None


def _is_here(holder: LockHolder) -> bool:
    # In a container filelock adds the process namespace: ids of another one mean nothing here.
    namespace = f"?pidns-{Path('/proc/self/ns/pid').stat().st_ino:x}"
    return holder.host in (host_name(), host_name() + namespace)


def _refusal(path: Path) -> str:
    holder = _holder(path)
    if holder is None:
        return f"{path}: held by an unknown process; if none is at work: {_remove(path)}"
    host = holder.host.split("?")[0]
    return (
        f"{path}: another slidearray is at work on this run: process {holder.pid} on {host}; "
        f"if it is gone: {_remove(path)}"
    )


def _remove(path: Path) -> str:
    return f"rm -- {shlex.quote(str(path))}"
