"""manifest build and check: the table of slides, from folders and against the slides themselves."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.classes import Rejected, rejected_for
from slidearray.core.geometry import parse_mpp
from slidearray.core.headers import HEADER_COLUMNS
from slidearray.core.ids import NAME_BYTES, fold, safe_name
from slidearray.errors import ManifestError, SlideError
from slidearray.slides.discovery import SUFFIXES, FoundSlide, find_slides
from slidearray.slides.preflight import Slides, read_all, survey
from slidearray.storage.manifest import Manifest, read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.slides.preflight import ReadHeader

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


def build_manifest(
    folders: Sequence[Path], *, output: Path, root: Path, headers: bool = False
) -> BuildReport:
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
    headers
        Also write the columns of `core.headers`; those of a manifest that has them are always
        written anew, so that they never tell of a slide that was replaced.

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
    existing = read_manifest(output) if output.exists() else None
    headers = headers or bool(existing and set(HEADER_COLUMNS) & set(existing.columns))
    table = _Table.of(existing, root=root, headers=headers)
    rows = [table.row_of(slide) for slide in found]
    read = read_all((root / slide.path for slide in found), tissue=headers)
    filled = [table.fill(index, header) for index, header in zip(rows, read, strict=True)]
    table.write(output)
    seen = set(rows)
    return BuildReport(
        slides=len(table.rows),
        added=tuple(row["slide_id"] for row in table.rows[table.kept :]),
        not_found=tuple(
            row["slide_id"] for index, row in enumerate(table.rows) if index not in seen
        ),
        notes=tuple(table.notes),
        unreadable=tuple(rejected for rejected in filled if rejected),
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
    manifest = read_manifest(path)
    faults = _faults(manifest, root=root, config=config)
    ids = manifest.column("slide_id")
    rejected = [
        rejected_for(error, slide_id=ids[index], row=manifest.numbers[index])
        for index, error in sorted(faults.items())
    ]
    return CheckReport(slides=len(ids), rejected=tuple(rejected))


def _faults(manifest: Manifest, *, root: Path, config: Config | None) -> dict[int, SlideError]:
    """What is wrong with slides, each opened; by index of the row."""
    paths = manifest.column("path")
    if config is None:
        read = read_all((root / path for path in paths), tissue=False)
        return {index: found for index, found in enumerate(read) if isinstance(found, SlideError)}
    slides = Slides(root=root, paths=paths, mpp=manifest.column("mpp"), told={})
    return survey(slides, spec=config.tile_spec(), tissue=False).faults


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
    def of(cls, existing: Manifest | None, *, root: Path, headers: bool) -> _Table:
        """What is there already."""
        columns = existing.columns if existing else ()
        wanted = (*COLUMNS, *HEADER_COLUMNS) if headers else COLUMNS
        rows = [dict(row.cells) for row in existing.rows] if existing else []
        paths = (os.path.abspath(root / row["path"]) for row in rows)  # noqa: PTH100 -- without `..`
        return cls(
            columns=[*columns, *(name for name in wanted if name not in columns)],
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

    def fill(self, index: int, read: ReadHeader | SlideError) -> Rejected | None:
        """Put what a header says into a row; nothing where it cannot be read, and the reason."""
        row = self.rows[index]
        if isinstance(read, SlideError):
            row |= dict.fromkeys((*READ_COLUMNS, *HEADER_COLUMNS), "")
            return rejected_for(read, slide_id=row["slide_id"], row=index + 2)
        header = read.header
        values = (header.size_bytes, header.vendor, header.width, header.height)
        row |= dict(
            zip(READ_COLUMNS, map(str, (*values, len(header.level_dimensions))), strict=True)
        )
        row |= read.cells
        told = (header.mpp_x, header.magnification)
        for column, text in zip(FILLED_COLUMNS, told, strict=True):
            row[column] = row.get(column) or (text if text and parse_mpp(text) else "")
        return None

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
