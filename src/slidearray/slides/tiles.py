"""Which tiles of a slide are kept, and their pixels in batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import too_many_invalid
from slidearray.errors import SlideError
from slidearray.slides.tissue import otsu_mask

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from slidearray.core.geometry import TileGrid
    from slidearray.core.recipe import TissueSpec
    from slidearray.slides.contract import Regions, SlideReader

# Shares are sums of parts of mask pixels: a tile full of tissue may come out as 0.999999999999.
COVERAGE_ERROR = 1e-9
#: A batch is dealt to threads in so many parts each: glass takes less time than tissue.
PARTS_PER_THREAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSelection:
    """The tiles of one slide that are to be read, row by row."""

    coords: NDArray[np.int32]  # (n, 2) corners (x, y) in level-0 pixels
    corners: NDArray[np.int64]  # (n, 2) the same corners in read-level pixels
    grid: TileGrid

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileBatch:
    """Pixels of some tiles of a selection."""

    rows: NDArray[np.int64]  # (k,) which tiles of the selection, as they were read
    tiles: NDArray[np.uint8]  # (k, tile_size, tile_size, 3) RGB
    dropped: int  # tiles left out since the last batch, because the slide has nothing there
    invalid: NDArray[np.int64]  # tiles of the selection that could not be read since then


def select_tiles(reader: SlideReader, grid: TileGrid, tissue: TissueSpec) -> TileSelection:
    """Keep the tiles of a grid that hold enough tissue.

    Parameters
    ----------
    reader
        The slide.
    grid
        All its tiles.
    tissue
        ``otsu`` keeps tiles of which at least `min_coverage` is tissue, ``none`` keeps all.
        Both read pixels even where no tile fits: a slide that cannot be read never passes for one
        without tissue.

    Raises
    ------
    SlideError
        ``corrupt_slide``, when the level that shows the tissue cannot be read.
    """
    corners = grid.corners()
    coords = grid.l0_coords(corners)
    if tissue.method == "otsu":
        mask = otsu_mask(reader, l0_tile_size=grid.l0_tile_size)
        width, height = (float(e * d) for e, d in zip(grid.extent, grid.downsample, strict=True))
        coverage = mask.coverage(coords, (width, height))
        kept = coverage >= tissue.min_coverage - COVERAGE_ERROR
        coords, corners = coords[kept], corners[kept]
    elif not len(coords):
        size = (min(grid.level_size[0], grid.tile_size), min(grid.level_size[1], grid.tile_size))
        reader.read(grid.level, corner=(0, 0), size=size)
    return TileSelection(coords=coords, corners=corners, grid=grid)


def tile_batches(
    reader: SlideReader,
    selection: TileSelection,
    batch_size: int,
    *,
    threads: int = 1,
    max_invalid_fraction: float = 0.0,
) -> Generator[TileBatch, None, None]:
    """Read the tiles of a selection, in an order that decodes each native tile once.

    Every batch but the last holds `batch_size` tiles; the last may hold none, when it only tells
    of dropped or invalid ones. Tiles at another resolution than the level's are averaged down by
    area.

    Parameters
    ----------
    reader
        The slide.
    selection
        Its tiles.
    batch_size
        Tiles of a batch.
    threads
        How many read at once, where the reader can.
    max_invalid_fraction
        Share of the selection that may be unreadable.

    Raises
    ------
    SlideError
        ``corrupt_slide``, when more tiles cannot be read.
    """
    grid = selection.grid
    regions = reader.regions(
        grid.level, corners=selection.corners, size=grid.extent, threads=threads
    )
    reading = _Reading(regions, grid, allowed=max_invalid_fraction)
    with ExitStack() as stack:
        if regions.threads > 1:
            reading.pool = stack.enter_context(ThreadPoolExecutor(regions.threads))
        yield from reading.batches(batch_size)


def ahead(batches: Generator[TileBatch, None, None]) -> Generator[TileBatch, None, None]:
    """Read the next batch while the one before is used; two are in memory."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, batches, None)
        try:
            while (batch := waiting.result()) is not None:
                waiting = pool.submit(next, batches, None)
                yield batch
        finally:
            wait([waiting])
            batches.close()


