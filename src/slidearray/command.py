"""Start programs: the only use of subprocess."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import IO

#: A program that was started.
Process = subprocess.Popen[bytes]

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
    pass_fds: Collection[int] = (),
    new_session: bool = False,
    parent_death_signal: signal.Signals | None = None,
    ignore: Collection[signal.Signals] = (),
) -> Process:
    """Start a program and return at once; its standard input is empty.

    Parameters
    ----------
    argv
        The program and its arguments; no shell reads them.
    env
        The whole environment; ours when None.
    stdout
        File for what it prints, errors included; ours when None.
    pass_fds
        Descriptors that it keeps, under their own numbers.
    new_session
        Give it a session, and so a process group, of its own.
    parent_death_signal
        Sent to it when the thread that called this function ends, however that ends.
    ignore
        Signals that never reach it, not even while it starts.

    Raises
    ------
    OSError
        The program cannot be started.
    """
    # A signal to the whole group between fork and exec would run our own handlers in the copy.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
            preexec_fn=_in_the_child(parent_death_signal, ignore, mask=before),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait(process: Process, *, seconds: float) -> int | None:
    """The exit code of `process` once it ended; None when it did not within `seconds`."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _in_the_child(
    parent_death_signal: signal.Signals | None,
    ignore: Collection[signal.Signals],
    *,
    mask: Collection[int],
) -> Callable[[], None]:
    """What the copy of this process does before it becomes the program."""
    parent = os.getpid()

    def prepare() -> None:
        for signum in ignore:
            signal.signal(signum, signal.SIG_IGN)
        if parent_death_signal is not None:
            _die_with_parent(parent_death_signal, parent=parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return prepare


def _die_with_parent(signum: signal.Signals, *, parent: int) -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signum.value, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked to watch it
        os.kill(os.getpid(), signum)
