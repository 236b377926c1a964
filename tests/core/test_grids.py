from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slidearray.core.geometry import Pair, SlideShape, parse_mpp, tile_grid
from slidearray.core.grids import Grids, lay_grids
from slidearray.core.recipe import TileSpec
from slidearray.errors import SlideError

EDGES = st.integers(1, 3000) | st.integers(1, 10**9 - 1)
# Resolutions of scanners, of headers that are wrong, of doubles written out, on the tolerance.
SCANNED = ("0.25", "0.2525", "0.5", "0.4990", "0.495", "0.505", "0.50505050505050505", "0.2205704",
           "0.23387573964496999", "0.50260000000000005", "1", "20", "20.1", "0.05", "0.049", "0",
           "1e9")  # fmt: skip
MPPS = st.sampled_from(SCANNED) | st.decimals("0.05", "20", places=7).map(str)
TARGETS = st.sampled_from(["0.5", "0.25", "0.505", "0.50505", "1.0", "0.2525", "3.7"])


def pair(x: str, y: str) -> Pair:
    mpp = (parse_mpp(x), parse_mpp(y))
    assert mpp[0] is not None
    assert mpp[1] is not None
    return mpp[0], mpp[1]


@st.composite
def shapes(draw: st.DrawFn, levels: int) -> SlideShape:
    width, height = draw(EDGES), draw(EDGES)
    if draw(st.booleans()):  # a pyramid, as scanners write it: rounded down
        steps = draw(st.sampled_from([2, 3, 4]))
        sizes = [(max(1, width // steps**k), max(1, height // steps**k)) for k in range(levels)]
    else:
        sizes = [(width, height), *((draw(EDGES), draw(EDGES)) for _ in range(levels - 1))]
    x = draw(MPPS)
    mpp = draw(st.sampled_from([None, pair(x, x), pair(x, draw(MPPS))]))
    return SlideShape(level_dimensions=tuple(sizes), mpp=mpp)


@st.composite
def specs(draw: st.DrawFn) -> TileSpec:
    level = draw(st.none() | st.integers(0, 3))
    return TileSpec(
        tile_size=draw(st.sampled_from([1, 7, 224, 256, 16384, 20000])),
        stride=draw(st.sampled_from([1, 100, 224, 256, 10**6])),
        pad=draw(st.booleans()),
        level=level,
        mpp=Fraction(draw(TARGETS)) if level is None else None,
    )


def lay(slides: list[SlideShape], spec: TileSpec) -> Grids:
    levels = np.array([slide.level_dimensions for slide in slides], np.int64)
    return lay_grids(levels, [s.mpp for s in slides], np.arange(len(slides)), spec=spec)


@given(
    slides=st.integers(1, 3).flatmap(lambda k: st.lists(shapes(levels=k), min_size=1, max_size=5)),
    spec=specs(),
)
@example(  # a tile of exactly two level pixels a target pixel, and counts that end on the edge
    slides=[SlideShape(level_dimensions=((1024, 1023),), mpp=pair("0.25", "0.25"))],
    spec=TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2)),
)
@example(  # a level exactly one per cent too coarse is still taken
    slides=[SlideShape(level_dimensions=((2000, 2000),), mpp=pair("0.505", "0.505"))],
    spec=TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2)),
)
def test_all_grids_at_once_are_the_grids_one_by_one(
    slides: list[SlideShape], spec: TileSpec
) -> None:
    grids = lay(slides, spec)
    for k, slide in enumerate(slides):
        try:
            one = tile_grid(slide, spec)
        except SlideError:
            assert not grids.laid[k]
            continue
        assert grids.laid[k]
        assert grids.level[k] == one.level
        assert tuple(grids.extent[k]) == one.extent
        assert tuple(grids.counts[k]) == one.counts
        assert grids.tiles[k] == one.counts[0] * one.counts[1]


@pytest.mark.parametrize(
    "text", ["0.2205704", "0.23387573964496999", "0.2500000000000000000000000000000001"]
)
def test_numbers_beyond_64_bits_are_still_exact(text: str) -> None:
    slide = SlideShape(level_dimensions=((999_999_999, 999_999_998),), mpp=pair(text, text))
    spec = TileSpec(tile_size=224, stride=37, mpp=Fraction("0.7131"))
    grids = lay([slide], spec)
    assert grids.laid.all()
    assert tuple(grids.counts[0]) == tile_grid(slide, spec).counts


def test_no_slides_no_grids() -> None:
    spec = TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2))
    empty = np.empty((0, 2, 2), np.int64)
    assert len(lay_grids(empty, [None], np.empty(0, np.int64), spec=spec).tiles) == 0
