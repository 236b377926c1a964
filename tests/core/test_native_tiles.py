from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.native_tiles import NativeGrid, reading_order

EDGES = st.integers(1, 60)
PAIRS = st.tuples(EDGES, EDGES)


@st.composite
def levels(draw: st.DrawFn) -> NativeGrid:
    size, tile = draw(PAIRS), draw(st.tuples(st.integers(1, 25), st.integers(1, 25)))
    more = draw(st.integers(0, 1))  # Philips: native tiles beyond the level
    return NativeGrid(level_size=size, tile=tile, columns=-(-size[0] // tile[0]) + more)


def owners(native: NativeGrid) -> np.ndarray:
    """The native tile of every pixel of a level."""
    width, height = native.level_size
    rows, columns = np.arange(height) // native.tile[1], np.arange(width) // native.tile[0]
    return np.add.outer(rows * native.columns, columns)


def used(native: NativeGrid, corner: tuple[int, int], size: tuple[int, int]) -> set[int]:
    """Native tiles of a region, pixel by pixel."""
    x, y = max(corner[0], 0), max(corner[1], 0)
    end = (max(corner[0] + size[0], 0), max(corner[1] + size[1], 0))
    return set(owners(native)[y : end[1], x : end[0]].reshape(-1).tolist())


@given(levels(), st.tuples(st.integers(-30, 70), st.integers(-30, 70)), PAIRS)
def test_a_region_covers_the_native_tiles_of_its_pixels(
    native: NativeGrid, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    columns, rows = native.covered(corner, size)
    covered = {row * native.columns + column for row in rows for column in columns}
    assert covered == used(native, corner, size)


@given(levels(), PAIRS, PAIRS, st.integers(0, 80_000))
def test_what_is_kept_is_used_again_and_stays_within_the_budget(
    native: NativeGrid, size: tuple[int, int], step: tuple[int, int], budget: int
) -> None:
    width, height = native.level_size
    corners = np.array(
        [(x, y) for y in range(0, height, step[1]) for x in range(0, width, step[0])]
    )
    plan = reading_order(native, corners=corners, size=size, budget_bytes=budget)
    assert sorted(plan.order.tolist()) == list(range(len(corners)))
    leaving = list(zip(plan.needed_until.tolist(), plan.leaving.tolist(), strict=True))
    assert leaving == sorted(leaving, key=lambda each: each[0])
    held: set[int] = set()
    everything: set[int] = set()
    decoded = most = 0
    for place, index in enumerate(plan.order.tolist()):
        x, y = corners[index].tolist()
        new = used(native, (x, y), size) - held
        decoded += len(new)
        held |= new
        everything |= new
        most = max(most, len(held))
        held -= {tile for until, tile in leaving if until == place}
    assert held == set()
    least = int(np.prod([(2 * e + t - 2) // t + 1 for e, t in zip(size, native.tile, strict=True)]))
    assert most * native.tile[0] * native.tile[1] * 3 <= max(
        budget, least * native.tile[0] * native.tile[1] * 3
    )
    assert decoded == len(leaving)
    rows_px, columns_px = 2 * native.tile[1] + size[1], width + 3 * native.tile[0] + size[0]
    if budget >= 3 * rows_px * columns_px:  # all of a row fits
        assert decoded == len(everything)
        assert (np.diff(plan.order) > 0).all()


def test_a_level_that_fits_is_read_row_by_row() -> None:
    native = NativeGrid(level_size=(60_000, 2_000), tile=(256, 256), columns=235)
    corners = np.array([(x, y) for y in range(0, 1500, 256) for x in range(0, 59_000, 256)])
    plan = reading_order(native, corners=corners, size=(256, 256), budget_bytes=100_000_000)
    assert plan.order.tolist() == list(range(len(corners)))
    narrow = reading_order(native, corners=corners, size=(256, 256), budget_bytes=10_000_000)
    assert narrow.order.tolist() != list(range(len(corners)))


def test_no_regions_need_nothing() -> None:
    native = NativeGrid(level_size=(10, 10), tile=(4, 4), columns=3)
    plan = reading_order(native, corners=np.empty((0, 2), np.int64), size=(4, 4), budget_bytes=0)
    assert len(plan.order) == len(plan.leaving) == 0
