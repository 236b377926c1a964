"""Events: the lines of records and journals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: One event: its name under ``event``, when it was written under ``time``, and its own fields.
Event = dict[str, Any]


def restarts(events: Sequence[Event]) -> int:
    """How often a slot had been requeued when this execution of it began; 0 when not told."""
    told = named(events, "started").get("restarts")
    return told if isinstance(told, int) else 0


def named(events: Sequence[Event], name: str) -> Event:
    """The first event of a name; an empty one where there is none."""
    return next((event for event in events if event["event"] == name), {})
