"""What the files of an attempt tell of its slots: records or a seal, journal, list of slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.storage.journal import read_attempt_journal
from slidearray.storage.records import read_records
from slidearray.storage.seals import damaged_seal, read_seal
from slidearray.storage.slots import read_outlines

if TYPE_CHECKING:
    from slidearray.core.events import Event
    from slidearray.core.verdicts import SlotOutcome
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import AttemptDir
    from slidearray.storage.slots import SlotOutline

#: Events after which a slot is through with a slide.
TERMINAL = frozenset({"done", "empty", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One attempt, as far as files tell it."""

    journal: AttemptJournal
    slots: list[SlotOutline]  # none when they were never let go
    executions: dict[int, list[list[Event]]]  # by slot, oldest first
    sealed: list[SlotOutcome | None] | None  # by slot; None: not sealed

    def told(self, slot: int) -> bool:
        """Whether the records tell how every slide of a slot ended."""
        ended = {
            event.get("slide_id")
            for events in self.executions.get(slot, ())
            for event in events
            if event["event"] in TERMINAL
        }
        return ended.issuperset(self.slots[slot].slide_ids)


def read_evidence(attempt: AttemptDir, *, relist: bool = False) -> Evidence:
    """Read what the files of an attempt tell; a `done` or `empty` event has its `host`.

    Raises
    ------
    RunError
        A damaged file.
    """
    journal = read_attempt_journal(attempt)
    if not journal.counts:
        return Evidence(journal=journal, slots=[], executions={}, sealed=None)
    slots = read_outlines(attempt.slots)
    meant = journal.intent.slots if journal.intent else None
    if meant is not None and len(slots) != meant:
        raise RunError(
            f"{attempt.slots}: holds {len(slots)} slots, and the journal says {meant}: it was cut"
        )
    seal = read_seal(attempt) if journal.sealed else None
    if seal and len(seal.outcomes) != len(slots):
        raise damaged_seal(attempt, f"{len(seal.outcomes)} slots of {len(slots)}")
    if seal is None:
        executions, outcomes = read_records(attempt, relist=relist), None
    else:
        executions, outcomes = dict(enumerate(seal.executions)), seal.outcomes
    for events in (events for each in executions.values() for events in each):
        _add_host(events)
    return Evidence(journal=journal, slots=slots, executions=executions, sealed=outcomes)


def _add_host(events: list[Event]) -> None:
    # In place, since the events were read for this alone: copies of them all take their time.
    host = next((event.get("host") for event in events if event["event"] == "started"), None)
    for event in events:
        if event["event"] in ("done", "empty"):
            event["host"] = host
