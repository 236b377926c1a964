"""The grid against an oracle that paints, counts and searches, and never divides to a count."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import count, product, takewhile
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import SlideShape, TileGrid, tile_grid
from slidearray.core.recipe import TileSpec
from slidearray.errors import SlideError

# OpenSlide prints what a header's float holds: 17 digits.
MPP_TEXTS = ["0.25", "0.50260000000000005", "0.49900000000000000", "0.23250699999999999", "1.001"]
ODD = Fraction("0.50260000000000005")


class Axis(NamedTuple):
    """What the oracle says of one axis."""

    extent: int  # read-level px
    corners: list[int]  # read-level px
    l0: list[int]


def smallest(start: int, *, at_least: Fraction) -> int:
    """The first integer from `start` on that reaches `at_least`."""
    return next(n for n in count(start) if n >= at_least)


def nearest(value: Fraction) -> int:
    """The integer nearest to `value`, the larger one of two."""
    around = range(int(value) - 2, int(value) + 3)
    return min(around, key=lambda n: (abs(n - value), -n))


def oracle_level(shape: SlideShape, spec: TileSpec) -> tuple[int, list[tuple[Fraction, Fraction]]]:
    """The read level, and (downsample, scale) of each axis."""
    sizes = shape.level_dimensions
    downsamples = [[Fraction(sizes[0][a], size[a]) for a in (0, 1)] for size in sizes]
    if spec.level is not None:
        return spec.level, [(d, d) for d in downsamples[spec.level]]
    assert spec.mpp is not None
    assert shape.mpp is not None
    wanted = [spec.mpp / shape.mpp[a] for a in (0, 1)]
    best = None
    for k, d in enumerate(downsamples):
        fits = all(100 * d[a] <= 101 * wanted[a] for a in (0, 1))
        if fits and (best is None or d[0] * d[1] > downsamples[best][0] * downsamples[best][1]):
            best = k
    if best is None:
        raise LookupError
    own = downsamples[best]
    close = [99 * wanted[a] <= 100 * own[a] <= 101 * wanted[a] for a in (0, 1)]
    return best, [(own[a], own[a] if close[a] else wanted[a]) for a in (0, 1)]


def oracle_axis(size: int, spec: TileSpec, *, d: Fraction, s: Fraction) -> Axis:
    """One axis of the grid, tile after tile."""
    extent = smallest(spec.tile_size, at_least=spec.tile_size * s / d)
    ideal = (i * spec.stride * s / d for i in count())
    if spec.pad:
        corners = []
        for i in count():
            corners.append(nearest(next(ideal)))
            if i * spec.stride + spec.tile_size >= size * d / s:
                break
    else:
        corners = list(takewhile(lambda c: c + extent <= size, map(nearest, ideal)))
    return Axis(extent, corners, [nearest(c * d) for c in corners])


def assert_is_the_oracle_s(grid: TileGrid, shape: SlideShape, spec: TileSpec) -> None:
    level, axes = oracle_level(shape, spec)
    size = shape.level_dimensions[level]
    x, y = (oracle_axis(size[a], spec, d=axes[a][0], s=axes[a][1]) for a in (0, 1))
    assert (grid.level, grid.level_size) == (level, size)
    assert list(zip(grid.downsample, grid.scale, strict=True)) == axes
    assert grid.extent == (x.extent, y.extent)
    assert grid.counts == (len(x.corners), len(y.corners))
    corners = grid.corners()
    assert corners.tolist() == [[cx, cy] for cy in y.corners for cx in x.corners]
    assert grid.l0_coords(corners).tolist() == [[lx, ly] for ly in y.l0 for lx in x.l0]
    reach = max(e * d for e, d in zip(grid.extent, grid.downsample, strict=True))
    assert grid.l0_tile_size == smallest(1, at_least=reach)


@st.composite
def shapes(draw: st.DrawFn) -> SlideShape:
    """Slides of up to four levels whose downsamples are anything but whole numbers."""
    sizes = [(draw(st.integers(1, 150)), draw(st.integers(1, 150)))]
    for _ in range(draw(st.integers(0, 3))):
        w, h = sizes[-1]
        sizes.append((draw(st.integers(max(1, w // 4), w)), draw(st.integers(max(1, h // 4), h))))
    texts = st.sampled_from(MPP_TEXTS)
    x = Fraction(draw(texts))
    return SlideShape(
        level_dimensions=tuple(sizes), mpp=(x, draw(st.just(x) | texts.map(Fraction)))
    )


@st.composite
def grids(draw: st.DrawFn, *, covering: bool = False) -> tuple[SlideShape, TileSpec]:
    """A slide and tiles that may be larger than it, at a level or at an mpp."""
    shape = draw(shapes())
    tile_size = draw(st.integers(1, 200))
    by_level = st.integers(0, len(shape.level_dimensions) - 1).map(lambda k: (k, None))
    near = st.sampled_from(
        ["0.985", "0.99", "0.999", "1", "1.005", "1.01", "1.0100001", "1.7", "4"]
    )
    k = draw(st.integers(0, len(shape.level_dimensions) - 1))
    assert shape.mpp is not None
    own = shape.mpp[0] * shape.downsample(k)[0]
    by_mpp = near.map(lambda factor: (None, own * Fraction(factor)))
    by_text = st.sampled_from(MPP_TEXTS).map(lambda text: (None, Fraction(text)))
    level, mpp = draw(by_level | by_mpp | by_text)
    spec = TileSpec(
        tile_size=tile_size,
        stride=draw(st.integers(1, tile_size if covering else 250)),
        pad=covering or draw(st.booleans()),
        level=level,
        mpp=mpp,
    )
    return shape, spec


@pytest.mark.parametrize("ratio", ["1", "1.00000000000000005", "1.02", "1.5", "1.7", "2", "3.1"])
@pytest.mark.parametrize("pad", [False, True])
def test_every_small_grid_is_the_one_that_brute_force_finds(ratio: str, pad: bool) -> None:
    mpp = (Fraction(1), Fraction(1))
    for size, tile_size, stride in product(range(1, 24), range(1, 7), range(1, 9)):
        shape = SlideShape(level_dimensions=((size, 2 * size),), mpp=mpp)
        spec = TileSpec(tile_size=tile_size, stride=stride, pad=pad, mpp=Fraction(ratio))
        assert_is_the_oracle_s(tile_grid(shape, spec), shape, spec)


@settings(max_examples=400, deadline=None)
@given(grids())
def test_the_grid_is_the_one_that_brute_force_finds(case: tuple[SlideShape, TileSpec]) -> None:
    shape, spec = case
    try:
        oracle_level(shape, spec)
    except LookupError:
        with pytest.raises(SlideError) as caught:
            tile_grid(shape, spec)
        assert caught.value.failure is FailureClass.RESOLUTION_TOO_COARSE
        return
    assert_is_the_oracle_s(tile_grid(shape, spec), shape, spec)


@settings(max_examples=300, deadline=None)
@given(grids(covering=True))
def test_padded_tiles_no_further_apart_than_their_size_cover_every_level0_pixel(
    case: tuple[SlideShape, TileSpec],
) -> None:
    grid = grid_or_none(*case)
    assume(grid is not None)
    assert grid is not None
    corners = grid.corners()
    l0 = grid.l0_coords(corners)
    for axis in (0, 1):
        read = painted(corners[:, axis], grid.extent[axis], size=grid.level_size[axis])
        assert read.all()
        level0 = case[0].level_dimensions[0][axis]
        assert painted(l0[:, axis], grid.l0_tile_size, size=level0).all()


def grid_or_none(shape: SlideShape, spec: TileSpec) -> TileGrid | None:
    try:
        return tile_grid(shape, spec)
    except SlideError:
        return None


def painted(starts: np.ndarray, length: int, *, size: int) -> np.ndarray:
    """Which pixels of an axis lie in some tile."""
    covered = np.zeros(size, dtype=bool)
    for start in starts.tolist():
        covered[start : start + length] = True
    return covered


@settings(max_examples=200, deadline=None)
@given(grids())
def test_without_padding_every_tile_lies_wholly_inside(case: tuple[SlideShape, TileSpec]) -> None:
    shape, spec = case
    grid = grid_or_none(shape, replace(spec, pad=False))
    assume(grid is not None)
    assert grid is not None
    corners = grid.corners()
    assert (corners >= 0).all()
    assert (corners + grid.extent <= grid.level_size).all()


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(60_000, 400_000),
    share=st.fractions(min_value=Fraction(2), max_value=Fraction(40), max_denominator=10**6),
    mpp=st.sampled_from(MPP_TEXTS),
    stride=st.integers(100, 700),
    pad=st.booleans(),
)
def test_no_corner_drifts_from_its_ideal_position_on_a_large_slide(
    width: int, share: Fraction, mpp: str, stride: int, pad: bool
) -> None:
    shape = SlideShape(
        level_dimensions=((width, 5_003), (round(width / share), round(5_003 / share))),
        mpp=(ODD, ODD),
    )
    spec = TileSpec(tile_size=224, stride=stride, mpp=Fraction(mpp) * 30, pad=pad)
    grid = tile_grid(shape, spec)
    corners = grid.corners()
    for axis in (0, 1):
        step = stride * grid.scale[axis] / grid.downsample[axis]
        for i, corner in enumerate(sorted(set(corners[:, axis].tolist()))):
            assert abs(corner - i * step) <= Fraction(1, 2)
    for axis, d in enumerate(grid.downsample):
        l0 = grid.l0_coords(corners)[:, axis].tolist()
        for corner, position in set(zip(corners[:, axis].tolist(), l0, strict=True)):
            assert abs(position - corner * d) <= Fraction(1, 2)


def test_a_slide_read_at_level_0_has_tiles_side_by_side() -> None:
    shape = SlideShape(level_dimensions=((10, 7),), mpp=None)
    grid = tile_grid(shape, TileSpec(tile_size=4, stride=3, level=0))
    assert grid.corners().tolist() == [[0, 0], [3, 0], [6, 0], [0, 3], [3, 3], [6, 3]]
    assert grid.corners().dtype == np.int64
    assert grid.l0_coords(grid.corners()).dtype == np.int32
    assert not grid.resampled
    assert grid.l0_tile_size == 4
    assert grid.counts == (3, 2)


def test_padding_adds_the_tiles_that_reach_the_far_edges() -> None:
    shape = SlideShape(level_dimensions=((11, 7),), mpp=None)
    spec = TileSpec(tile_size=4, stride=4, level=0)
    assert tile_grid(shape, spec).counts == (2, 1)
    assert tile_grid(shape, replace(spec, pad=True)).counts == (3, 2)
    assert tile_grid(shape, replace(spec, tile_size=50, pad=True)).counts == (1, 1)
    assert tile_grid(shape, replace(spec, tile_size=50)).corners().shape == (0, 2)


def test_a_slide_without_room_has_no_coordinates_and_no_error() -> None:
    grid = tile_grid(
        SlideShape(level_dimensions=((3, 900),), mpp=None),
        TileSpec(tile_size=4, stride=4, level=0),
    )
    assert grid.counts == (0, 225)
    assert grid.l0_coords(grid.corners()).shape == (0, 2)


def test_a_fractional_level_gives_the_level0_pixel_nearest_to_each_corner() -> None:
    shape = SlideShape(level_dimensions=((4443, 3567), (2220, 1783)), mpp=None)  # 2.0014 x 2.0006
    grid = tile_grid(shape, TileSpec(tile_size=256, stride=256, level=1))
    assert grid.counts == (8, 6)
    l0 = grid.l0_coords(grid.corners())
    assert l0[:8, 0].tolist() == [0, 512, 1025, 1537, 2049, 2562, 3074, 3586]
    assert sorted(set(l0[:, 1].tolist())) == [0, 512, 1024, 1536, 2049, 2561]
    assert grid.l0_tile_size == 513


def test_an_mpp_between_levels_is_averaged_down_from_the_finer_one() -> None:
    quarter = Fraction(1, 4)
    shape = SlideShape(level_dimensions=((4000, 4000), (1000, 1000)), mpp=(quarter, quarter))
    grid = tile_grid(shape, TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2)))
    assert (grid.level, grid.extent, grid.counts) == (0, (512, 512), (7, 7))
    assert grid.resampled
    coarse = tile_grid(shape, TileSpec(tile_size=256, stride=256, mpp=Fraction(2)))
    assert (coarse.level, coarse.extent, coarse.counts) == (1, (512, 512), (1, 1))


@pytest.mark.parametrize(
    ("mpp", "resampled"),
    [("0.4976", True), ("0.4977", False), ("0.5", False), ("0.5076", False), ("0.5077", True)],
)
def test_within_one_percent_a_level_is_taken_as_it_is(mpp: str, resampled: bool) -> None:
    shape = SlideShape(level_dimensions=((2000, 2000), (1000, 1000)), mpp=(ODD / 2, ODD / 2))
    grid = tile_grid(shape, TileSpec(tile_size=100, stride=100, mpp=Fraction(mpp)))
    assert grid.level == (0 if mpp == "0.4976" else 1)
    assert grid.resampled is resampled
    assert (grid.scale == grid.downsample) is not resampled


@pytest.mark.parametrize("mpp", ["0.99", "1.01"])
def test_one_percent_is_still_within_one_percent(mpp: str) -> None:
    shape = SlideShape(level_dimensions=((500, 500),), mpp=(Fraction(mpp), Fraction(mpp)))
    grid = tile_grid(shape, TileSpec(tile_size=100, stride=100, mpp=Fraction(1)))
    assert grid.scale == (Fraction(1), Fraction(1))


def test_unequal_axes_are_scaled_apart_and_neither_is_upsampled() -> None:
    shape = SlideShape(level_dimensions=((1000, 1000),), mpp=(Fraction("0.503"), Fraction("0.25")))
    grid = tile_grid(shape, TileSpec(tile_size=100, stride=100, mpp=Fraction(1, 2)))
    assert grid.scale == (Fraction(1), Fraction(2))
    assert grid.extent == (100, 200)
    assert grid.counts == (10, 5)
    assert grid.l0_tile_size == 200
    assert grid.resampled


def test_a_level_of_the_same_size_twice_is_read_from_the_first() -> None:
    shape = SlideShape(level_dimensions=((100, 100), (100, 100)), mpp=(ODD, ODD))
    assert tile_grid(shape, TileSpec(tile_size=10, stride=10, mpp=Fraction(1))).level == 0
