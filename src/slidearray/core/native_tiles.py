"""In which order regions of a level are read, so that each of its native tiles is decoded once.

Native tiles are those that the file is made of. A region covers some of them, and the next region
covers some of the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES_PER_PIXEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeGrid:
    """The native tiles of one level, row by row from its top-left pixel."""

    level_size: tuple[int, int]  # (width, height) in pixels of the level
    tile: tuple[int, int]  # (width, height) of a native tile
    columns: int  # native tiles in a row

    def covered(self, corner: tuple[int, int], size: tuple[int, int]) -> tuple[range, range]:
        """Columns and rows of the native tiles that a region has pixels of."""
        columns, rows = (
            range(
                max(corner[axis], 0) // self.tile[axis],
                -(-min(corner[axis] + size[axis], self.level_size[axis]) // self.tile[axis]),
            )
            for axis in (0, 1)
        )
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadingOrder:
    """When each region is read, and when each native tile was used for the last time."""

    order: NDArray[np.int64]  # (n,) the regions, as they are to be read
    leaving: NDArray[np.int64]  # (m,) native tiles, by when they are no longer needed
    needed_until: NDArray[np.int64]  # (m,) places in the order that use them last, ascending


def reading_order(
    native: NativeGrid,
    *,
    corners: NDArray[np.int64],
    size: tuple[int, int],
    budget_bytes: int,
) -> ReadingOrder:
    """Order regions by row, in bands so narrow that what the next row needs can be kept.

    A single band, and so the order of `corners`, whenever a row of the level fits.

    Parameters
    ----------
    native
        The level.
    corners
        (n, 2) int64, ``(x, y)`` of the regions in pixels of the level, row by row.
    size
        ``(width, height)`` of every region.
    budget_bytes
        What decoded native tiles may take.
    """
    band_width = _band_width(native, size, budget_bytes)
    bands = (corners[:, 0] - corners[:, 0].min(initial=0)) // band_width
    order = np.argsort(bands, kind="stable").astype(np.int64)
    columns, rows = (_spans(native, corners[order], size, axis=axis) for axis in (0, 1))
    count = native.columns * -(-native.level_size[1] // native.tile[1])
    last = np.full(count, -1, np.int64)
    places = np.arange(len(order), dtype=np.int64)
    for down in range(int((rows[1] - rows[0]).max(initial=0))):
        for right in range(int((columns[1] - columns[0]).max(initial=0))):
            column, row = columns[0] + right, rows[0] + down
            inside = (column < columns[1]) & (row < rows[1])
            np.maximum.at(last, (row * native.columns + column)[inside], places[inside])
    used = np.flatnonzero(last >= 0)
    leaving = used[np.argsort(last[used], kind="stable")]
    return ReadingOrder(order=order, leaving=leaving, needed_until=last[leaving])


def _band_width(native: NativeGrid, size: tuple[int, int], budget_bytes: int) -> int:
    """Pixels across which regions are read row by row."""
    rows_held = (size[1] + native.tile[1] - 2) // native.tile[1] + 1
    tile_bytes = native.tile[0] * native.tile[1] * BYTES_PER_PIXEL
    columns = budget_bytes // (tile_bytes * rows_held)
    return max(columns * native.tile[0] - size[0], size[0])


def _spans(
    native: NativeGrid, corners: NDArray[np.int64], size: tuple[int, int], *, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First native tile of each region along an axis, and the first one beyond it."""
    tile = native.tile[axis]
    first = np.maximum(corners[:, axis], 0) // tile
    end = np.minimum(corners[:, axis] + size[axis], native.level_size[axis])
    return first, -(-end // tile)
