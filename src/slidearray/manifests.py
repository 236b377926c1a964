"""manifest build and check: the table of slides, from folders and against the slides themselves."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.classes import Rejected, rejected_for
from slidearray.core.geometry import parse_mpp
from slidearray.core.ids import NAME_BYTES, fold, safe_name
from slidearray.errors import ManifestError, SlideError
from slidearray.slides.discovery import SUFFIXES, FoundSlide, find_slides
from slidearray.slides.preflight import HEADER_THREADS, preflight_all
from slidearray.slides.reader import SlideHeader, read_header
from slidearray.storage.manifest import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from slidearray.core.config import Config

#: What `build` reads from the slide each time, and what a person may have corrected.
READ_COLUMNS = ("size_bytes", "vendor", "width", "height", "levels")
FILLED_COLUMNS = ("mpp", "magnification")
COLUMNS = ("slide_id", "path", "cohort", "size_bytes", "vendor", "width", "height", "mpp",
           "magnification", "levels")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What `build_manifest` wrote."""

    slides: int  # rows of the manifest
    added: tuple[str, ...]  # ids of rows that are new
    not_found: tuple[str, ...]  # ids of rows that were there, of slides not in these folders
    notes: tuple[str, ...]  # names that had to be changed, one line each
    unreadable: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What `check_manifest` found in a manifest without structural faults."""

    slides: int
    rejected: tuple[Rejected, ...]


def build_manifest(folders: Sequence[Path], *, output: Path, root: Path) -> BuildReport:
    """Write the manifest of all slides in folders and below.

    A manifest that is there keeps its rows, ids and columns, and what people wrote into it: rows
    are told by path. What comes from headers is read anew; `mpp` and `magnification` are filled in
    only where they are empty.

    Parameters
    ----------
    folders
        Where to look for slides.
    output
        The manifest.
    root
        Folder from which its paths start.

    Raises
    ------
    ManifestError
        When there are no slides, or `output` cannot be read, kept or written.
    """
    found = find_slides(folders, root=root)
    if not found:
        raise ManifestError(
            [f"{folder}: found no slide; known are {' '.join(SUFFIXES)}" for folder in folders]
        )
    table = _Table.of(read_manifest(output) if output.exists() else None, root=root)
    rows = [table.row_of(slide) for slide in found]
    unreadable = []
    for index, header in zip(rows, _headers(root / slide.path for slide in found), strict=True):
        if isinstance(header, SlideError):
            unreadable.append(
                rejected_for(header, slide_id=table.rows[index]["slide_id"], row=index + 2)
            )
        _fill(table.rows[index], header)
    table.write(output)
    return BuildReport(
        slides=len(table.rows),
        added=tuple(row["slide_id"] for row in table.rows[table.kept :]),
        not_found=tuple(
            row["slide_id"] for index, row in enumerate(table.rows) if index not in set(rows)
        ),
        notes=tuple(table.notes),
        unreadable=tuple(unreadable),
    )


def check_manifest(path: Path, *, root: Path, config: Config | None) -> CheckReport:
    """Check a manifest, and every slide of it.

    Parameters
    ----------
    path
        The manifest.
    root
        Folder from which its paths start.
    config
        What the slides are for: with it, resolutions are checked too.

    Raises
    ------
    ManifestError
        With every structural fault.
    """
    rows = read_manifest(path).rows
    judged: Iterator[object]
    if config is None:
        judged = _headers(root / row.path for row in rows)
    else:
        judged = preflight_all([(root / r.path, r.mpp) for r in rows], spec=config.tile_spec())
    rejected = [
        rejected_for(verdict, slide_id=row.slide_id, row=row.row)
        for row, verdict in zip(rows, judged, strict=True)
        if isinstance(verdict, SlideError)
    ]
    return CheckReport(slides=len(rows), rejected=tuple(rejected))


def _headers(paths: Iterable[Path]) -> Iterator[SlideHeader | SlideError]:
    """Headers of many slides at once, in their order; a slide's fault takes its place."""

    def one(path: Path) -> SlideHeader | SlideError:
        try:
            return read_header(path)
        except SlideError as error:
            return error

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        yield from pool.map(one, paths)


def _fill(row: dict[str, str], header: SlideHeader | SlideError) -> None:
    """Put what a header says into its row; nothing where it cannot be read."""
    if isinstance(header, SlideError):
        row |= dict.fromkeys(READ_COLUMNS, "")
        return
    values = (header.size_bytes, header.vendor, header.width, header.height)
    row |= dict(zip(READ_COLUMNS, map(str, (*values, len(header.level_dimensions))), strict=True))
    for column, text in zip(FILLED_COLUMNS, (header.mpp_x, header.magnification), strict=True):
        row[column] = row.get(column) or (text if text and parse_mpp(text) else "")


@dataclass(kw_only=True)
class _Table:
    """The rows of a manifest that is being built."""

    columns: list[str]
    rows: list[dict[str, str]]
    kept: int  # rows that were there before
    by_path: dict[str, int]  # row of each absolute path
    taken: set[str]  # folded ids
    numbers: Counter[str] = field(default_factory=Counter)  # last number behind each name
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, existing: Manifest | None, *, root: Path) -> _Table:
        """What is there already."""
        columns = existing.columns if existing else ()
        rows = [dict(row.cells) for row in existing.rows] if existing else []
        paths = (os.path.abspath(root / row["path"]) for row in rows)  # noqa: PTH100 -- without `..`
        return cls(
            columns=[*columns, *(name for name in COLUMNS if name not in columns)],
            rows=rows,
            kept=len(rows),
            by_path={path: index for index, path in enumerate(paths)},
            taken={fold(row["slide_id"]) for row in rows},
        )

    def row_of(self, slide: FoundSlide) -> int:
        """Index of a slide's row; a new one where it has none."""
        for path in slide.aliases:
            if (index := self.by_path.get(str(path))) is not None:
                return index
        cohort = safe_name(slide.cohort) if slide.cohort else ""
        if cohort != slide.cohort:
            self.notes.append(f"{slide.path}: cohort {slide.cohort!r} is written {cohort!r}")
        slide_id = self._free_id(safe_name(slide.name), cohort=cohort)
        if slide_id != slide.name:
            self.notes.append(f"{slide.path}: {slide.name!r} has the id {slide_id!r}")
        self.rows.append({"slide_id": slide_id, "path": str(slide.path), "cohort": cohort})
        return len(self.rows) - 1

    def _free_id(self, stem: str, *, cohort: str) -> str:
        candidate = name = stem
        if fold(candidate) in self.taken and cohort not in ("", stem):
            candidate = name = safe_name(f"{cohort}-{stem}")
        while fold(candidate) in self.taken:
            self.numbers[name] = max(self.numbers[name], 1) + 1
            suffix = f"-{self.numbers[name]}"
            room = name.encode()[: NAME_BYTES - len(suffix)]
            candidate = room.decode(errors="ignore") + suffix
        self.taken.add(fold(candidate))
        return candidate

    def write(self, output: Path) -> None:
        """Write the manifest, its folder too."""
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            write_manifest(output, self.columns, self.rows)
        except OSError as err:
            raise ManifestError([f"{output}: cannot be written: {err.strerror or err}"]) from None
