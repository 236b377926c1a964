"""What slides really took, beside what the plan predicted for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.storage.evidence import read_evidence
from slidearray.storage.plan_files import read_planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.core.events import Event
    from slidearray.storage.rundir import RunDir


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCost:
    """One slide whose features were made, and the cost of that."""

    slide_id: str
    predicted_s: float  # by the plan
    predicted_mb: int
    real_s: float  # with all `cpus`
    cpu_s: float | None  # user and system time; None: the record does not tell
    peak_mb: int | None  # the most memory that the child held; None: as above
    cpus: int | None  # that the worker had
    num_tiles: int


def measured_costs(run: RunDir) -> list[MeasuredCost]:
    """The cost of every slide whose features an execution of this run made.

    Features that were found finished cost nothing, and slides without a tile tell nothing of the
    others: both are left out. A slide that was done twice is there twice.

    Raises
    ------
    RunError
        A damaged file of the run directory.
    """
    planned = {slide.slide_id: slide for slide in read_planned(run.slides_table)}
    return [
        MeasuredCost(
            slide_id=event["slide_id"],
            predicted_s=planned[event["slide_id"]].seconds,
            predicted_mb=planned[event["slide_id"]].megabytes,
            real_s=float(event["seconds"]),
            cpu_s=event.get("cpu_s"),
            peak_mb=event.get("peak_mb"),
            cpus=cpus,
            num_tiles=event["num_tiles"],
        )
        for event, cpus in _done(run)
        if event["slide_id"] in planned
    ]


def _done(run: RunDir) -> Iterator[tuple[Event, int | None]]:
    """Every `done` event that cost something, and the CPUs of its execution."""
    for number in run.attempts():
        executions = read_evidence(run.attempt(number)).executions.values()
        for events in (events for each in executions for events in each):
            cpus = next((e.get("cpus") for e in events if e["event"] == "started"), None)
            for event in events:
                if event["event"] == "done" and "seconds" in event and not event.get("reused"):
                    yield event, cpus
