"""Which slides can be used for what the config asks, and how much of each there is.

Told from headers: those in the manifest's columns where it has them, else those of the slides. Both
come in the same cells, so that they lead to the same decisions.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.classes import PERMANENT
from slidearray.core.cost import PIXELS_PER_BYTE
from slidearray.core.geometry import SlideShape, parse_mpp, tile_grid
from slidearray.core.grids import lay_grids
from slidearray.core.headers import HEADER_COLUMNS, LEVELS, MPP_X, MPP_Y, TISSUE, header_cells
from slidearray.core.planning import Survey
from slidearray.errors import SlideError
from slidearray.slides.reader import (
    WHITE,
    OpenSlideReader,
    SlideHeader,
    effective_override,
    slide_shape,
)
from slidearray.slides.tissue import tissue_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from slidearray.core.geometry import Pair
    from slidearray.core.recipe import TileSpec

Said = tuple[str, str, str]  # of a slide's resolution: the manifest, and the header for x and y

#: Reading a header waits for the file system far longer than it computes.
HEADER_THREADS = 16
#: Slides that are looked at together; bounds what is held of each.
CHUNK = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slides:
    """Slides that nobody opened yet; one entry a slide in each sequence."""

    root: Path  # folder that relative paths start from
    paths: Sequence[str]
    mpp: Sequence[str]  # the manifest's cells, empty for what the header says
    told: Mapping[str, Sequence[str]]  # columns of `core.headers`, those that the manifest has


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHeader:
    """A slide's header, also as the cells of `core.headers`."""

    header: SlideHeader
    cells: dict[str, str]


def read_cells(path: Path, *, tissue: bool) -> ReadHeader:
    """Open a slide and read its header.

    Parameters
    ----------
    path
        The slide.
    tissue
        Whether to look at the lowest level for its share of tissue. One that cannot be read tells
        nothing: whether the slide is corrupt is for the worker to find.

    Raises
    ------
    SlideError
        As `read_header` does.
    """
    with OpenSlideReader(path) as reader:
        header, share = reader.header, None
        if tissue:
            with suppress(SlideError):
                share = tissue_share(reader)
    cells = header_cells(header.level_dimensions, mpp=_both(header), tissue=share)
    return ReadHeader(header=header, cells=cells)


