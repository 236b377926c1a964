"""Tissue and glass, told apart by colour: Otsu's threshold on saturation (Otsu 1979)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.slides.reader import interpolates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from slidearray.slides.contract import SlideReader
    from slidearray.slides.reader import SlideHeader

MASK_PX_PER_TILE = 16  # a mask pixel is small enough for shares of a tile to mean something
MIN_MASK_PX_PER_TILE = 8  # rather than reading a level 16 times as large
MAX_MASK_PX = 16_000_000  # 16 MB of mask and 64 MB of sums, however large the slide
STRIP_PX = 4_000_000  # pixels read at once: 16 MB

# For a prediction: pixels read of a level, in blocks as large as usual tiles; the largest level of
# which that tells enough; the longer edge of a level that shows something, and of what is made of
# it.
SAMPLE_PX = 2_000_000
SAMPLED_PX = 8 * SAMPLE_PX
SAMPLE_BLOCK = 256
LEAST_EDGE, SAMPLE_EDGE = 256, 1024
#: Steps of x and y that spread a sample evenly over a plane, whatever its share (Roberts 2018, R2).
SPREAD = (0.7548776662466927, 0.5698402909980532)

# Saturation (0 to 255) that is always tissue, and that never is. Glass, with its noise, dust and
# JPEG blocks, stays below 12 on the slides measured; the palest stained tissue begins at 20. On a
# slide full of tissue Otsu's threshold lies inside the tissue (60 on H&E skin), on bare glass
# inside the noise (2).
MIN_THRESHOLD, MAX_THRESHOLD = 15, 30
NEAR_BLACK = 32  # value (0 to 255) below which saturation is noise: pen, scanner edge, no signal


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueMask:
    """Where a slide has tissue."""

    mask: NDArray[np.uint8]  # (h, w), 1 for tissue and 0 for glass
    scale: tuple[float, float]  # level-0 pixels per mask pixel, (x, y)
    l0_size: tuple[int, int]  # (width, height) of the slide; the last mask pixels may reach over

    def coverage(
        self, l0_coords: NDArray[np.integer], l0_extent: tuple[float, float]
    ) -> NDArray[np.float64]:
        """Share of each tile's area that is tissue; what lies outside the slide is none.

        Parameters
        ----------
        l0_coords
            (n, 2) corners ``(x, y)`` in level-0 pixels.
        l0_extent
            ``(width, height)`` of every tile, in level-0 pixels.

        Returns
        -------
        (n,) float64 array
            Between 0 and 1; mask pixels count with the part that lies inside the tile.
        """
        sums = np.asarray(cv2.integral(self.mask), np.int32)
        l0_size, scale = np.array(self.l0_size, np.float64), np.array(self.scale)
        x0, y0 = (np.clip(l0_coords, 0, l0_size) / scale).T
        x1, y1 = (np.clip(l0_coords + np.array(l0_extent), 0, l0_size) / scale).T
        tissue = (
            _sum_to(sums, x1, y1)
            - _sum_to(sums, x0, y1)
            - _sum_to(sums, x1, y0)
            + _sum_to(sums, x0, y0)
        )
        share = tissue * (self.scale[0] * self.scale[1]) / (l0_extent[0] * l0_extent[1])
        return np.asarray(share, np.float64)


def otsu_mask(reader: SlideReader, *, l0_tile_size: int) -> TissueMask:
    """Find tissue on the coarsest level that still shows what a tile holds.

    Pixels are averaged down by area until a tile spans about 16 of them. Those more saturated
    than Otsu's threshold are tissue; the threshold is kept between 15 and 30 (of 255), so that
    bare glass holds none and a slide full of tissue is not cut in half. Near-black is no tissue.

    Parameters
    ----------
    reader
        The slide; it is read in strips of bounded size.
    l0_tile_size
        Edge of a tile, in level-0 pixels.

    Raises
    ------
    SlideError
        ``corrupt_slide``, when the level cannot be read.
    """
    level, factor = _level_and_factor(reader.header, l0_tile_size)
    if interpolates(reader.header, level):
        reader = reader.reference  # tissue is the same whichever reader serves the tiles
    saturation, bright = _saturation(reader, level=level, factor=factor)
    mask = _is_tissue(saturation, bright).astype(np.uint8)
    width, height = reader.header.level_dimensions[level]
    l0_size = reader.header.level_dimensions[0]
    return TissueMask(
        mask=mask,
        scale=(factor * l0_size[0] / width, factor * l0_size[1] / height),
        l0_size=l0_size,
    )


def tissue_share(reader: SlideReader) -> float | None:
    """Share of a slide's lowest level that is tissue, by the rule of `otsu_mask`; for predictions.

    A lowest level below 256 pixels is passed over. Of a large one only some blocks are read, 2
    megapixels in all.

    Returns
    -------
    float or None
        From 0 to 1, to four decimals; None when the level is larger than 16 megapixels, so that
        reading it would cost more than knowing it is worth.

    Raises
    ------
    SlideError
        ``corrupt_slide``, when the level cannot be read.
    """
    sizes = reader.header.level_dimensions
    shown = (k for k in reversed(range(len(sizes))) if max(sizes[k]) >= LEAST_EDGE)
    level = next(shown, 0)
    width, height = sizes[level]
    if width * height > SAMPLED_PX:
        return None
    factor = math.ceil(max(width, height) / SAMPLE_EDGE)
    blocks = list(_sample(reader, level=level, share=SAMPLE_PX / (width * height), factor=factor))
    hsv = np.asarray(cv2.cvtColor(np.concatenate(blocks), cv2.COLOR_RGB2HSV), np.uint8)
    saturation, bright = np.ascontiguousarray(hsv[..., 1]), hsv[..., 2] >= NEAR_BLACK
    return round(float(_is_tissue(saturation, bright).mean()), 4)


def _sample(
    reader: SlideReader, *, level: int, share: float, factor: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of a level, averaged down, as columns of pixels; about a `share` of them."""
    width, height = reader.header.level_dimensions[level]
    for y, top in enumerate(range(0, height, SAMPLE_BLOCK)):
        for x, left in enumerate(range(0, width, SAMPLE_BLOCK)):
            if (x * SPREAD[0] + y * SPREAD[1]) % 1 >= share:
                continue
            size = (min(SAMPLE_BLOCK, width - left), min(SAMPLE_BLOCK, height - top))
            pixels = reader.read(level, corner=(left, top), size=size).pixels
            reduced = (math.ceil(size[0] / factor), math.ceil(size[1] / factor))
            block = cv2.resize(pixels, reduced, interpolation=cv2.INTER_AREA)
            yield np.asarray(block, np.uint8).reshape(-1, 1, 3)