class _Reading:
    """Regions on their way into batches.

    Parameters
    ----------
    regions
        Of all tiles.
    grid
        What the tiles are like.
    allowed
        Share of them that may be unreadable.
    """

    def __init__(self, regions: Regions, grid: TileGrid, *, allowed: float) -> None:
        self.pool: ThreadPoolExecutor | None = None
        self._regions = regions
        self._grid = grid
        self._allowed = allowed
        self._invalid: list[SlideError] = []
        self._kept = len(regions.order)  # none of them is known to be transparent

    def batches(self, batch_size: int) -> Iterator[TileBatch]:
        order, place = self._regions.order, 0
        batch = _Batch(batch_size, self._grid.tile_size)
        while place < len(order):
            taken = order[place : place + batch_size - batch.count]
            for row, found in zip(taken.tolist(), self._read(taken, batch), strict=True):
                batch.take(row, found)
                self._count(found)
            place += len(taken)
            self._regions.read_until(place)
            if batch.count == batch_size:
                yield batch.done()
                batch = _Batch(batch_size, self._grid.tile_size)
        if batch:
            yield batch.done()

    def _read(self, rows: NDArray[np.int64], batch: _Batch) -> list[bool | SlideError]:
        """Read tiles into the free places of a batch: True, False for an empty one, or why not."""
        places = batch.room(len(rows))
        if self.pool is None:
            return self._read_some(rows, places)
        size = max(1, -(-len(rows) // (PARTS_PER_THREAD * self._regions.threads)))
        parts = range(0, len(rows), size)
        found = self.pool.map(
            self._read_some,
            [rows[part : part + size] for part in parts],
            [places[part : part + size] for part in parts],
        )
        return [each for part in found for each in part]

    def _read_some(
        self, rows: NDArray[np.int64], places: NDArray[np.uint8]
    ) -> list[bool | SlideError]:
        resampled = self._grid.resampled
        extent = self._grid.extent
        whole = np.empty((extent[1], extent[0], 3), np.uint8) if resampled else None
        size = (self._grid.tile_size, self._grid.tile_size)
        found: list[bool | SlideError] = []
        for row, place in zip(rows.tolist(), places, strict=True):
            try:
                scanned = self._regions.read(row, place if whole is None else whole)
            except SlideError as error:
                if error.failure is not FailureClass.CORRUPT_SLIDE:
                    raise
                found.append(error)
                continue
            if scanned and whole is not None:
                cv2.resize(whole, size, dst=place, interpolation=cv2.INTER_AREA)
            found.append(scanned)
        return found

    def _count(self, found: bool | SlideError) -> None:
        self._kept -= found is False
        if isinstance(found, SlideError):
            self._invalid.append(found)
        count = len(self._invalid)
        if count and too_many_invalid(count, tiles=self._kept, allowed=self._allowed):
            raise self._invalid[0] if count == 1 else _several(self._invalid, self._kept)


def _several(invalid: Sequence[SlideError], kept: int) -> SlideError:
    return SlideError(
        FailureClass.CORRUPT_SLIDE,
        f"at least {len(invalid)} of {kept} tiles cannot be read, the first: {invalid[0].reason}",
    )


class _Batch:
    """A batch while it is filled."""

    def __init__(self, size: int, edge: int) -> None:
        self.tiles = np.empty((size, edge, edge, 3), np.uint8)
        self.count = 0
        self._rows: list[int] = []
        self._invalid: list[int] = []
        self._dropped = 0
        self._next = 0  # place of the tile that is taken next

    def __bool__(self) -> bool:
        return bool(self._rows or self._invalid or self._dropped)

    def room(self, count: int) -> NDArray[np.uint8]:
        """Places for the tiles that are taken next."""
        self._next = self.count
        return self.tiles[self.count : self.count + count]

    def take(self, row: int, found: bool | SlideError) -> None:
        """Keep the next of the tiles that were read, or close the gap that it leaves."""
        if found is True:
            if self._next != self.count:
                self.tiles[self.count] = self.tiles[self._next]
            self._rows.append(row)
            self.count += 1
        elif found is False:
            self._dropped += 1
        else:
            self._invalid.append(row)
        self._next += 1

    def done(self) -> TileBatch:
        return TileBatch(
            rows=np.array(self._rows, np.int64),
            tiles=self.tiles[: self.count],
            dropped=self._dropped,
            invalid=np.array(self._invalid, np.int64),
        )
