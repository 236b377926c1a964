"""Where the tiles of a slide lie, in exact arithmetic.

Three frames: level-0 pixels (``l0_``), pixels of the level that is read, pixels at the target
resolution. A read-level pixel spans `downsample` level-0 pixels, a target pixel `scale` of them.
No float takes part: fractions such as 0.50260000000000005 / 0.5026 differ from 1 by less than a
float of their products could tell.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.core.recipe import MPP_TOLERANCE
from slidearray.errors import SlideError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slidearray.core.recipe import TileSpec

Pair = tuple[Fraction, Fraction]  # x, y

#: Read-level pixels of one tile along an axis: three bytes each of 16384 squared are 0.8 GB.
MAX_EXTENT = 16384
#: What magnification M means: 10/M micrometres per pixel.
MPP_AT_1X = 10
MPP_MIN, MPP_MAX = Fraction(1, 20), Fraction(20)  # of level 0; beyond it a header is wrong
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_DECIMAL_CHARACTERS = 100  # of hostile text: int() refuses 4300 digits, exact fractions get slow


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideShape:
    """What geometry needs to know of a slide."""

    level_dimensions: tuple[tuple[int, int], ...]  # (width, height) in pixels, level 0 first
    mpp: tuple[Fraction, Fraction] | None  # micrometres per level-0 pixel, (x, y)

    def downsample(self, level: int) -> Pair:
        """Level-0 pixels per pixel of `level`, (x, y)."""
        (w0, h0), (w, h) = self.level_dimensions[0], self.level_dimensions[level]
        return Fraction(w0, w), Fraction(h0, h)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """The tiles of one slide."""

    level: int  # the level that is read
    level_size: tuple[int, int]  # its (width, height), in its pixels
    downsample: Pair  # level-0 pixels per read-level pixel
    scale: Pair  # level-0 pixels per target pixel
    tile_size: int  # target pixels
    stride: int  # target pixels
    extent: tuple[int, int]  # read-level pixels that a tile spans, (x, y)
    counts: tuple[int, int]  # tiles along x and along y

    @property
    def resampled(self) -> bool:
        """Whether the pixels read have to be averaged down to `tile_size`."""
        return self.scale != self.downsample

    @property
    def l0_tile_size(self) -> int:
        """Level-0 pixels that a tile spans, of the axis where it spans more."""
        return max(math.ceil(e * d) for e, d in zip(self.extent, self.downsample, strict=True))

    def corners(self) -> NDArray[np.int64]:
        """Top-left corners of all tiles.

        Returns
        -------
        (n, 2) int64 array
            ``(x, y)`` in read-level pixels, row by row.
        """
        xs, ys = (self._axis_corners(axis) for axis in (0, 1))
        return np.stack([np.tile(xs, len(ys)), np.repeat(ys, len(xs))], axis=1)

    def l0_coords(self, corners: NDArray[np.int64]) -> NDArray[np.int32]:
        """The level-0 pixels nearest to read-level corners.

        Parameters
        ----------
        corners
            (n, 2) int64, ``(x, y)`` in read-level pixels.

        Returns
        -------
        (n, 2) int32 array
            ``(x, y)`` in level-0 pixels, in the same order.
        """
        l0 = np.empty(corners.shape, dtype=np.int32)
        for axis, d in enumerate(self.downsample):
            distinct, inverse = np.unique(corners[:, axis], return_inverse=True)
            nearest = [_nearest(c * d) for c in distinct.tolist()]
            l0[:, axis] = np.array(nearest, dtype=np.int32)[inverse]
        return l0

    def _axis_corners(self, axis: int) -> NDArray[np.int64]:
        step = self.stride * self.scale[axis] / self.downsample[axis]
        return np.array([_nearest(i * step) for i in range(self.counts[axis])], dtype=np.int64)


def tile_grid(shape: SlideShape, spec: TileSpec) -> TileGrid:
    """The grid of `spec` on a slide.

    Raises
    ------
    SlideError
        `bad_parameters` (no such level, or too large a tile), `missing_mpp`, `implausible_mpp`
        (both only where `spec` asks for an mpp) or `resolution_too_coarse` (level 0 is: nothing
        is ever upsampled).
    """
    if spec.mpp is None:
        level, scale = _fixed_level(shape, spec.level or 0)
    else:
        level, scale = _level_for_mpp(shape, spec.mpp)
    downsample, size = shape.downsample(level), shape.level_dimensions[level]
    extents, counts = [], []
    for axis in (0, 1):
        ratio = scale[axis] / downsample[axis]
        extents.append(_extent(spec, ratio))
        counts.append(
            _padded_count(spec, size[axis] / ratio)
            if spec.pad
            else _inside_count(size[axis] - extents[axis], step=spec.stride * ratio)
        )
    return TileGrid(
        level=level,
        level_size=size,
        downsample=downsample,
        scale=scale,
        tile_size=spec.tile_size,
        stride=spec.stride,
        extent=(extents[0], extents[1]),
        counts=(counts[0], counts[1]),
    )


def parse_mpp(text: str) -> Fraction | None:
    """The exact value of a plain decimal; None where `text` is none, or has over 100 characters.

    Zero is returned as such, so that it can be called implausible.

    Examples
    --------
    >>> parse_mpp("0.25"), parse_mpp("5e-1"), parse_mpp("0,25")
    (Fraction(1, 4), Fraction(1, 2), None)
    """
    if len(text) > _DECIMAL_CHARACTERS or not _DECIMAL.fullmatch(text):
        return None
    return Fraction(text)


def _extent(spec: TileSpec, ratio: Fraction) -> int:
    """Read-level pixels of a tile along one axis."""
    extent = math.ceil(spec.tile_size * ratio)
    if extent > MAX_EXTENT:
        raise SlideError(
            FailureClass.BAD_PARAMETERS,
            f"a tile would span {extent} pixels of the level that is read, {MAX_EXTENT} are "
            "possible: ask for a finer mpp, or for a smaller tile_size",
        )
    return extent


def _fixed_level(shape: SlideShape, level: int) -> tuple[int, Pair]:
    last = len(shape.level_dimensions) - 1
    if level > last:
        raise SlideError(
            FailureClass.BAD_PARAMETERS,
            f"tiles.level is {level}, the slide's last level is {last}: "
            "ask for a lower level, or for an mpp",
        )
    return level, shape.downsample(level)


def _level_for_mpp(shape: SlideShape, target: Fraction) -> tuple[int, Pair]:
    """The read level and the scale: the coarsest level that is not coarser than asked."""
    mpp = _plausible_mpp(shape)
    wanted = (target / mpp[0], target / mpp[1])
    eligible = [
        k
        for k in range(len(shape.level_dimensions))
        if all(
            d <= s * (1 + MPP_TOLERANCE) for d, s in zip(shape.downsample(k), wanted, strict=True)
        )
    ]
    if not eligible:
        raise SlideError(
            FailureClass.RESOLUTION_TOO_COARSE,
            f"the slide has {_text(mpp)} µm per pixel at its finest level, "
            f"tiles.mpp asks for {float(target):g}: slides are never upsampled",
        )
    level = max(eligible, key=lambda k: (math.prod(shape.downsample(k)), -k))
    own = shape.downsample(level)
    return level, (_snapped(wanted[0], own[0]), _snapped(wanted[1], own[1]))


def too_many_invalid(invalid: int, *, tiles: int, allowed: float) -> bool:
    """Whether more than a share of a slide's tiles cannot be read.

    Examples
    --------
    >>> too_many_invalid(29, tiles=100, allowed=0.29), too_many_invalid(1, tiles=100, allowed=0)
    (False, True)
    """
    return invalid > allowed * tiles + 1e-9


def is_plausible(mpp: Pair) -> bool:
    """Whether a level 0 of such micrometres per pixel exists."""
    return all(MPP_MIN <= value <= MPP_MAX for value in mpp)


def _plausible_mpp(shape: SlideShape) -> Pair:
    if shape.mpp is None:
        raise SlideError(
            FailureClass.MISSING_MPP,
            "the header has no micrometres per pixel: give them in the manifest's mpp column, "
            "or ask for a level",
        )
    if not is_plausible(shape.mpp):
        raise SlideError(
            FailureClass.IMPLAUSIBLE_MPP,
            f"{_text(shape.mpp)} µm per pixel, between {float(MPP_MIN):g} and {float(MPP_MAX):g} "
            "is plausible: give the right value in the manifest's mpp column",
        )
    return shape.mpp


def _snapped(wanted: Fraction, own: Fraction) -> Fraction:
    """The level's own scale where it is close enough; each axis by itself, so none is upsampled."""
    return own if abs(own - wanted) <= MPP_TOLERANCE * wanted else wanted


def _inside_count(room: int, *, step: Fraction) -> int:
    """How many corners floor(i * step + 1/2), i = 0, 1, ..., are at most `room`."""
    return 0 if room < 0 else math.ceil((room + Fraction(1, 2)) / step)


def _padded_count(spec: TileSpec, length: Fraction) -> int:
    """How many tiles reach the end of an axis of `length` target pixels."""
    return max(0, math.ceil((length - spec.tile_size) / spec.stride)) + 1


def _nearest(value: Fraction) -> int:
    """floor(value + 1/2), without making another fraction."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _text(mpp: Pair) -> str:
    x, y = (f"{float(value):g}" for value in mpp)
    return x if x == y else f"{x} x {y}"
