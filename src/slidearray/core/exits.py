"""Exit codes: what a script that calls us can rely on."""

from __future__ import annotations

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
