"""The ledger: what became of every slide, read from records and journals alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.policy import SlotHistory, SlotOutcome, Verdict, verdict
from slidearray.core.shapes import Shape
from slidearray.storage.journal import Journal
from slidearray.storage.lock import lock_is_live
from slidearray.storage.manifest import read_manifest
from slidearray.storage.plan_files import read_rejected
from slidearray.storage.records import read_records
from slidearray.storage.slots import read_slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slidearray.core.classes import Rejected
    from slidearray.storage.rundir import AttemptDir, RunDir

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of every slide of a run."""

    verdicts: dict[str, Verdict]  # slide_id → verdict, in manifest order; not the rejected ones
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """What a journal says of how slots ended."""

    released: bool
    ended: frozenset[int]
    outcomes: dict[int, SlotOutcome]
    cancelled: frozenset[int]  # slots that were cancelled one by one
    cancelled_rest: frozenset[int] | None  # with all slots but these, None when it was not


def read_ledger(run: RunDir, *, alive: bool | None = None) -> Ledger:
    """Read what became of every slide; never looks at feature files.

    A `done` or `empty` event of a verdict has the `host` that wrote it.

    Parameters
    ----------
    run
        The run.
    alive
        Whether slots of the newest attempt that nobody saw end may still be at work; by default
        that is so while another process holds the run's lock.

    Raises
    ------
    RunError, ManifestError
        A damaged file of the run directory.
    """
    numbers = run.attempts()
    if alive is None:
        alive = lock_is_live(run)
    histories: dict[str, list[SlotHistory]] = {}
    for number in numbers:
        for history in _histories(run.attempt(number), alive=alive and number == numbers[-1]):
            for slide_id in history.slide_ids:
                histories.setdefault(slide_id, []).append(history)
    rejected = read_rejected(run.rejected)
    refused = {slide.slide_id for slide in rejected}
    order = (row.slide_id for row in read_manifest(run.manifest).rows)
    return Ledger(
        verdicts={
            slide_id: verdict(slide_id, histories.get(slide_id, ()))
            for slide_id in order
            if slide_id not in refused
        },
        rejected=rejected,
    )


def _histories(attempt: AttemptDir, *, alive: bool) -> Iterator[SlotHistory]:
    ends = _ends(Journal(attempt.journal).read())
    if not ends.released:  # whoever began it was stopped before anything was sent
        return
    records = read_records(attempt)
    for slot in read_slots(attempt.slots):
        rest = ends.cancelled_rest
        yield SlotHistory(
            attempt=attempt.number,
            executions=[_with_host(events) for events in records.get(slot.slot, [])],
            outcome=ends.outcomes.get(slot.slot),
            alive=alive and slot.slot not in ends.ended,
            cancelled=slot.slot in ends.cancelled or (rest is not None and slot.slot not in rest),
            slide_ids=tuple(slide.slide_id for slide in slot.slides),
            shape=Shape(**slot.shape),
        )


def _with_host(events: list[Event]) -> list[Event]:
    host = next((event.get("host") for event in events if event["event"] == "started"), None)
    return [
        {**event, "host": host} if event["event"] in ("done", "empty") else event
        for event in events
    ]


def _ends(journal: Iterable[Event]) -> _Ends:
    released = False
    ended: set[int] = set()
    outcomes: dict[int, SlotOutcome] = {}
    cancelled: set[int] = set()
    rest: frozenset[int] | None = None
    for event in journal:
        match event:
            case {"event": "released"}:
                released = True
            case {"event": "slot_ended", "slot": slot}:
                ended.add(slot)
                if "exit_code" in event:  # else its end was noticed and not seen
                    outcomes[slot] = _outcome(event)
            case {"event": "cancelled", "slot": slot}:
                cancelled.add(slot)
            case {"event": "cancelled"}:
                rest = frozenset(ended)
    return _Ends(
        released=released,
        ended=frozenset(ended),
        outcomes=outcomes,
        cancelled=frozenset(cancelled),
        cancelled_rest=rest,
    )


def _outcome(event: Event) -> SlotOutcome:
    return SlotOutcome(
        exit_code=event["exit_code"],
        timed_out=event["timed_out"],
        out_of_memory=event["out_of_memory"],
    )
