"""The journal of an attempt: what was submitted, and how its slots ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slidearray.storage.files import append_line, json_line, parse_events, utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.storage.rundir import RunDir


class Journal:
    """An append-only list of events, written by the holder of the run's lock.

    Parameters
    ----------
    path
        ``AttemptDir.journal``; made by the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **fields: Any) -> None:
        """Append one event with the time of writing; it is on disk when this returns."""
        append_line(self.path, json_line({"event": event, "time": utc_now(), **fields}))

    def read(self) -> list[Event]:
        """All events, oldest first; none when nothing was written yet.

        Raises
        ------
        RunError
            A damaged line, other than an unfinished last one.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return parse_events(data, self.path)


def last_released(run: RunDir) -> int | None:
    """The newest attempt whose slots were let go; None when there is none."""
    for number in reversed(run.attempts()):
        events = Journal(run.attempt(number).journal).read()
        if any(event["event"] == "released" for event in events):
            return number
    return None
