"""Does a level read tile by tile have OpenSlide's pixels? Sampled tiles tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from slidearray.slides.reader import OpenSlideReader, TileRead
    from slidearray.slides.tiff_levels import TiledLevel

    Reading = Callable[[tuple[int, int], tuple[int, int]], TileRead]

SAMPLE_EDGE = 256  # px compared from the corner of a native tile on
SPARSE_EDGE = 1024  # the same, where few corners are of use
SEAM_EDGE = 32  # px compared where four native tiles meet
#: Level pixels by which a corner may be off: OpenSlide's own rounding starts above 1/512.
WHOLE = 1 / 1024


def why_unequal(
    tiled: TiledLevel, *, level: int, read: Reading, reference: OpenSlideReader
) -> str | None:
    """Why a level cannot be read tile by tile, as far as samples tell.

    Compared are the native tile with most bytes, the median one, the one with fewest, the first
    and the last one, a missing one, and a place where four meet. Corners are such that OpenSlide
    does not interpolate there.

    Parameters
    ----------
    tiled
        The level in the file.
    level
        Its number.
    read
        Reads a region (corner, size) tile by tile.
    reference
        OpenSlide on the same slide.

    Raises
    ------
    SlideError
        When the file is gone, or the file system in trouble.
    """
    compared = 0
    for corner, size in samples(tiled, level=level, reference=reference):
        try:
            expected = reference.read(level, corner=corner, size=size)
        except SlideError as error:
            if error.failure is not FailureClass.CORRUPT_SLIDE:
                raise
            continue  # a tile that nobody can read proves nothing
        where = f"level {level} at {corner[0]},{corner[1]}"
        try:
            found = read(corner, size)
        except SlideError as error:
            return f"{where}: only OpenSlide can read it: {error.reason}"
        if found.transparent != expected.transparent:
            return f"{where}: a tile is missing for one reader only"
        if not np.array_equal(found.pixels, expected.pixels):
            return f"{where}: its pixels differ from OpenSlide's"
        compared += 1
    return None if compared else f"level {level}: OpenSlide reads no sample to compare with"


def samples(
    tiled: TiledLevel, *, level: int, reference: OpenSlideReader
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield regions (corner, size) at which OpenSlide shows the level's own pixels."""
    level_size, downsample = (
        reference.header.level_dimensions[level],
        reference.header.downsamples[level],
    )
    edge = SAMPLE_EDGE if downsample.is_integer() else SPARSE_EDGE
    starts = [
        _first_whole(level_size[axis], tiled.tile[axis], downsample=downsample) for axis in (0, 1)
    ]
    corners = [
        (starts[0][column], starts[1][row]) for row, column in _sampled(tiled, starts[0], starts[1])
    ]
    sizes = [(edge, edge)] * len(corners)
    if downsample.is_integer():
        x, y = (
            max(0, n // 2 // t * t - SEAM_EDGE // 2)
            for n, t in zip(level_size, tiled.tile, strict=True)
        )
        corners.append((x, y))
        sizes.append((SEAM_EDGE, SEAM_EDGE))
    for (x, y), (width, height) in zip(corners, sizes, strict=True):
        # Up to the far edge, OpenSlide may be asked for a level-0 pixel before: see `l0_position`.
        room = (level_size[0] - x - (x > 0), level_size[1] - y - (y > 0))
        size = (max(1, min(width, room[0])), max(1, min(height, room[1])))
        if is_whole(reference, level, corner=(x, y), size=size):
            yield (x, y), size


def is_whole(
    reference: OpenSlideReader, level: int, *, corner: tuple[int, int], size: tuple[int, int]
) -> bool:
    """Whether OpenSlide reads a region of a level without moving its pixels."""
    downsample = reference.header.downsamples[level]
    position = reference.l0_position(level, corner=corner, size=size)
    return all(abs(p / downsample - c) <= WHOLE for p, c in zip(position, corner, strict=True))


def _first_whole(length: int, tile: int, *, downsample: float) -> dict[int, int]:
    """Native tiles along an axis, each with its first pixel that OpenSlide does not move."""
    pixels = np.arange(length)
    off = np.abs(np.floor(pixels * downsample + 0.5) / downsample - pixels)
    whole = np.flatnonzero(off <= WHOLE)
    tiles, first = np.unique(whole // tile, return_index=True)
    return dict(zip(tiles.tolist(), whole[first].tolist(), strict=True))


def _sampled(
    tiled: TiledLevel, columns: Iterable[int], rows: Iterable[int]
) -> list[tuple[int, int]]:
    """Native tiles that are compared, as (row, column), out of some columns and rows."""
    grid = np.array(tiled.byte_counts).reshape(-1, tiled.columns)
    places = [(row, column) for row in rows for column in columns]
    counts = np.array([grid[place] for place in places])
    by_bytes = np.argsort(counts, kind="stable")
    scanned = by_bytes[counts[by_bytes] > 0]
    chosen = [0, len(places) - 1, *by_bytes[: len(places) - len(scanned)][:1].tolist()]
    if len(scanned):
        chosen += [int(scanned[k]) for k in (-1, len(scanned) // 2, 0)]
    return [places[k] for k in sorted(set(chosen))]
