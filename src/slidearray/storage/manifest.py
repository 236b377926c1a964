"""The manifest: a CSV with a row for each slide, read as text and written back as it was."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.geometry import parse_mpp
from slidearray.core.ids import fold, name_fault
from slidearray.core.recipe import canonical_json
from slidearray.errors import ManifestError
from slidearray.storage.files import published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

REQUIRED_COLUMNS = ("slide_id", "path")
NUMBER_COLUMNS = ("mpp", "magnification")
#: What a cell must not hold bare; the byte-order mark, because readers take a first one away.
QUOTED = re.compile('[",\r\n\ufeff]')
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


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

    columns: tuple[str, ...]
    rows: tuple[ManifestRow, ...]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of columns and cells, whatever the quotes and line ends of the file."""
        cells = [[row.cells[column] for column in self.columns] for row in self.rows]
        return hashlib.sha256(canonical_json([self.columns, cells]).encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path
        A CSV file: commas, UTF-8 with or without a byte-order mark, a header row. Rows whose
        cells are all empty, as spreadsheets leave them behind, are passed over.

    Raises
    ------
    ManifestError
        With every structural fault: file, row, column, what was found, what is accepted.
    """
    records, faults = _records(path)
    if not records:
        raise ManifestError(
            faults or [f"{path}: it is empty; accepted: a header and a row a slide"]
        )
    columns = tuple(records[0][1])
    if header_faults := [f"{path}: row 1: {fault}" for fault in _header_faults(columns)]:
        raise ManifestError([*header_faults, *faults])
    rows = []
    for row, cells in records[1:]:
        if len(cells) == len(columns):
            rows.append(ManifestRow(row=row, cells=dict(zip(columns, cells, strict=True))))
        else:
            faults.append(
                f"{path}: row {row}: found {len(cells)} cells; accepted: {len(columns)}, "
                "one for each column"
            )
    faults += [f"{path}: row {row}, column {fault}" for row, fault in _cell_faults(rows)]
    if not rows and not faults:
        faults.append(f"{path}: found no row below the header; accepted: one for each slide")
    if faults:
        raise ManifestError(faults)
    return Manifest(columns=columns, rows=tuple(rows))


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
    # The csv module of Python before 3.13 leaves a lone carriage return without quotes.
    with published(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for cells in (columns, *([row.get(name, "") for name in columns] for row in rows)):
            file.write(",".join(map(_cell, cells)) + "\n")


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def _records(path: Path) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Rows that hold something, each with its number, and what stopped the reading."""
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    row = 0
    try:
        for row, cells in enumerate(reader, start=1):
            if any(cells) or not records:
                records.append((row, cells))
    except csv.Error as err:
        return records, [
            f"{path}: row {row + 1} (line {reader.line_num}): {err}; accepted: cells "
            'between commas, with "..." around those that hold a comma, quote or line end'
        ]
    return records, []


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise ManifestError([f"{path}: cannot be read: {err.strerror or err}"]) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        found = "UTF-16" if data.startswith(UTF16_MARKS) else f"byte 0x{data[err.start]:02x}"
        line = data.count(b"\n", 0, err.start) + 1
        raise ManifestError(
            [f"{path}: line {line}: found {found}; accepted: UTF-8, in spreadsheets 'CSV UTF-8'"]
        ) from None


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


def _cell_faults(rows: Sequence[ManifestRow]) -> Iterator[tuple[int, str]]:
    """Row and text of each fault, row by row."""
    first: dict[str, ManifestRow] = {}
    for row in rows:
        for fault in (
            *_own_faults(row),
            *_id_faults(row, first.setdefault(fold(row.slide_id), row)),
        ):
            yield row.row, fault


def _own_faults(row: ManifestRow) -> Iterator[str]:
    if not row.path:
        yield "path: found nothing; accepted: the path of a slide"
    if row.cohort and (why := name_fault(row.cohort)):
        yield f"cohort: found {row.cohort!r}: {why}; accepted: the name of a folder, or nothing"
    for column in NUMBER_COLUMNS:
        text = row.cells.get(column, "")
        if text and parse_mpp(text) is None:
            yield f"{column}: found {text!r}; accepted: a number such as 0.25, or nothing"
    for column, text in row.cells.items():
        if "\0" in text:
            yield f"{column}: found a NUL character; accepted: any other text"


def _id_faults(row: ManifestRow, first: ManifestRow) -> Iterator[str]:
    """Faults of a row's id; `first` is the first row with it, or with one of other case."""
    if why := name_fault(row.slide_id):
        yield f"slide_id: found {row.slide_id!r}: {why}; accepted: a name for a file"
    elif first is not row:
        same = (
            "is"
            if first.slide_id == row.slide_id
            else f"differs only in case from {first.slide_id!r},"
        )
        yield (
            f"slide_id: found {row.slide_id!r}, which {same} the id of row {first.row}; "
            "accepted: one that no other row has"
        )
