"""Statistics of 8-bit images: their histograms are exact, whatever order pixels are added in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cv2.typing import MatLike as Image
    from numpy.typing import NDArray

NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))  # (y, x), in turn
PATTERN_NAMES = (*(f"uniform_{ones}" for ones in range(9)), "other")


def counts(image: Image, *, mask: Image | None = None) -> NDArray[np.float64]:
    """How many pixels of an (h, w) image have each of the 256 values."""
    histogram = cv2.calcHist([image], [0], mask, [256], [0, 256])
    return np.asarray(histogram, np.float64).ravel()  # OpenCV 4 gives it as a column


def mean_std(histogram: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of what the pixels of a histogram stand for.

    Examples
    --------
    >>> black_and_white = np.bincount([0, 255], minlength=256).astype(float)
    >>> mean_std(black_and_white, np.arange(256) / 255)
    (0.5, 0.5)
    """
    total = histogram.sum()
    mean = (histogram * values).sum() / total
    variance = (histogram * (values - mean) ** 2).sum() / total
    return float(mean), float(np.sqrt(variance))


def percentiles(
    histogram: NDArray[np.float64], values: NDArray[np.float64], *, percents: Sequence[int]
) -> list[float]:
    """Smallest values that at least so many percent of the pixels do not exceed."""
    cumulative = np.cumsum(histogram)
    found = np.searchsorted(cumulative * 100, np.array(percents) * cumulative[-1])
    return [float(value) for value in values[found]]


def pattern_shares(image: Image) -> list[float]:
    """Share of pixels with each rotation-invariant uniform local binary pattern.

    A pixel's pattern says which of its 8 neighbours are at least as bright; it is uniform when
    those lie side by side, and then only their number counts (Ojala et al. 2002). The image's
    border is repeated outwards.

    Parameters
    ----------
    image
        (h, w) of any size from 1 x 1.

    Returns
    -------
    list of 10 floats
        In the order of `PATTERN_NAMES`; their sum is 1.
    """
    height, width = image.shape[:2]
    wide = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    codes = np.zeros((height, width), np.uint8)
    bit = np.empty((height, width), np.bool_)
    for y, x in NEIGHBOURS:
        np.greater_equal(wide[y : y + height, x : x + width], image, out=bit)
        np.add(codes, codes, out=codes)
        np.add(codes, bit.view(np.uint8), out=codes)
    shares = np.bincount(PATTERN_OF_CODE, weights=counts(codes), minlength=len(PATTERN_NAMES))
    return [float(share) for share in shares / codes.size]


def _pattern(code: int) -> int:
    """Index into `PATTERN_NAMES` of an 8-bit ring of neighbours."""
    rotated = (code >> 1) | ((code & 1) << 7)
    changes = (code ^ rotated).bit_count()
    return code.bit_count() if changes <= 2 else len(PATTERN_NAMES) - 1


PATTERN_OF_CODE = np.array([_pattern(code) for code in range(256)])
