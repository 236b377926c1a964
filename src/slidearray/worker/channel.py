"""JSON lines between supervisor and child, over pipes of their own.

Standard output stays free: encoders print, and what they print belongs in the log.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]

READ_BYTES = 65536


def send(fd: int, message: Message) -> None:
    """Write one message; `BrokenPipeError` when nobody can read it any more."""
    data = memoryview(json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(fd, data) :]


def messages(fd: int) -> Iterator[Message]:
    """Messages as they come, until the other end closes the pipe."""
    with open(fd, "rb") as file:
        for line in file:
            yield json.loads(line)


class Inbox:
    """The reading end of a pipe, never waited for.

    Parameters
    ----------
    fd
        Descriptor to read from; the inbox owns it.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._rest = b""
        self.closed = False  # nobody holds the writing end any more

    def fileno(self) -> int:
        """Descriptor to select on."""
        return self._fd

    def receive(self) -> list[Message]:
        """Messages that have arrived whole."""
        *lines, self._rest = (self._rest + self._read()).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._fd)

    def _read(self) -> bytes:
        parts = []
        while not self.closed:
            try:
                parts.append(os.read(self._fd, READ_BYTES))
            except BlockingIOError:
                break
            self.closed = not parts[-1]
        return b"".join(parts)
