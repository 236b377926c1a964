"""Messages arrive whole, in order, and never from standard output."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from slidearray.worker.channel import Inbox, messages, send

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGE = {"path": "a\nb \udc80 é 😐", "seconds": 0.1, "nothing": None}


@pytest.fixture
def pipe() -> Iterator[tuple[Inbox, int]]:
    reading, writing = os.pipe()
    inbox = Inbox(reading)
    yield inbox, writing
    inbox.close()


def test_messages_come_as_they_were_sent(pipe: tuple[Inbox, int]) -> None:
    inbox, writing = pipe
    send(writing, STRANGE)
    send(writing, {"event": "ready"})
    assert inbox.receive() == [STRANGE, {"event": "ready"}]
    assert not inbox.closed
    os.close(writing)
    assert inbox.receive() == []
    assert inbox.closed


def test_half_a_message_waits_for_its_other_half(pipe: tuple[Inbox, int]) -> None:
    inbox, writing = pipe
    os.write(writing, b'{"event": "re')
    assert inbox.receive() == []
    os.write(writing, b'ady"}\n{"ev')
    assert inbox.receive() == [{"event": "ready"}]
    os.close(writing)
    assert inbox.receive() == []


def test_a_message_larger_than_the_pipe_passes() -> None:
    reading, writing = os.pipe()
    large = {"reason": "x" * 1_000_000}
    thread = threading.Thread(target=send, args=(writing, large))
    thread.start()
    assert next(messages(reading)) == large
    thread.join()
    os.close(writing)


def test_nobody_there_to_read_is_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        send(writing, STRANGE)
    os.close(writing)
