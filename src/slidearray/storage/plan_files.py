"""`plan/slides.csv` and `plan/rejected.jsonl`: what the plan decided about each slide."""

from __future__ import annotations

import csv
from array import array
from dataclasses import dataclass, fields
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass, Rejected
from slidearray.errors import RunError
from slidearray.storage.files import json_line, parse_lines, published, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

COLUMNS = ("slide_id", "shard", "predicted_seconds", "predicted_megabytes")
#: Only where earlier runs refined the prediction.
MODEL_COLUMN = "model_seconds"
#: Rows that are read at once.
CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlide:
    """One slide that was accepted, its shard and its predicted cost."""

    slide_id: str
    shard: int
    seconds: float
    megabytes: int
    model_seconds: float | None = None  # before earlier runs refined it; None: they did not


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """All slides of `plan/slides.csv`, column by column: there may be a million."""

    slide_id: Sequence[str]
    shard: Sequence[int]
    seconds: Sequence[float]
    megabytes: Sequence[int]
    model_seconds: Sequence[float | None]


def write_planned(path: Path, slides: Iterable[PlannedSlide]) -> None:
    """Write `plan/slides.csv`, in the order given."""
    slides = list(slides)
    columns: dict[str, Any] = {
        each.name: [getattr(slide, each.name) for slide in slides] for each in fields(PlannedSlide)
    }
    write_planned_table(path, PlannedTable(**columns))


def write_planned_table(path: Path, table: PlannedTable) -> None:
    """Write `plan/slides.csv`, in the order given."""
    model = ("" if seconds is None else f"{seconds:.3f}" for seconds in table.model_seconds)
    seconds = map("{:.3f}".format, table.seconds)
    with published(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, MODEL_COLUMN))
        writer.writerows(
            zip(table.slide_id, table.shard, seconds, table.megabytes, model, strict=True)
        )


def read_planned(path: Path) -> Iterator[PlannedSlide]:
    """Slides of `plan/slides.csv`, in its order; `RunError` where it is damaged."""
    table = read_planned_table(path)
    names = [each.name for each in fields(PlannedSlide)]
    for values in zip(*(getattr(table, name) for name in names), strict=True):
        yield PlannedSlide(**dict(zip(names, values, strict=True)))


def read_planned_table(path: Path) -> PlannedTable:
    """`plan/slides.csv`; `RunError` where it is damaged."""
    ids: list[str] = []
    shards, seconds, megabytes = array("q"), array("d"), array("q")
    model: list[float | None] = []
    with _opened(path) as file:
        rows = csv.reader(file)
        columns = next(rows, [])
        refined = columns == [*COLUMNS, MODEL_COLUMN]
        if not refined and tuple(columns) != COLUMNS:  # those of the first version
            raise RunError(f"{path}: damaged: its columns are {columns}")
        try:
            while some := list(islice(rows, CHUNK)):
                cells = list(zip(*some, strict=True))
                ids += cells[0]
                shards.extend(map(int, cells[1]))
                seconds.extend(map(float, cells[2]))
                megabytes.extend(map(int, cells[3]))
                texts = cells[4] if refined else ("",) * len(some)
                model += [float(text) if text else None for text in texts]
        except (IndexError, ValueError, csv.Error) as error:
            raise RunError(f"{path}: damaged near line {rows.line_num}: {error}") from None
    return PlannedTable(
        slide_id=ids, shard=shards, seconds=seconds, megabytes=megabytes, model_seconds=model
    )


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write `plan/rejected.jsonl`, one slide a line."""
    write_text(path, "".join(json_line(rejected_json(slide)) + "\n" for slide in rejected))


def read_rejected(path: Path) -> list[Rejected]:
    """Slides of `plan/rejected.jsonl`, in its order; `RunError` where it is damaged."""
    with _opened(path) as file:
        lines = parse_lines(file.read().encode(), path)
    try:
        return [
            Rejected(
                slide_id=line["slide_id"],
                row=line["row"],
                failure=FailureClass(line["class"]),
                reason=line["reason"],
            )
            for line in lines
        ]
    except (KeyError, ValueError) as error:
        raise RunError(f"{path}: damaged: {error}") from None


def rejected_json(slide: Rejected) -> dict[str, Any]:
    """A rejected slide as plain values."""
    return {
        "slide_id": slide.slide_id,
        "row": slide.row,
        "class": slide.failure.value,
        "reason": slide.reason,
    }


def _opened(path: Path) -> IO[str]:
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
