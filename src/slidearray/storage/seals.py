"""The seal of an attempt: all its records and how its slots ended, in one compressed file.

What was sealed is read from the seal alone; the records stay where they are.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import RunError
from slidearray.storage.files import json_line, published
from slidearray.storage.journal import Journal, read_attempt_journal
from slidearray.storage.records import read_executions
from slidearray.storage.slots import read_outlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.storage.records import Execution
    from slidearray.storage.rundir import AttemptDir

VERSION = 1
# Records are mostly digests, which hardly shrink: higher levels take longer for nothing.
LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a seal holds, slot by slot."""

    outcomes: list[SlotOutcome | None]
    executions: list[list[list[Event]]]  # of a slot, oldest first → their events


def seal(attempt: AttemptDir, outcomes: Mapping[int, SlotOutcome | None]) -> None:
    """Seal an attempt that is over; the same records and outcomes give the same bytes.

    One whose slots were never let go has nothing to seal.

    Parameters
    ----------
    attempt
        The attempt.
    outcomes
        How its slots ended, as far as somebody saw it.

    Raises
    ------
    RunError
        A damaged record, journal or list of slots.
    StorageFullError
        It does not fit; the records go on to serve.
    """
    journal = read_attempt_journal(attempt)
    if not journal.counts:
        return
    slots = len(read_outlines(attempt.slots))
    records = read_executions(attempt)
    with published(attempt.seal) as partial:
        _write(partial, _lines(records, [outcomes.get(slot) for slot in range(slots)]))
    if not journal.sealed:
        Journal(attempt.journal).append("sealed", records=len(records), slots=slots)


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    # Neither the file's name nor the time goes into the header, as they do with `gzip.open`.
    with path.open("wb") as file, gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
        for line in lines:
            packed.write(json_line(line).encode("utf-8", "backslashreplace") + b"\n")


def _lines(
    records: list[Execution], outcomes: list[SlotOutcome | None]
) -> Iterator[dict[str, Any]]:
    executions: dict[int, list[list[Event]]] = {}
    for record in records:
        executions.setdefault(record.slot, []).append(record.events)
    yield {"version": VERSION, "records": [[record.name, record.size] for record in records]}
    for slot, outcome in enumerate(outcomes):
        yield {
            "slot": slot,
            "outcome": outcome.to_json() if outcome else None,
            "executions": executions.get(slot, []),
        }


def read_seal(attempt: AttemptDir) -> Seal | None:
    """What was sealed; None when the file is not there and the records are, which serve as well.

    Raises
    ------
    RunError
        A damaged file, or neither it nor records.
    """
    try:
        with gzip.open(attempt.seal) as file:
            head, *slots = map(json.loads, file)
    except FileNotFoundError:
        if attempt.records_root.is_dir():
            return None
        raise RunError(
            f"{attempt.seal}: not there, and neither is {attempt.records_root.name}/ beside it: "
            "the journal says that the attempt was sealed; bring back one of the two"
        ) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise damaged_seal(attempt, error) from None
    try:
        return _seal(head, slots)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged_seal(attempt, error) from None


def _seal(head: Any, slots: list[Any]) -> Seal:
    if head["version"] != VERSION:
        raise ValueError(f"version {head['version']}; this slidearray reads {VERSION}")
    for number, line in enumerate(slots):
        if line["slot"] != number:
            raise ValueError(f"found slot {line['slot']}, expected {number}")
    return Seal(
        outcomes=[_outcome(line["outcome"]) for line in slots],
        executions=[[_events(events) for events in line["executions"]] for line in slots],
    )


def _outcome(raw: dict[str, Any] | None) -> SlotOutcome | None:
    return None if raw is None else SlotOutcome.from_json(raw)


def _events(events: list[Any]) -> list[Event]:
    if not all(type(event["event"]) is str for event in events):
        raise ValueError("an event has no name")
    return events


def damaged_seal(attempt: AttemptDir, why: object) -> RunError:
    """The error of a seal that does not serve."""
    return RunError(
        f"{attempt.seal}: damaged ({why}); remove it, and {attempt.records_root} serves instead"
    )
