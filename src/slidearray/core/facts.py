"""What the records of one slot tell, sorted for questions about one slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.events import restarts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slidearray.core.events import Event

#: Events of a slide that has features, or needs none.
RESULTS = frozenset({"done", "empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The events of a slot; superseded executions count for nothing."""

    slides: frozenset[str]  # of the slot
    started: bool  # some execution got as far as its first record
    silent: bool  # the newest one did not, though an earlier one may have
    setup_fault: str | None  # of the newest execution
    results: dict[str, Event]  # slide → its newest `done` or `empty`
    # Of slides without a result:
    by_slide: dict[str, list[Event]]  # over all executions, oldest first
    newest: dict[str, str]  # slide → name of its last event in the newest execution


def facts(
    executions: Iterable[Sequence[Event]], *, slide_ids: Iterable[str], told_restarts: int
) -> Facts:
    """Sort the events of a slot.

    Parameters
    ----------
    executions
        Events of each execution, oldest first.
    slide_ids
        The slides of the slot.
    told_restarts
        How often the slot had been requeued before its newest execution, told by whoever did it.
    """
    counted = [events for events in executions if not _superseded(events)]
    newest = counted[-1] if counted else ()
    results = {
        event["slide_id"]: event
        for events in counted
        for event in events
        if event["event"] in RESULTS and "slide_id" in event
    }
    slides = frozenset(slide_ids)
    still_open = slides - results.keys()
    by_slide: dict[str, list[Event]] = {}
    for event in (event for events in counted for event in _of(still_open, events)):
        by_slide.setdefault(event["slide_id"], []).append(event)
    faults = [event.get("reason", "") for event in newest if event["event"] == "setup_failed"]
    return Facts(
        slides=slides,
        started=any(event["event"] == "started" for events in counted for event in events),
        silent=told_restarts > max(map(restarts, counted), default=0),
        setup_fault=faults[-1] if faults else None,
        results=results,
        by_slide=by_slide,
        newest={event["slide_id"]: event["event"] for event in _of(still_open, newest)},
    )


def _superseded(events: Sequence[Event]) -> bool:
    return "superseded" in [event["event"] for event in events]


def _of(slides: frozenset[str], events: Sequence[Event]) -> list[Event]:
    """The events of some slides; most slots have none left that anybody asks about."""
    return [event for event in events if event.get("slide_id") in slides] if slides else []
