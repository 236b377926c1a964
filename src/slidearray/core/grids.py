"""The tile grids of many slides at once, with the very results of `geometry.tile_grid`.

Fractions take a hundred microseconds a slide. Here the same comparisons are made of whole numbers,
cross-multiplied, for all slides together: in 64 bits where every product fits, else in Python's own
integers. What no grid can be laid over is left to `tile_grid`, which says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.core.geometry import MAX_EXTENT, is_plausible
from slidearray.core.recipe import MPP_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from slidearray.core.geometry import Pair
    from slidearray.core.recipe import TileSpec

_EDGE = 10**9  # the area of a level with such edges fits 64 bits
_FITS = 2.0**61  # of 2^63, so that a sum of two still fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Grids:
    """The grids of n slides; what belongs to a slide without a grid means nothing."""

    laid: NDArray[np.bool_]  # (n,) False: ask `tile_grid`
    level: NDArray[np.int64]  # (n,) the level that is read
    extent: NDArray[np.int64]  # (n, 2) read-level pixels that a tile spans, (x, y)
    counts: NDArray[np.int64]  # (n, 2) tiles along x and along y

    @property
    def tiles(self) -> NDArray[np.int64]:
        """How many tiles each has, shape (n,)."""
        return np.asarray(self.counts.prod(axis=1), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    """Target pixels to level pixels as whole numbers: wanted scale ``n / d``, (rows, 2) each."""

    n: NDArray[Any]
    d: NDArray[Any]


def lay_grids(
    levels: NDArray[np.int64],
    mpp: Sequence[Pair | None],
    which: NDArray[np.int64],
    *,
    spec: TileSpec,
) -> Grids:
    """The grid of `spec` on every slide.

    Parameters
    ----------
    levels
        (n, k, 2) sizes ``(width, height)`` of each slide's k levels, level 0 first; no edge is 0.
    mpp
        Resolutions that occur, None for a slide without.
    which
        (n,) the entry of `mpp` that each slide has.
    spec
        Tiles asked for.
    """
    small = np.asarray((levels < _EDGE).all(axis=(1, 2)))
    if spec.mpp is None:
        return _on_level(levels, small, spec=spec)
    wanted = [_wanted(pair, spec.mpp) for pair in mpp]
    usable = np.array([each is not None for each in wanted], np.bool_)[which] & small
    table = np.array([each or (1, 1, 1, 1) for each in wanted], dtype=object)
    fits = _all_fit(levels, table, spec=spec)[which]
    grids = _none(len(levels))
    for rows, kind in ((usable & fits, np.int64), (usable & ~fits, object)):
        if rows.any():
            numbers = table[which[rows]].astype(kind)
            ratios = _Ratios(n=numbers[:, :2], d=numbers[:, 2:])
            _lay(grids, np.flatnonzero(rows), levels[rows], ratios=ratios, spec=spec)
    return grids


def _wanted(pair: Pair | None, target: Fraction) -> tuple[int, int, int, int] | None:
    """The scale asked for as (n_x, n_y, d_x, d_y); None without a plausible resolution."""
    if pair is None or not is_plausible(pair):
        return None
    x, y = (target / value for value in pair)
    return x.numerator, y.numerator, x.denominator, y.denominator


def _all_fit(
    levels: NDArray[np.int64], table: NDArray[Any], *, spec: TileSpec
) -> NDArray[np.bool_]:
    """For each entry of the table, whether its products with the largest slide fit 64 bits."""
    edge = float(levels.max(initial=1))
    tolerance = MPP_TOLERANCE.numerator + MPP_TOLERANCE.denominator
    factor = max(2 * edge + 2, tolerance, spec.tile_size, 2 * spec.stride)
    largest = np.array([float(max(entry)) if max(entry) < 2**63 else np.inf for entry in table])
    return np.asarray(largest * edge * factor < _FITS, np.bool_)


def _none(count: int) -> Grids:
    return Grids(
        laid=np.zeros(count, np.bool_),
        level=np.zeros(count, np.int64),
        extent=np.zeros((count, 2), np.int64),
        counts=np.zeros((count, 2), np.int64),
    )


def _on_level(levels: NDArray[np.int64], small: NDArray[np.bool_], *, spec: TileSpec) -> Grids:
    grids = _none(len(levels))
    level = spec.level or 0
    if level < levels.shape[1] and spec.tile_size <= MAX_EXTENT:
        grids.laid[:] = small
        grids.level[:] = level
        grids.extent[:] = spec.tile_size
        grids.counts[:] = _counts(levels[:, level], grids.extent, ratio=(1, 1), spec=spec)
    return grids


def _lay(
    grids: Grids,
    rows: NDArray[np.int64],
    levels: NDArray[np.int64],
    *,
    ratios: _Ratios,
    spec: TileSpec,
) -> None:
    """Fill in the grids of some rows, as `tile_grid` does for an mpp."""
    n, d = ratios.n, ratios.d
    sizes = levels.astype(n.dtype)
    part, whole = MPP_TOLERANCE.numerator, MPP_TOLERANCE.denominator
    # downsample = size of level 0 / size <= n / d * (1 + tolerance), on both axes
    eligible = _true(sizes[:, :1] * d[:, None] * whole <= sizes * n[:, None] * (whole + part))
    possible = eligible.all(axis=2)
    # The largest downsample is the smallest area; of equal ones the first.
    area = np.where(possible, levels[..., 0] * levels[..., 1], np.iinfo(np.int64).max)
    level = area.argmin(axis=1)
    size, base = sizes[np.arange(len(rows)), level], sizes[:, 0]
    over, under = size * n, base * d  # wanted scale / the level's own = over / under
    snapped = _true(np.abs(under - over) * whole <= over * part)
    ratio = (np.where(snapped, 1, over), np.where(snapped, 1, under))
    extent = _ceil(spec.tile_size * ratio[0], ratio[1])
    grids.laid[rows] = np.any(possible, axis=1) & np.all(_true(extent <= MAX_EXTENT), axis=1)
    grids.level[rows] = level
    grids.extent[rows] = np.minimum(extent, MAX_EXTENT)
    grids.counts[rows] = _counts(size, extent, ratio=ratio, spec=spec)


def _counts(
    size: NDArray[Any], extent: NDArray[Any], *, ratio: tuple[Any, Any], spec: TileSpec
) -> NDArray[Any]:
    """Tiles along each axis; `ratio` is read-level pixels per target pixel, over and under."""
    over, under = ratio
    if spec.pad:
        beyond = _ceil(size * under - spec.tile_size * over, spec.stride * over)
        return np.asarray(np.maximum(beyond, 0) + 1)
    room = size - extent
    return np.where(room < 0, 0, _ceil((2 * room + 1) * under, 2 * spec.stride * over))


def _true(compared: Any) -> NDArray[np.bool_]:
    """A comparison of whole numbers of any size, as an array of its own kind."""
    return np.asarray(compared, np.bool_)


def _ceil(over: Any, under: Any) -> Any:
    return -(-over // under)
