"""Exit codes: what a script that calls us can rely on, and what a process tells by its own."""

from __future__ import annotations

import signal
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    COMPLETE = 0
    USER_ERROR = 1
    COMMAND_LINE = 2
    INCOMPLETE = 3  # slides failed or are missing
    STORAGE_FULL = 74  # EX_IOERR of sysexits.h
    INTERRUPTED = 75  # EX_TEMPFAIL: resume it
    SETUP_FAILED = 78  # EX_CONFIG


def ended_in_words(exit_code: int) -> str:
    """How a process ended, from its exit code as `subprocess` gives it.

    Examples
    --------
    >>> ended_in_words(3), ended_in_words(-9), ended_in_words(-99)
    ('exit code 3', 'signal 9 (SIGKILL)', 'signal 99')
    >>> ended_in_words(139)  # of a shell whose last program was ended by a signal
    'exit code 139, as after signal 11 (SIGSEGV)'
    """
    number = -exit_code if exit_code < 0 else exit_code - 128
    known = number in set(signal.Signals)
    name = f"{number} ({signal.Signals(number).name})" if known else str(number)
    if exit_code < 0:
        return f"signal {name}"
    return f"exit code {exit_code}" + (f", as after signal {name}" if known else "")
