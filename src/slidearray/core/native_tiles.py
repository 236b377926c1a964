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
            _native_range(corner[axis], size[axis], length=self.level_size[axis], tile=tile)
            for axis, tile in enumerate(self.tile)
        )
        return columns, rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadingOrder:
    """When each region is read, and when each native tile may go.

    Where bands meet, a native tile goes with the one and is decoded again for the next.
    """

    order: NDArray[np.int64]  # (n,) the regions, as they are to be read
    leaving: NDArray[np.int64]  # (m,) native tiles, by when their band no longer needs them
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
    starts = np.flatnonzero(np.diff(bands[order], prepend=-1))
    ends = np.append(starts, len(order))[1:]
    parts = [
        _leaving(native, corners[order[start:end]], size, first_place=int(start))
        for start, end in zip(starts, ends, strict=True)
    ]
    empty = np.empty(0, np.int64)
    return ReadingOrder(
        order=order,
        leaving=np.concatenate([empty, *(tiles for tiles, _ in parts)]),
        needed_until=np.concatenate([empty, *(places for _, places in parts)]),
    )


def _leaving(
    native: NativeGrid, corners: NDArray[np.int64], size: tuple[int, int], *, first_place: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Native tiles of a band, and the places that use them last, ascending."""
    columns, rows = (_spans(native, corners, size, axis=axis) for axis in (0, 1))
    count = native.columns * -(-native.level_size[1] // native.tile[1])
    last = np.full(count, -1, np.int64)
    places = first_place + np.arange(len(corners), dtype=np.int64)
    for down in range(int((rows[1] - rows[0]).max(initial=0))):
        for right in range(int((columns[1] - columns[0]).max(initial=0))):
            column, row = columns[0] + right, rows[0] + down
            inside = (column < columns[1]) & (row < rows[1])
            np.maximum.at(last, (row * native.columns + column)[inside], places[inside])
    used = np.flatnonzero(last >= 0)
    used = used[np.argsort(last[used], kind="stable")]
    return used, last[used]


def _band_width(native: NativeGrid, size: tuple[int, int], budget_bytes: int) -> int:
    """Pixels across which regions are read row by row."""
    rows_held = (size[1] + native.tile[1] - 2) // native.tile[1] + 1
    tile_bytes = native.tile[0] * native.tile[1] * BYTES_PER_PIXEL
    columns = budget_bytes // (tile_bytes * rows_held) - 1
    return max(columns * native.tile[0] - size[0], size[0])


def _spans(
    native: NativeGrid, corners: NDArray[np.int64], size: tuple[int, int], *, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First native tile of each region along an axis, and the first one beyond it."""
    tile = native.tile[axis]
    begin = np.maximum(corners[:, axis], 0)
    end = np.minimum(corners[:, axis] + size[axis], native.level_size[axis])
    first = begin // tile
    return first, np.where(begin < end, -(-end // tile), first)


def _native_range(begin: int, extent: int, *, length: int, tile: int) -> range:
    """Native tiles along an axis of a level that an interval has pixels of."""
    begin, end = max(begin, 0), min(begin + extent, length)
    return range(begin // tile, -(-end // tile)) if begin < end else range(0)
