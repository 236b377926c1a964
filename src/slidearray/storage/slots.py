"""slots.jsonl: line k says what slot k asks for and which slides it takes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from slidearray.core.shapes import Shape
from slidearray.errors import RunError
from slidearray.storage.files import json_line, parse_lines, published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSlide:
    """One slide of a slot: what the worker needs of the manifest."""

    slide_id: str
    path: str  # as written in the manifest; relative to the project
    cohort: str = ""
    mpp: str = ""  # the manifest's text; empty when it says nothing
    magnification: str = ""
    seconds: float = 0.0  # predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The k-th array element of an attempt."""

    slot: int
    shape: dict[str, Any]  # resources, as `Shape.to_json` gives them
    slides: tuple[SlotSlide, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOutline:
    """What is asked of a slot when it is over."""

    shape: Shape
    slide_ids: tuple[str, ...]  # in the order of work


def write_slots(path: Path, slots: Iterable[Slot]) -> None:
    """Publish the slots of an attempt, numbered 0, 1, 2, ... in order."""
    with published(path) as partial, partial.open("wb") as file:
        for slot in slots:
            file.write(json_line(asdict(slot)).encode("utf-8", "backslashreplace") + b"\n")


def read_slot(path: Path, k: int) -> Slot:
    """Slot `k`; reads the file up to its line and parses that line alone.

    Raises
    ------
    RunError
        No such file or slot, or a damaged line.
    """
    try:
        with path.open("rb") as file:
            line = next(islice(file, k, None), b"") if k >= 0 else b""
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    if not line.endswith(b"\n"):
        raise RunError(f"{path}: there is no slot {k}")
    return _slot(line, path, k)


def read_slots(path: Path) -> Iterator[Slot]:
    """All slots in order; `RunError` for a missing file or a damaged line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                yield _slot(line, path, number)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def read_outlines(path: Path) -> list[SlotOutline]:
    """All slots in order, without what only a worker needs; errors as of `read_slots`."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    return [_outline(line, path, number) for number, line in enumerate(lines)]


def _outline(line: bytes, path: Path, number: int) -> SlotOutline:
    try:
        raw = json.loads(line)
        outline = SlotOutline(
            shape=Shape(**raw["shape"]),
            slide_ids=tuple(slide["slide_id"] for slide in raw["slides"]),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(f"{path}: line {number + 1} is damaged: {error}") from None
    _check_number(raw["slot"], path, number)
    return outline


def _check_number(slot: object, path: Path, number: int) -> None:
    if slot != number:
        raise RunError(f"{path}: line {number + 1} holds slot {slot}, expected {number}")


def _slot(line: bytes, path: Path, number: int) -> Slot:
    try:
        (raw,) = parse_lines(line, path)
        slides = tuple(SlotSlide(**slide) for slide in raw["slides"])
        shape = Shape(**raw["shape"]).to_json()
        slot = Slot(slot=raw["slot"], shape=shape, slides=slides)
    except (RunError, TypeError, KeyError, ValueError) as error:
        raise RunError(f"{path}: line {number + 1} is damaged: {error}") from None
    _check_number(slot.slot, path, number)
    return slot
