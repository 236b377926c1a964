"""Signals to the supervisor, remembered, and loud enough to end a `select`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

STOP = (signal.SIGTERM, signal.SIGINT)
DRAIN = signal.SIGUSR1
WAKING = (*STOP, DRAIN, signal.SIGCHLD)


class Signals:
    """What this process was told by signals; a context manager, for the main thread.

    TERM and INT say stop, USR1 says start nothing more, CHLD only ends a `select`.
    """

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None  # the first one that said so
        self.drain = False

    def __enter__(self) -> Signals:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {signum: signal.signal(signum, self._take) for signum in WAKING}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Descriptor to select on."""
        return self._read

    def quiet(self) -> None:
        """Let the next `select` wait again."""
        try:
            while os.read(self._read, 512):
                pass
        except BlockingIOError:
            pass

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if signum == DRAIN:
            self.drain = True
        elif signum in STOP and self.stop is None:
            self.stop = signal.Signals(signum)
