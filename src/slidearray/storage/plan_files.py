"""`plan/slides.csv` and `plan/rejected.jsonl`: what the plan decided about each slide."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass, Rejected
from slidearray.errors import RunError
from slidearray.storage.files import json_line, parse_lines, published, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

COLUMNS = ("slide_id", "shard", "predicted_seconds", "predicted_megabytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlide:
    """One slide that was accepted, its shard and its predicted cost."""

    slide_id: str
    shard: int
    seconds: float
    megabytes: int


def write_planned(path: Path, slides: Iterable[PlannedSlide]) -> None:
    """Write `plan/slides.csv`, in the order given."""
    with published(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((s.slide_id, s.shard, f"{s.seconds:.3f}", s.megabytes) for s in slides)


def read_planned(path: Path) -> Iterator[PlannedSlide]:
    """Slides of `plan/slides.csv`, in its order; `RunError` where it is damaged."""
    with _opened(path) as file:
        for row in csv.DictReader(file):
            try:
                yield PlannedSlide(
                    slide_id=row["slide_id"],
                    shard=int(row["shard"]),
                    seconds=float(row["predicted_seconds"]),
                    megabytes=int(row["predicted_megabytes"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise RunError(f"{path}: damaged: {error} in {dict(row)}") from None


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
