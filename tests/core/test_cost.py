from __future__ import annotations

from dataclasses import replace

import pytest

from slidearray.core.cost import BASE_MEGABYTES, SLIDE_SECONDS, Cost, predict

TILE = 256 * 256


def cost(*, target: int | None = 0, read: int | None = 0, size: int = 0, dim: int = 100) -> Cost:
    return predict(
        target_pixels=target, read_pixels=read, size_bytes=size, tile_pixels=TILE, feature_dim=dim
    )


def test_a_slide_read_at_the_target_resolution_makes_500_tiles_a_second() -> None:
    made = cost(target=5_000 * TILE, read=5_000 * TILE)
    assert made.seconds - SLIDE_SECONDS == pytest.approx(10, rel=0.01)


def test_reading_a_finer_level_costs_by_its_pixels() -> None:
    level, finer = (cost(target=850 * TILE, read=n * 850 * TILE) for n in (1, 4))
    assert finer.seconds - level.seconds == pytest.approx(3)


def test_a_slide_without_tiles_still_takes_its_time_and_memory() -> None:
    assert cost() == Cost(seconds=SLIDE_SECONDS, megabytes=BASE_MEGABYTES)


def test_memory_is_the_base_and_the_features_rounded_up() -> None:
    assert cost(target=10_000 * TILE, dim=1_024).megabytes == BASE_MEGABYTES + 41
    assert cost(target=TILE, dim=1).megabytes == BASE_MEGABYTES + 1


def test_the_size_of_the_files_speaks_only_where_the_header_does_not() -> None:
    assert cost(target=TILE, read=TILE, size=10**9) == cost(target=TILE, read=TILE)
    small, large = (cost(target=None, read=None, size=size) for size in (10**8, 10**9))
    assert (large.seconds - SLIDE_SECONDS) == pytest.approx(10 * (small.seconds - SLIDE_SECONDS))
    assert replace(small, megabytes=0) != replace(large, megabytes=0)
