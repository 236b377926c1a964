"""Start programs: the only use of subprocess."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import SlidearrayError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import IO, Any

#: A program that was started.
Process = subprocess.Popen[bytes]

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)


class CommandError(SlidearrayError):
    """A program that cannot be started."""


class TimedOutError(CommandError):
    """A program that did not end in time, and was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a program printed, and its exit code (negative: the signal that ended it)."""

    code: int
    stdout: str
    stderr: str


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
    return _begin(
        argv,
        parent_death_signal,
        ignore,
        env=env,
        stdout=stdout,
        stderr=None if stdout is None else subprocess.STDOUT,
        pass_fds=tuple(pass_fds),
        start_new_session=new_session,
    )


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float,
    pass_fds: Collection[int] = (),
) -> Completed:
    """Run a program to its end; its standard input is empty.

    It has a session of its own, so that Ctrl-C at our terminal does not reach it; when we are
    interrupted, or it takes too long, its whole process group is killed.

    Parameters
    ----------
    argv
        The program and its arguments; no shell reads them.
    env
        The whole environment; ours when None.
    timeout_s
        How long it may take.
    pass_fds
        Descriptors that it keeps, under their own numbers.

    Raises
    ------
    CommandError
        It cannot be started.
    TimedOutError
        It did not end within `timeout_s`.
    """
    with _memory_file() as stdout, _memory_file() as stderr:
        try:
            process = _begin(
                argv,
                env=env,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{argv[0]}: {error.strerror}") from error
        try:
            code = wait(process, seconds=timeout_s)
        finally:
            if process.returncode is None:
                _kill_group(process)
        if code is None:
            raise TimedOutError(f"{argv[0]}: no answer within {timeout_s:g} s")
        return Completed(code=code, stdout=_text(stdout), stderr=_text(stderr))


def wait(process: Process, *, seconds: float) -> int | None:
    """The exit code of `process` once it ended; None when it did not within `seconds`."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _begin(
    argv: Sequence[str],
    parent_death_signal: signal.Signals | None = None,
    ignore: Collection[signal.Signals] = (),
    **options: Any,
) -> Process:
    # A signal to the whole group between fork and exec would run our own handlers in the copy.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        prepare = _in_the_child(parent_death_signal, ignore, mask=before)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=prepare, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _memory_file() -> IO[bytes]:
    """Where output goes: unlike a pipe, its end is not awaited from whoever else holds it."""
    return open(os.memfd_create("output"), "w+b")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
