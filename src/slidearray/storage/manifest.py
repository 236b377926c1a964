"""The manifest: a CSV with a row for each slide, read as text and written back as it was.

It may have a million rows, so cells are kept column by column and equal ones once; a row is made
of them when it is asked for.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, overload

from slidearray.errors import ManifestError
from slidearray.storage.files import published
from slidearray.storage.manifest_faults import cell_faults
from slidearray.storage.uncollected import uncollected

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

REQUIRED_COLUMNS = ("slide_id", "path")
#: What a cell must not hold bare; the byte-order mark, because readers take a first one away.
QUOTED = re.compile('[",\r\n\ufeff]')
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: Rows that are read, digested and written at once.
CHUNK = 1_000
OTHER_QUOTED = ('"', "\r", "\ufeff")  # beside commas and line ends
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # as `canonical_json` writes


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """One slide of a manifest, every cell as text."""

    row: int  # as a spreadsheet counts: the header is row 1
    cells: dict[str, str]  # by column

    @property
    def slide_id(self) -> str:
        """Name of the slide and of its files."""
        return self.cells["slide_id"]

    @property
    def path(self) -> str:
        """Where the slide is, as written: absolute, or from the project's folder."""
        return self.cells["path"]

    @property
    def cohort(self) -> str:
        """Name of the folder for its files; empty for none."""
        return self.cells.get("cohort", "")

    @property
    def mpp(self) -> str:
        """Micrometres per level-0 pixel, a decimal text; empty for what the header says."""
        return self.cells.get("mpp", "")

    @property
    def magnification(self) -> str:
        """Objective power, a decimal text; empty where it is not known."""
        return self.cells.get("magnification", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest without structural faults."""

    table: dict[str, tuple[str, ...]]  # the cells of each column, columns in order
    numbers: Sequence[int]  # of the rows, as a spreadsheet counts

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.table)

    @property
    def rows(self) -> Sequence[ManifestRow]:
        """The slides, in the file's order; each row is made when it is asked for."""
        return _Rows(self)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of columns and cells, whatever the quotes and line ends of the file."""
        digest = hashlib.sha256(f"[{_JSON.encode(self.columns)},[".encode())
        comma = ""
        for some in _by_the_thousand(zip(*self.table.values(), strict=True)):
            digest.update((comma + _JSON.encode(some)[1:-1]).encode())
            comma = ","
        digest.update(b"]]")
        return digest.hexdigest()

    def column(self, name: str) -> Sequence[str]:
        """The cells of a column; empty ones where there is no such column."""
        return self.table.get(name) or ("",) * len(self.numbers)

    def without(self, columns: Collection[str]) -> Manifest:
        """The same slides, without some columns."""
        kept = {name: cells for name, cells in self.table.items() if name not in columns}
        return Manifest(table=kept, numbers=self.numbers)

    def write(self, path: Path) -> None:
        """Write it as a CSV that reads back equal; what is there is replaced by the whole file."""
        _write(path, chain([self.columns], zip(*self.table.values(), strict=True)))


class _Rows(Sequence[ManifestRow]):
    """The rows of a manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._columns = manifest.columns
        self._cells = list(manifest.table.values())
        self._numbers = manifest.numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[ManifestRow]:
        for row, cells in zip(self._numbers, zip(*self._cells, strict=True), strict=True):
            yield ManifestRow(row=row, cells=dict(zip(self._columns, cells, strict=True)))

    @overload
    def __getitem__(self, index: int) -> ManifestRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[ManifestRow]: ...

    def __getitem__(self, index: int | slice) -> ManifestRow | list[ManifestRow]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        cells = (cells[index] for cells in self._cells)
        return ManifestRow(
            row=self._numbers[index], cells=dict(zip(self._columns, cells, strict=True))
        )


def read_manifest(path: Path, *, cells_checked: bool = False) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path
        A CSV file: commas, UTF-8 with or without a byte-order mark, a header row. Rows whose
        cells are all empty, as spreadsheets leave them behind, are passed over.
    cells_checked
        Its cells were checked before, so that only what keeps it from being read is a fault.

    Raises
    ------
    ManifestError
        With every structural fault: file, row, column, what was found, what is accepted.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file, uncollected():
            reading = _Reading(csv.reader(file, strict=True))
            faults = reading.faults(cells_checked=cells_checked)
    except UnicodeDecodeError:
        faults = [_not_utf8(path.read_bytes())]
    except OSError as err:
        faults = [f"cannot be read: {err.strerror or err}"]
    if faults:
        raise ManifestError([f"{path}: {fault}" for fault in faults])
    # As tuples of texts they are nothing that a garbage collection looks into.
    table = {name: tuple(reading.table.pop(name)) for name in list(reading.table)}
    return Manifest(table=table, numbers=reading.numbers)


def write_manifest(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV that reads back equal, whatever its cells hold.

    Parameters
    ----------
    path
        The file; what is there is replaced once the new one is whole.
    columns
        Names of the columns, in order.
    rows
        Cells of each row, by column; a missing one is empty.
    """
    _write(path, chain([columns], ([row.get(name, "") for name in columns] for row in rows)))


class _Reading:
    """A manifest while it is read."""

    def __init__(self, reader: Reader) -> None:
        self.table: dict[str, list[str]] = {}
        self.numbers = array("q")
        self._reader = reader
        self._row = 0  # that was read last
        self._waiting: list[list[str]] = []
        self._faults: list[str] = []
        self._nul = False

    def faults(self, *, cells_checked: bool) -> list[str]:
        """Read all of it: what is wrong, row by row; nothing, when `table` can be used."""
        try:
            self._read()
        except csv.Error as err:
            self._faults.append(
                f"row {self._row + 1} (line {self._reader.line_num}): {err}; accepted: cells "
                'between commas, with "..." around those that hold a comma, quote or line end'
            )
        if self.table:
            self._take()
            checked = cells_checked and not self._faults
            found = [] if checked else cell_faults(self.table, self.numbers, nul=self._nul)
            self._faults += [f"row {row}, column {fault}" for row, fault in found]
        if not self.numbers and not self._faults:
            self._faults.append("found no row below the header; accepted: one for each slide")
        return self._faults

    def _read(self) -> None:
        columns = next(self._reader, None)
        if columns is None:
            self._faults.append("it is empty; accepted: a header and a row a slide")
            return
        self._faults += [f"row 1: {fault}" for fault in _header_faults(columns)]
        if self._faults:
            return
        self.table = {name: [] for name in columns}
        self._row = 1
        for row, cells in enumerate(self._reader, start=2):
            self._row = row
            if len(cells) == len(columns) and any(cells):
                self._waiting.append(cells)
                self.numbers.append(row)
                if len(self._waiting) == CHUNK:
                    self._take()
            elif any(cells):
                self._faults.append(
                    f"row {row}: found {len(cells)} cells; accepted: {len(columns)}, one for "
                    "each column"
                )

    def _take(self) -> None:
        """Move rows that were read into their columns; equal cells become one."""
        same: dict[str, str] = {}
        rows = zip(*self._waiting, strict=True)
        for column, cells in zip(self.table.values(), rows, strict=bool(self._waiting)):
            column += map(same.setdefault, cells, cells)
            self._nul = self._nul or "\0" in "".join(cells)
        self._waiting = []


def _not_utf8(data: bytes) -> str:
    """What is wrong with bytes that are not UTF-8."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        found = "UTF-16" if data.startswith(UTF16_MARKS) else f"byte 0x{data[err.start]:02x}"
        line = data.count(b"\n", 0, err.start) + 1
        return f"line {line}: found {found}; accepted: UTF-8, in spreadsheets 'CSV UTF-8'"
    return "it was changed while it was read; accepted: UTF-8"


def _header_faults(columns: Sequence[str]) -> Iterator[str]:
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        hint = " between commas, not semicolons or tabs" if _other_commas(columns) else ""
        yield (
            f"found the columns {', '.join(map(repr, columns))}; "
            f"accepted: {' and '.join(missing)} among them{hint}"
        )
    for name in dict.fromkeys(name for name in columns if columns.count(name) > 1 and name):
        yield f"found the column {name!r} {columns.count(name)} times; accepted: once"
    for number, name in enumerate(columns, start=1):
        if not name or "\0" in name:
            yield f"column {number}: found the name {name!r}; accepted: any text without NUL"


def _other_commas(columns: Sequence[str]) -> bool:
    return len(columns) == 1 and any(mark in columns[0] for mark in ";\t")


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with published(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for some in _by_the_thousand(rows):
            file.write(_csv(some))


def _csv(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of a CSV; the csv module before Python 3.13 leaves a bare carriage return."""
    text = "\n".join(map(",".join, rows)) + "\n"
    commas = sum(map(len, rows)) - len(rows)
    bare = (text.count(","), text.count("\n")) == (commas, len(rows))
    if bare and not any(mark in text for mark in OTHER_QUOTED):
        return text
    return "".join(",".join(map(_cell, cells)) + "\n" for cells in rows)


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def _by_the_thousand(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    rest = iter(rows)
    while some := list(islice(rest, CHUNK)):
        yield some
