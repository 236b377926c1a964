"""What a slot used of what it asked for, read from the events of its executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slidearray.core.events import Event
    from slidearray.core.shapes import Shape
    from slidearray.core.verdicts import SlotOutcome

_TOO_LITTLE = (FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT)
#: Share of the walltime after which leaving early means that it was too short, and not a request.
_LATE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotUse:
    """One slot of one attempt: what it asked for, and what its newest execution used."""

    attempt: int
    slot: int
    shape: Shape
    slides: int
    planned_s: float  # predicted for all its slides
    done: int  # slides whose features it made
    predicted_s: float  # for those that were done
    real_s: float  # for the same
    finished: bool  # else the use is known of single slides only, and is at least this
    wall_s: float | None  # None: not known, as below
    cpu_s: float | None
    peak_mb: int | None
    short_of: frozenset[FailureClass]  # memory (`out_of_memory`) or time (`timeout`)

    @property
    def memory_share(self) -> float:
        """Of the memory that was asked for; 0 when it is not known."""
        return (self.peak_mb or 0) / self.shape.memory_mb

    @property
    def time_share(self) -> float:
        """Of the walltime; 0 when it is not known."""
        return (self.wall_s or 0) / self.shape.walltime_s

    @property
    def cpu_share(self) -> float | None:
        """Of the CPUs, over the time that it took."""
        if not self.wall_s or self.cpu_s is None:
            return None
        return self.cpu_s / (self.wall_s * self.shape.cpus)


def slot_use(
    place: tuple[int, int],
    shape: Shape,
    *,
    predicted: Mapping[str, float],
    executions: Sequence[Sequence[Event]],
    outcome: SlotOutcome | None,
) -> SlotUse | None:
    """What a slot used; None when it never began to work.

    Parameters
    ----------
    place
        Attempt and slot.
    shape
        What it asked for.
    predicted
        Seconds, by slide of the slot.
    executions
        Its events, oldest execution first.
    outcome
        How it ended, where that is known.
    """
    counted = [events for events in executions if _find(events, "started")]
    if not counted:
        return None
    newest = counted[-1]
    slides = [event for event in newest if "seconds" in event]
    done = [e for e in slides if e["event"] == "done" and not e.get("reused")]
    end = _find(newest, "finished")
    used = end if end and "wall_s" in end else _at_least(slides)
    return SlotUse(
        attempt=place[0],
        slot=place[1],
        shape=shape,
        slides=len(predicted),
        planned_s=sum(predicted.values()),
        done=len(done),
        predicted_s=sum(predicted.get(event["slide_id"], 0.0) for event in done),
        real_s=sum(event["seconds"] for event in done),
        finished=used is end,
        wall_s=used.get("wall_s"),
        cpu_s=used.get("cpu_s"),
        peak_mb=used.get("peak_mb"),
        short_of=_short_of(counted, shape, outcome),
    )


def _at_least(slides: Sequence[Event]) -> dict[str, Any]:
    """What is known of an execution that did not come to its end, or did not tell its use."""
    if not slides:
        return {}
    cpu_s = [event["cpu_s"] for event in slides if event.get("cpu_s") is not None]
    peak_mb = [event["peak_mb"] for event in slides if event.get("peak_mb") is not None]
    return {
        "wall_s": sum(event["seconds"] for event in slides),
        "cpu_s": sum(cpu_s) if cpu_s else None,
        "peak_mb": max(peak_mb, default=None),
    }


def _find(events: Sequence[Event], name: str) -> Event | None:
    return next((event for event in events if event["event"] == name), None)


def _short_of(
    executions: Sequence[Sequence[Event]], shape: Shape, outcome: SlotOutcome | None
) -> frozenset[FailureClass]:
    """What there was too little of, by the records or the scheduler."""
    told = {event.get("failure") for events in executions for event in events}
    told.add(outcome.ended_by if outcome else None)
    if _drained(executions[-1], shape):
        told.add(FailureClass.TIMEOUT)
    return frozenset(failure for failure in _TOO_LITTLE if failure in told)


def _drained(events: Sequence[Event], shape: Shape) -> bool:
    """Whether slides were left for later because the next one would not have fitted."""
    end = _find(events, "finished")
    if end is None or end.get("exit_code") != ExitCode.INTERRUPTED:
        return False
    late = end.get("wall_s", 0) >= _LATE * shape.walltime_s
    return late and _find(events, "interrupted") is None
