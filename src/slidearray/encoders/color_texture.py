"""The built-in encoder: colour, stain and texture statistics that need no weights.

72 numbers a tile, all from sums over 8-bit images, which are exact in any order:

- means and deviations of red, green and blue (0 to 1), and of their optical densities;
- mean hue as a vector, means and deviations of saturation and value (0 to 1);
- mean, deviation and percentiles of haematoxylin and eosin, mean and deviation of the residual,
  in optical density (Ruifrok & Johnston, Anal Quant Cytol Histol 23:291-299, 2001);
- magnitude of the grey gradient, and how edges are oriented (unsigned, 8 bins);
- rotation-invariant uniform local binary patterns of the 8 neighbours (Ojala, Pietikainen &
  Maenpaa, IEEE TPAMI 24:971-987, 2002), of grey, and of grey and haematoxylin at half the
  resolution.

Each tile is computed by itself, from integers: its row does not depend on the batch it is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.core.stains import EOSIN, HAEMATOXYLIN
from slidearray.encoders.histograms import (
    PATTERN_NAMES,
    counts,
    mean_std,
    pattern_shares,
    percentiles,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cv2.typing import MatLike as Image
    from numpy.typing import NDArray

VERSION = 1  # raised whenever any tile's features would change

UNIT = np.arange(256) / 255  # 8-bit values as 0 to 1

# Optical density -log10((v + 1) / 256) is 0 to 2.41: in steps of 0.01 it fits into 8 bits.
DENSITY = -np.log10((np.arange(256) + 1) / 256)
DENSITY_STEP = 0.01
DENSITY_LUT = np.rint(DENSITY / DENSITY_STEP).astype(np.uint8)

STAINS = ("haematoxylin", "eosin", "residual")  # the residual is perpendicular to both
STAIN_STEP = 0.02
STAIN_ORIGIN = -0.64  # amounts go below 0 where a pixel has less of a stain than the others imply
STAIN = np.linspace(STAIN_ORIGIN, STAIN_ORIGIN + 255 * STAIN_STEP, 256, dtype=np.float64)
PERCENTS = (10, 50, 90)

COLOURED = 15  # saturation (0 to 255) above which hue means anything
HUE_COS, HUE_SIN = (f(np.arange(256) * (np.pi / 90)) for f in (np.cos, np.sin))  # 2 degree steps

GRADIENT_SCALE = 0.25  # Sobel gradients of 8-bit images reach 1443; the steepest share one value
EDGE = 2  # gradient, so scaled, from which a pixel has an orientation
ORIENTATIONS = 8


class ColorTexture:
    """The ``color-texture`` encoder."""

    name = "color-texture"
    version = VERSION

    def __init__(self) -> None:
        self.feature_names = FEATURE_NAMES
        self.dim = len(FEATURE_NAMES)

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, h, w, 3) RGB tiles into (n, 72) float32."""
        features = np.empty((len(tiles), self.dim), np.float32)
        gradient = _Gradient(tiles.shape[1], tiles.shape[2])
        for row, tile in zip(features, tiles, strict=True):
            row[:] = _tile_features(np.ascontiguousarray(tile), gradient)
        return features


class _Gradient:
    """Statistics of the grey gradient.

    Its working arrays are kept from tile to tile: getting 1.3 MB from the system for each tile
    takes a third of the encoder's time.

    Parameters
    ----------
    height, width
        Of the tiles.
    """

    def __init__(self, height: int, width: int) -> None:
        self._dx, self._dy = (np.empty((height, width), np.int16) for _ in range(2))
        self._x, self._y, self._magnitude, self._degrees = (
            np.empty((height, width), np.float32) for _ in range(4)
        )

    def statistics(self, grey: Image) -> Iterator[float]:
        """Yield mean, deviation and percentile of the magnitude, then shares of orientations."""
        self._x[:], self._y[:] = cv2.spatialGradient(
            grey, self._dx, self._dy, borderType=cv2.BORDER_REPLICATE
        )
        # Not cv2.magnitude: its last bit depends on where in memory the arrays lie. The squares
        # are integers below 2**24 and the root is rounded as IEEE 754 says, so these are exact.
        np.multiply(self._x, self._x, out=self._magnitude)
        np.multiply(self._y, self._y, out=self._degrees)
        np.add(self._magnitude, self._degrees, out=self._magnitude)
        np.sqrt(self._magnitude, out=self._magnitude)
        steepness = cv2.convertScaleAbs(self._magnitude, alpha=GRADIENT_SCALE)
        histogram = counts(steepness)
        yield from mean_std(histogram, UNIT)
        yield from percentiles(histogram, UNIT, percents=(90,))
        edges = cv2.threshold(steepness, EDGE - 1, 255, cv2.THRESH_BINARY)[1]
        degrees = cv2.phase(self._x, self._y, self._degrees, angleInDegrees=True)
        yield from _orientations(degrees, edges)