def survey(
    slides: Slides,
    *,
    spec: TileSpec,
    tissue: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Lay the tile grid over every slide.

    Parameters
    ----------
    slides
        The slides; only those are opened of which the manifest does not tell the levels.
    spec
        Tiles the config asks for.
    tissue
        Whether to look for tissue in slides that are opened.
    progress
        Called with (slides looked at, all slides).
    """
    count = len(slides.paths)
    surveying = _Surveying(slides, spec)
    whole = {LEVELS, MPP_X, MPP_Y} <= slides.told.keys()  # or half of them would pass for all
    levels = slides.told[LEVELS] if whole else None
    for begin in range(0, count, CHUNK):
        rows = range(begin, min(begin + CHUNK, count))
        told = [row for row in rows if levels and levels[row]]
        surveying.lay(
            told, {name: [cells[row] for row in told] for name, cells in slides.told.items()}
        )
        left = sorted(set(rows) - set(told)) if told else rows
        surveying.open(left, tissue=tissue, progress=progress)
        if progress:
            progress(rows.stop, count)
    return surveying.result


class _Surveying:
    """A survey while it is made."""

    def __init__(self, slides: Slides, spec: TileSpec) -> None:
        count = len(slides.paths)
        self.result = Survey(
            tiles=np.zeros(count, np.int64),
            target_pixels=np.zeros(count),
            read_pixels=np.zeros(count),
            tissue=np.ones(count),
            faults={},
        )
        self._slides = slides
        self._spec = spec
        self._resolutions: dict[Said, Pair | None] = {}

    def open(
        self,
        rows: Sequence[int],
        *,
        tissue: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Take what the headers of slides say, many read at once."""
        paths = (self._slides.root / self._slides.paths[row] for row in rows)
        opened: list[int] = []
        cells: list[dict[str, str]] = []
        for row, found in zip(rows, read_all(paths, tissue=tissue), strict=True):
            if isinstance(found, SlideError):
                self.result.faults[row] = found
                if found.failure not in PERMANENT:
                    self._guess(row)
            else:
                opened.append(row)
                cells.append(found.cells)
            if progress:
                progress(row + 1, len(self._slides.paths))
        self.lay(opened, {name: [each[name] for each in cells] for name in HEADER_COLUMNS})

    def _guess(self, row: int) -> None:
        """Pixels by the size of a slide that cannot be read just now; 0 when not even that can."""
        with suppress(OSError):
            size_bytes = (self._slides.root / self._slides.paths[row]).stat().st_size
            pixels = size_bytes * PIXELS_PER_BYTE
            self.result.target_pixels[row] = self.result.read_pixels[row] = pixels

    def lay(self, rows: Sequence[int], told: Mapping[str, Sequence[str]]) -> None:
        """Lay grids over slides whose header cells are `told`."""
        alike: dict[int, list[int]] = {}  # slides by their number of levels
        for k, text in enumerate(told.get(LEVELS, ())):
            alike.setdefault(text.count("x"), []).append(k)
        empty = [""] * len(rows)
        x, y, tissue = (told.get(name, empty) for name in (MPP_X, MPP_Y, TISSUE))
        for depth, members in alike.items():
            texts = " ".join(told[LEVELS][k] for k in members).replace("x", " ")
            levels = np.fromstring(texts, np.int64, sep=" ").reshape(-1, depth, 2)
            where = np.array([rows[k] for k in members], np.int64)
            mpp = self._slides.mpp
            self.result.tissue[where] = [float(tissue[k] or 1) for k in members]
            self._lay(where, levels, [(mpp[rows[k]], x[k], y[k]) for k in members])

    def _lay(
        self, rows: NDArray[np.int64], levels: NDArray[np.int64], said: Sequence[Said]
    ) -> None:
        alike = {texts: index for index, texts in enumerate(dict.fromkeys(said))}
        which = np.array([alike[texts] for texts in said], np.int64)
        pairs = [self._resolution(texts) for texts in alike]
        grids = lay_grids(levels, pairs, which, spec=self._spec)
        extents, tiles = grids.extent.astype(np.float64), grids.tiles
        for k in np.flatnonzero(~grids.laid).tolist():
            shape = SlideShape(
                level_dimensions=tuple(map(tuple, levels[k].tolist())), mpp=pairs[which[k]]
            )
            try:
                grid = tile_grid(shape, self._spec)
            except SlideError as error:
                self.result.faults[int(rows[k])] = error
                tiles[k] = 0
            else:
                extents[k], tiles[k] = grid.extent, grid.counts[0] * grid.counts[1]
        self.result.tiles[rows] = tiles
        self.result.target_pixels[rows] = tiles * float(self._spec.tile_size**2)
        self.result.read_pixels[rows] = tiles * extents[:, 0] * extents[:, 1]

    def _resolution(self, said: Said) -> Pair | None:
        if said not in self._resolutions:
            self._resolutions[said] = _resolution(said)
        return self._resolutions[said]


def read_all(paths: Iterable[Path], *, tissue: bool) -> Iterator[ReadHeader | SlideError]:
    """Headers of many slides at once, in their order; a slide's fault takes its place."""

    def one(path: Path) -> ReadHeader | SlideError:
        try:
            return read_cells(path, tissue=tissue)
        except SlideError as error:
            return error

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        yield from pool.map(one, paths)


def _resolution(said: Said) -> Pair | None:
    """The resolution that the worker would find."""
    mpp, x, y = said
    header = SlideHeader(
        vendor="",
        level_dimensions=(),
        downsamples=(),
        mpp_x=x or None,
        mpp_y=y or None,
        magnification=None,
        size_bytes=0,
        background=WHITE,
    )
    return slide_shape(header, mpp_override=effective_override(header, mpp)).mpp


def _both(header: SlideHeader) -> tuple[str, str] | None:
    """The resolution of both axes as text; None unless both can be told."""
    x, y = header.mpp_x or header.mpp_y or "", header.mpp_y or header.mpp_x or ""
    return None if parse_mpp(x) is None or parse_mpp(y) is None else (x, y)