def _level_and_factor(header: SlideHeader, l0_tile_size: int) -> tuple[int, int]:
    """The level to read, and how many of its pixels make the edge of a mask pixel."""
    fine = l0_tile_size / MASK_PX_PER_TILE
    bounded = math.sqrt(header.width * header.height / MAX_MASK_PX)
    coarsest = max(fine, bounded, 0.5) * MASK_PX_PER_TILE / MIN_MASK_PX_PER_TILE
    level = max(
        (k for k, downsample in enumerate(header.downsamples) if downsample <= coarsest),
        key=lambda k: header.downsamples[k],
    )
    downsample = header.downsamples[level]
    return level, max(1, round(fine / downsample), math.ceil(bounded / downsample))


def _saturation(
    reader: SlideReader, *, level: int, factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Saturation (0 to 255) of a level averaged down, and where it means anything."""
    strips = [
        cv2.cvtColor(strip, cv2.COLOR_RGB2HSV)
        for strip in _reduced_strips(reader, level=level, factor=factor)
    ]
    hsv = np.concatenate(strips)
    return np.ascontiguousarray(hsv[..., 1]), hsv[..., 2] >= NEAR_BLACK


def _reduced_strips(reader: SlideReader, *, level: int, factor: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the level from top to bottom, each pixel the mean of ``factor x factor``."""
    width, height = reader.header.level_dimensions[level]
    columns = math.ceil(width / factor)
    rows_at_once = max(1, STRIP_PX // (width * factor))
    for top in range(0, height, rows_at_once * factor):
        rows = min(rows_at_once, math.ceil((height - top) / factor))
        strip_height = min(rows * factor, height - top)
        pixels = reader.read(level, corner=(0, top), size=(width, strip_height)).pixels
        right, below = columns * factor - width, rows * factor - strip_height
        whole = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
        reduced = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        yield np.asarray(reduced, np.uint8)


def _is_tissue(saturation: NDArray[np.uint8], bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray((saturation > _threshold(saturation[bright])) & bright, np.bool_)


def _threshold(saturation: NDArray[np.uint8]) -> float:
    """Otsu's threshold of some pixels, within its sensible range."""
    if saturation.size == 0:
        return MAX_THRESHOLD
    otsu, _ = cv2.threshold(saturation.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return min(max(otsu, MIN_THRESHOLD), MAX_THRESHOLD)


def _sum_to(
    sums: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Tissue above and left of points of the mask; between its corners the sum is bilinear."""
    column = np.minimum(x.astype(np.int64), sums.shape[1] - 2)
    row = np.minimum(y.astype(np.int64), sums.shape[0] - 2)
    right, down = x - column, y - row
    upper = sums[row, column] * (1 - right) + sums[row, column + 1] * right
    lower = sums[row + 1, column] * (1 - right) + sums[row + 1, column + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)
