"""The ledger: what became of every slide, read from records and journals alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.shapes import Shape
from slidearray.core.verdicts import SlotHistory, SlotOutcome, Verdict, verdict
from slidearray.errors import RunError
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.journal import Journal
from slidearray.storage.lock import lock_is_live
from slidearray.storage.plan_files import read_rejected
from slidearray.storage.records import read_records
from slidearray.storage.slots import read_slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.core.classes import Rejected
    from slidearray.core.events import Event
    from slidearray.storage.rundir import AttemptDir, RunDir


#: What `done` and `empty` tell, and what they tell of the file.
RESULT_KEYS = frozenset({"num_tiles", "file"})
FILE_KEYS = frozenset({"path", "size", "sha256", "content_digest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of every slide of a run."""

    verdicts: dict[str, Verdict]  # slide_id → verdict, in manifest order; not the rejected ones
    rejected: list[Rejected]


def read_ledger(run: RunDir) -> Ledger:
    """Read what became of every slide; never looks at feature files.

    A `done` or `empty` event of a verdict has the `host` that wrote it. While another process holds
    the run's lock, slots of the newest attempt that nobody saw end may still be at work.

    Raises
    ------
    RunError, ManifestError
        A damaged file of the run directory.
    """
    numbers = run.attempts()
    alive = lock_is_live(run)
    histories: dict[str, list[SlotHistory]] = {}
    for number in numbers:
        for history in _histories(run.attempt(number), alive=alive and number == numbers[-1]):
            for slide_id in history.slide_ids:
                histories.setdefault(slide_id, []).append(history)
    rejected = read_rejected(run.rejected)
    refused = {slide.slide_id for slide in rejected}
    order = (row.slide_id for row in frozen_manifest(run).rows)
    return Ledger(
        verdicts={
            slide_id: _checked(run, slide_id, verdict(slide_id, histories.get(slide_id, ())))
            for slide_id in order
            if slide_id not in refused
        },
        rejected=rejected,
    )


def _checked(run: RunDir, slide_id: str, found: Verdict) -> Verdict:
    """A verdict whose result, if it has one, tells all that is asked of it."""
    if found.result is None:
        return found
    file = found.result.get("file")
    lacking = RESULT_KEYS - found.result.keys()
    lacking |= FILE_KEYS - (file.keys() if isinstance(file, dict) else set())
    if lacking:
        raise RunError(
            f"{run.root}: the record of {slide_id} is damaged: its result has no "
            f"{', '.join(sorted(lacking))}: {found.result}"
        )
    return found


def _histories(attempt: AttemptDir, *, alive: bool) -> Iterator[SlotHistory]:
    journal = Journal(attempt.journal).read()
    if not any(event["event"] == "released" for event in journal):
        return  # whoever began it was stopped before anything was sent
    ends = {event.get("slot"): event for event in journal if event["event"] == "slot_ended"}
    records = read_records(attempt)
    slots = list(read_slots(attempt.slots))
    meant = next((event.get("slots") for event in journal if event["event"] == "intent"), None)
    if meant is not None and len(slots) != meant:
        raise RunError(
            f"{attempt.slots}: holds {len(slots)} slots, and the journal says {meant}: it was cut"
        )
    for slot in slots:
        end = ends.get(slot.slot)
        yield SlotHistory(
            attempt=attempt.number,
            executions=[_with_host(events) for events in records.get(slot.slot, [])],
            outcome=_outcome(end) if end else None,
            alive=alive and end is None,
            cancelled=False,  # nothing cancels in this version
            slide_ids=tuple(slide.slide_id for slide in slot.slides),
            shape=Shape(**slot.shape),
        )


def _with_host(events: list[Event]) -> list[Event]:
    host = next((event.get("host") for event in events if event["event"] == "started"), None)
    return [
        {**event, "host": host} if event["event"] in ("done", "empty") else event
        for event in events
    ]


def _outcome(end: Event) -> SlotOutcome | None:
    """How a slot ended; None when that was noticed and not seen."""
    if "exit_code" not in end:
        return None
    return SlotOutcome(
        exit_code=int(end["exit_code"]),
        timed_out=bool(end.get("timed_out")),
        out_of_memory=bool(end.get("out_of_memory")),
    )
