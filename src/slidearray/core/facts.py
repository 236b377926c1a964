"""What the records of one slot tell, sorted for questions about one slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.events import named, restarts
from slidearray.core.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slidearray.core.events import Event

#: Events of a slide that has features, or needs none.
RESULTS = frozenset({"done", "empty"})
#: Exit codes of a script that did not get to its worker (126 and 127 are bash's), and a worker
#: that ends with one of them has written so.
_BEFORE_THE_WORKER = frozenset({ExitCode.SETUP_FAILED, 126, 127})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What whoever started a slot's executions tells of the newest one."""

    restarts: int = 0  # requeues before it
    node: str = ""  # where it ran; empty: not told
    at_work: bool = False  # it has not ended
    exit_code: int | None = None


def facts(executions: Iterable[Sequence[Event]], *, slide_ids: Iterable[str], told: Told) -> Facts:
    """Sort the events of a slot.

    Parameters
    ----------
    executions
        Events of each execution, oldest first.
    slide_ids
        The slides of the slot.
    told
        The newest execution, as whoever started it tells.
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
        silent=_newest_is_silent(counted, told),
        setup_fault=faults[-1] if faults else None,
        results=results,
        by_slide=by_slide,
        newest={event["slide_id"]: event["event"] for event in _of(still_open, newest)},
    )


def _newest_is_silent(counted: Sequence[Sequence[Event]], told: Told) -> bool:
    """Whether the newest execution wrote no record, by what is `told` of it.

    A worker that is told by its scheduler how often it was requeued writes so. One that has to
    count records does not know of executions without any, and its scheduler may count even those
    that a node refused before the script began. So one of them was silent then, and another node
    or another end tells that it was the newest. While it is at work it is taken for the newest:
    then no slide is sent that it may be doing.
    """
    if told.restarts <= max(map(restarts, counted), default=0):
        return False
    newest = counted[-1] if counted else ()
    started = named(newest, "started")
    if told.at_work or not started.get("restarts_counted"):
        return True
    if told.node and not _same_node(told.node, str(started.get("node"))):
        return True
    own_end = named(newest, "finished").get("exit_code")
    return told.exit_code in _BEFORE_THE_WORKER and told.exit_code != own_end


def _same_node(one: str, other: str) -> bool:
    """Whether two names are of one node; a scheduler may leave out the domain."""
    if "." in one and "." in other:
        return one.lower() == other.lower()
    return one.partition(".")[0].lower() == other.partition(".")[0].lower()


def _superseded(events: Sequence[Event]) -> bool:
    return "superseded" in [event["event"] for event in events]


def _of(slides: frozenset[str], events: Sequence[Event]) -> list[Event]:
    """The events of some slides; most slots have none left that anybody asks about."""
    return [event for event in events if event.get("slide_id") in slides] if slides else []
