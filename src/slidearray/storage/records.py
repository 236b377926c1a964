"""Records: what each execution of a slot did, one event a line."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from slidearray.core.events import restarts
from slidearray.errors import RunError
from slidearray.storage.files import append_line, json_line, make_folder, parse_events, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.storage.rundir import AttemptDir

RECORD_NAME = re.compile(r"(\d+)\..+\.jsonl", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One record: what one execution of a slot wrote so far."""

    slot: int
    name: str  # of its file, from the folder of all records
    size: int  # bytes of it that were read
    events: list[Event]


class RecordWriter:
    """The record of one execution; every event is on disk when `write` returns.

    Parameters
    ----------
    path
        A new file (`AttemptDir.record`); its parents are made.

    Raises
    ------
    RunError
        The file exists: another execution has the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            raise RunError(f"{path}: exists already; a record has one writer") from None

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with the time of writing; `StorageFullError` when it does not fit."""
        append_line(self._descriptor, json_line({"event": event, "time": utc_now(), **fields}))

    def close(self) -> None:
        """Close the file; nothing more can be written."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_record(path: Path) -> list[Event]:
    """The events of one execution; an unfinished last line is ignored.

    Raises
    ------
    RunError
        Any other line that is not a JSON object.
    """
    return parse_events(path.read_bytes(), path)


def read_records(attempt: AttemptDir, *, relist: bool = False) -> dict[int, list[list[Event]]]:
    """Every raw record of an attempt: slot → its executions, oldest first → their events."""
    records: dict[int, list[list[Event]]] = {}
    for record in read_executions(attempt, relist=relist):
        records.setdefault(record.slot, []).append(record.events)
    return records


def read_executions(attempt: AttemptDir, *, relist: bool = False) -> list[Execution]:
    """Every raw record of an attempt, slot by slot, each slot's executions oldest first.

    How often a slot had been requeued decides which is older; hosts' clocks are not compared, and
    only executions of equal count are ordered by the time in their names.

    Parameters
    ----------
    attempt
        The attempt.
    relist
        Let a network file system ask its server again for what the folders hold.

    Raises
    ------
    RunError
        A damaged line, other than an unfinished last one.
    """
    found = []
    for slot, path in sorted(_record_files(attempt, relist=relist)):
        with suppress(FileNotFoundError):  # listed from a cache, and gone since
            data = path.read_bytes()
            found.append(
                Execution(
                    slot=slot,
                    name=path.relative_to(attempt.records_root).as_posix(),
                    size=len(data),
                    events=_events(data, path),
                )
            )
    return sorted(found, key=lambda one: (one.slot, restarts(one.events)))


def _events(data: bytes, path: Path) -> list[Event]:
    """As `parse_events`; all lines at once, where none is damaged: there are many."""
    lines = data[: data.rfind(b"\n") + 1].rstrip(b"\n")
    try:
        events = json.loads(b"[" + lines.replace(b"\n", b",") + b"]")
    except ValueError:
        return parse_events(data, path)
    sound = all(type(event) is dict and type(event.get("event")) is str for event in events)
    return events if sound and len(events) == data.count(b"\n") else parse_events(data, path)


def _record_files(attempt: AttemptDir, *, relist: bool = False) -> Iterator[tuple[int, Path]]:
    for bucket in _listed(attempt.records_root, relist=relist):
        yield from _recorded(_listed(bucket, relist=relist))


def _recorded(paths: Iterable[Path]) -> Iterator[tuple[int, Path]]:
    """The records among `paths`, each with its slot."""
    for path in paths:
        if match := RECORD_NAME.fullmatch(path.name):
            yield int(match[1]), path


def _listed(folder: Path, *, relist: bool) -> list[Path]:
    """What a folder holds; nothing when it is none: NFS leaves `.nfs…` files anywhere."""
    try:
        if relist:
            # Opening a folder makes an NFS client ask the server again for what it holds.
            with os.scandir(folder) as entries:
                next(entries, None)
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def executions_before(attempt: AttemptDir, slot: int) -> int:
    """How many executions of a slot have a record by now; superseded ones count for nothing.

    A record that cannot be read counts: somebody began to write it.
    """
    folder = attempt.record(slot, "").parent
    return sum(
        found == slot and not _is_superseded(path)
        for found, path in _recorded(_listed(folder, relist=True))
    )


def _is_superseded(path: Path) -> bool:
    try:
        return any(event["event"] == "superseded" for event in read_record(path))
    except (OSError, RunError):
        return False


def recorded_file_fault(path: Path, *, size: int) -> str | None:
    """Why a feature file is not there as its record says; None when it is."""
    try:
        found = path.stat().st_size
    except OSError as error:
        return f"its feature file is recorded, but cannot be found: {error.strerror}"
    return None if found == size else f"its feature file has {found} bytes, recorded {size}"


class RecordTail:
    """Follows the records of an attempt that is being worked on, for progress."""

    def __init__(self, attempt: AttemptDir) -> None:
        self._attempt = attempt
        self._read: dict[Path, int] = {}  # bytes of each file that were returned

    def new_events(self) -> list[tuple[int, Event]]:
        """Slot and event of what was written since the last call, each file's in order."""
        return [
            (slot, event)
            for slot, path in sorted(_record_files(self._attempt))
            for event in self._more(path)
        ]

    def _more(self, path: Path) -> list[Event]:
        seen = self._read.get(path, 0)
        try:
            if path.stat().st_size <= seen:
                return []
            with path.open("rb") as file:
                file.seek(seen)
                data = file.read()
        except FileNotFoundError:  # listed from a cache, and gone since
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._read[path] = seen + len(complete)
        return parse_events(complete, path)
