"""Which tiles of a slide are kept, and their pixels in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.slides.tissue import otsu_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from slidearray.core.geometry import TileGrid
    from slidearray.core.recipe import TissueSpec
    from slidearray.slides.reader import OpenSlideReader, TileRead

# Shares are sums of parts of mask pixels: a tile full of tissue may come out as 0.999999999999.
COVERAGE_ERROR = 1e-9


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

    rows: NDArray[np.int64]  # (k,) which tiles of the selection, ascending
    tiles: NDArray[np.uint8]  # (k, tile_size, tile_size, 3) RGB
    dropped: int  # tiles left out since the last batch, because the slide has nothing there


def select_tiles(reader: OpenSlideReader, grid: TileGrid, tissue: TissueSpec) -> TileSelection:
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
    reader: OpenSlideReader, selection: TileSelection, batch_size: int
) -> Iterator[TileBatch]:
    """Read the tiles of a selection, in order.

    Every batch but the last holds `batch_size` tiles; the last may hold none, when it only tells
    of dropped ones. Tiles at another resolution than the level's are averaged down by area.

    Raises
    ------
    SlideError
        ``corrupt_slide``, when a tile cannot be read.
    """
    edge = selection.grid.tile_size
    rows: list[int] = []
    dropped = 0
    tiles = _empty(batch_size, edge)
    for row, corner in enumerate(selection.corners.tolist()):
        read = reader.read(
            selection.grid.level, corner=(corner[0], corner[1]), size=selection.grid.extent
        )
        if read.transparent:
            dropped += 1
            continue
        tiles[len(rows)] = _at_target(read, selection.grid)
        rows.append(row)
        if len(rows) == batch_size:
            yield TileBatch(rows=np.array(rows, np.int64), tiles=tiles, dropped=dropped)
            rows, dropped, tiles = [], 0, _empty(batch_size, edge)
    if rows or dropped:
        yield TileBatch(rows=np.array(rows, np.int64), tiles=tiles[: len(rows)], dropped=dropped)


def _at_target(read: TileRead, grid: TileGrid) -> NDArray[np.uint8]:
    """Pixels of a tile at the target resolution."""
    if not grid.resampled:
        return read.pixels
    size = (grid.tile_size, grid.tile_size)
    return np.asarray(cv2.resize(read.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _empty(count: int, edge: int) -> NDArray[np.uint8]:
    return np.empty((count, edge, edge, 3), np.uint8)
