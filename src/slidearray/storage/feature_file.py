"""The feature file: one slide's features and coordinates, whole and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = "slidearray-features"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureData:
    """What a feature file holds.

    Coordinates are level-0 pixels, whatever the resolution of the tiles.
    """

    features: npt.NDArray[Any]  # (n, d) float16 or float32
    coords: npt.NDArray[np.int32]  # (n, 2) int32, (x, y) of the top-left corners, row by row
    slide_id: str
    model: str  # the encoder's label
    mpp: float | None  # micrometres per pixel of the tiles; None when the slide has no mpp
    mpp_level0: float | None  # of the slide
    recipe_digest: str
    slide_key: str
    patch_size: int  # tile edge, in pixels at the target resolution
    patch_size_level0: int  # the same edge, in level-0 pixels
    level0_width: int
    level0_height: int
    level0_magnification: float | None
    target_magnification: float | None
    overlap: int  # tile_size - stride, in pixels at the target resolution
    feature_names: tuple[str, ...] = ()  # of the d features, when the encoder names them


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """How a record describes a feature file."""

    size: int  # bytes
    sha256: str  # of the bytes
    content_digest: str  # of what the file says