def _tile_features(tile: NDArray[np.uint8], gradient: _Gradient) -> list[float]:
    """Features of one (h, w, 3) RGB tile, in the order of `FEATURE_NAMES`."""
    grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)
    stains = cv2.split(cv2.transform(cv2.LUT(tile, DENSITY_LUT), UNMIXING))
    return [
        *_colour(tile),
        *_hue_saturation_value(tile),
        *_stains(stains),
        *gradient.statistics(grey),
        *pattern_shares(grey),
        *pattern_shares(_half(grey)),
        *pattern_shares(_half(stains[0])),
    ]


def _unmixing() -> NDArray[np.float64]:
    """(3, 4) matrix from 8-bit densities to 8-bit amounts of each stain."""
    residual = np.cross(HAEMATOXYLIN, EOSIN)
    stains = np.stack([HAEMATOXYLIN, EOSIN, residual])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    amounts = np.linalg.inv(stains.T) * (DENSITY_STEP / STAIN_STEP)
    return np.hstack([amounts, np.full((3, 1), -STAIN_ORIGIN / STAIN_STEP)])


def _half(image: Image) -> Image:
    """Half the resolution, by averaging."""
    height, width = image.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _colour(tile: Image) -> Iterator[float]:
    histograms = [counts(channel) for channel in cv2.split(tile)]
    for values in (UNIT, DENSITY):
        for histogram in histograms:
            yield from mean_std(histogram, values)


def _hue_saturation_value(tile: Image) -> Iterator[float]:
    hue, saturation, value = cv2.split(cv2.cvtColor(tile, cv2.COLOR_RGB2HSV))
    coloured = cv2.threshold(saturation, COLOURED, 255, cv2.THRESH_BINARY)[1]
    hues = counts(hue, mask=coloured) / hue.size
    yield float((hues * HUE_COS).sum())
    yield float((hues * HUE_SIN).sum())
    for channel in (saturation, value):
        mean, deviation = cv2.meanStdDev(channel)
        yield from (float(mean[0, 0]) / 255, float(deviation[0, 0]) / 255)


def _stains(stains: Sequence[Image]) -> Iterator[float]:
    histograms = [counts(stain) for stain in stains]
    for histogram in histograms:
        yield from mean_std(histogram, STAIN)
    for histogram in histograms[:2]:
        yield from percentiles(histogram, STAIN, percents=PERCENTS)


def _orientations(degrees: Image, edges: Image) -> Iterator[float]:
    """Share of pixels that are edges, and share of those in each of 8 unsigned directions.

    Sectors are 22.5 degrees wide around multiples of 22.5: no gradient of integers points at
    their borders, whose tangents are irrational.
    """
    sectors = counts(cv2.convertScaleAbs(degrees, alpha=ORIENTATIONS / 180), mask=edges)
    unsigned = sectors[: 3 * ORIENTATIONS].reshape(3, ORIENTATIONS).sum(axis=0)
    total = float(unsigned.sum())
    yield total / edges.size
    yield from (unsigned / max(total, 1.0)).tolist()


def _names() -> Iterator[str]:
    for channel in ("red", "green", "blue"):
        yield from (f"{channel}_mean", f"{channel}_std")
    for channel in ("red", "green", "blue"):
        yield from (f"od_{channel}_mean", f"od_{channel}_std")
    yield from ("hue_cos", "hue_sin")
    yield from ("saturation_mean", "saturation_std", "value_mean", "value_std")
    for stain in STAINS:
        yield from (f"{stain}_mean", f"{stain}_std")
    for stain in STAINS[:2]:
        yield from (f"{stain}_p{percent}" for percent in PERCENTS)
    yield from ("gradient_mean", "gradient_std", "gradient_p90", "edge_share")
    for sector in range(ORIENTATIONS):
        yield f"edge_angle_{sector * 180 / ORIENTATIONS:g}"
    for image in ("grey", "grey_half", "haematoxylin_half"):
        yield from (f"lbp_{image}_{pattern}" for pattern in PATTERN_NAMES)


UNMIXING = _unmixing()
FEATURE_NAMES = tuple(_names())
