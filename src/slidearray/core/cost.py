"""What a slide will cost, from its header alone.

Meant for balance between shards and for the order of size of a walltime, not for accounting.
All tiles of the grid are counted: how much of a slide is tissue is not in its header.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_TILE = 256 * 256
#: Pixels per second and CPU that OpenSlide decodes and hands over: 850 tiles of 256 px.
READ_RATE = 850 * _TILE
#: Pixels per second and CPU from a decoded tile to its features: 1 214 tiles of 256 px, so that
#: both together make the 500 tiles per second of a slide that is read at the target resolution.
ENCODE_RATE = 1_214 * _TILE
#: To open a slide, find its tissue and publish its file.
SLIDE_SECONDS = 2.0
#: Pixels that a byte of a slide stands for where the header cannot be read: JPEG at quality 75
#: takes 0.1 to 0.25 bytes a pixel.
PIXELS_PER_BYTE = 6
#: Interpreter, libraries, OpenSlide's cache, tissue mask and one batch of tiles.
BASE_MEGABYTES = 600
_FEATURE_BYTES = 4  # float32; coordinates are small beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one slide is predicted to take on one CPU."""

    seconds: float
    megabytes: int


def predict(
    *,
    size_bytes: int,
    tile_pixels: int,
    feature_dim: int,
    target_pixels: int | None = None,
    read_pixels: int | None = None,
) -> Cost:
    """The cost of one slide.

    Parameters
    ----------
    target_pixels, read_pixels
        Pixels of all its tiles, at the target resolution and at the level that is read; None when
        the header told nothing.
    size_bytes
        Of the slide's files; used only in place of pixels.
    tile_pixels
        Of one tile, at the target resolution.
    feature_dim
        Numbers per tile.
    """
    guess = size_bytes * PIXELS_PER_BYTE
    target = guess if target_pixels is None else target_pixels
    read = target if read_pixels is None else read_pixels
    tiles = math.ceil(target / tile_pixels)
    features = math.ceil(tiles * feature_dim * _FEATURE_BYTES / 1e6)
    return Cost(
        seconds=SLIDE_SECONDS + read / READ_RATE + target / ENCODE_RATE,
        megabytes=BASE_MEGABYTES + features,
    )
