"""What slides will cost, from their headers and from how much tissue the lowest level shows.

Meant for balance between shards and for the order of size of a walltime, not for accounting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slidearray.core.recipe import TissueSpec

_TILE = 256 * 256
#: Pixels per second and CPU that OpenSlide decodes and hands over: 850 tiles of 256 px.
READ_RATE = 850 * _TILE
#: Pixels per second and CPU from a decoded tile to its features: 1 214 tiles of 256 px, so that
#: both together make the 500 tiles per second of a slide that is read at the target resolution.
ENCODE_RATE = 1_214 * _TILE
#: To open a slide, find its tissue and publish its file.
SLIDE_SECONDS = 2.0
#: To find that a slide's features are there and current.
REUSED_SECONDS = 0.5
#: Pixels that a byte of a slide stands for where the header cannot be read: JPEG at quality 75
#: takes 0.1 to 0.25 bytes a pixel.
PIXELS_PER_BYTE = 6
#: Interpreter, libraries, OpenSlide's cache, tissue mask and one batch of tiles.
BASE_MEGABYTES = 600
FEATURE_BYTES = 4  # of a float32
COORDS_BYTES = 8  # of a tile's place: two int32


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What slides are predicted to take on one CPU, an entry each."""

    seconds: NDArray[np.float64]
    megabytes: NDArray[np.int64]  # the most of it held at once


def predict(
    *,
    target_pixels: NDArray[np.float64],
    read_pixels: NDArray[np.float64],
    share: NDArray[np.float64],
    tile_pixels: int,
    feature_dim: int,
) -> Costs:
    """The costs of slides.

    Parameters
    ----------
    target_pixels, read_pixels
        Pixels of all tiles of each slide, at the target resolution and at the level that is read.
    share
        Of its tiles that will be kept, from 0 to 1. Memory is predicted for all of them.
    tile_pixels
        Of one tile, at the target resolution.
    feature_dim
        Numbers per tile.
    """
    seconds = SLIDE_SECONDS + share * (read_pixels / READ_RATE + target_pixels / ENCODE_RATE)
    tiles = np.ceil(target_pixels / tile_pixels)
    return Costs(seconds=seconds, megabytes=BASE_MEGABYTES + feature_megabytes(tiles, feature_dim))


def feature_megabytes(tiles: NDArray[np.float64], feature_dim: int) -> NDArray[np.int64]:
    """What the features of so many tiles take, rounded up; coordinates are small beside it."""
    return np.ceil(tiles * feature_dim * FEATURE_BYTES / 1e6).astype(np.int64)


def kept_share(tissue: NDArray[np.float64], spec: TissueSpec) -> NDArray[np.float64]:
    """Share of the tiles that will be kept of slides, by the share of each that is tissue.

    About as many tiles are half covered or more as there is tissue; where no coverage is asked
    for, all are kept.
    """
    wanted = spec.method != "none" and spec.min_coverage > 0
    return tissue if wanted else np.ones_like(tissue)
