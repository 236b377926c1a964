from __future__ import annotations

import numpy as np
import pytest

from slidearray.core.cost import BASE_MEGABYTES, SLIDE_SECONDS, Costs, kept_share, predict
from slidearray.core.recipe import TissueSpec

TILE = 256 * 256


def cost(*, target: float = 0, read: float = 0, share: float = 1, dim: int = 100) -> Costs:
    return predict(
        target_pixels=np.array([target], float),
        read_pixels=np.array([read], float),
        share=np.array([share], float),
        tile_pixels=TILE,
        feature_dim=dim,
    )


def test_a_slide_read_at_the_target_resolution_makes_500_tiles_a_second() -> None:
    made = cost(target=5_000 * TILE, read=5_000 * TILE)
    assert made.seconds[0] - SLIDE_SECONDS == pytest.approx(10, rel=0.01)


def test_reading_a_finer_level_costs_by_its_pixels() -> None:
    level, finer = (cost(target=850 * TILE, read=n * 850 * TILE) for n in (1, 4))
    assert finer.seconds[0] - level.seconds[0] == pytest.approx(3)


def test_a_slide_without_tiles_still_takes_its_time_and_memory() -> None:
    made = cost()
    assert (made.seconds[0], made.megabytes[0]) == (SLIDE_SECONDS, BASE_MEGABYTES)


def test_memory_is_the_base_and_the_features_rounded_up() -> None:
    assert cost(target=10_000 * TILE, dim=1_024).megabytes[0] == BASE_MEGABYTES + 41
    assert cost(target=TILE, dim=1).megabytes[0] == BASE_MEGABYTES + 1


def test_glass_takes_no_time_and_memory_is_for_a_slide_full_of_tissue() -> None:
    full, half = (cost(target=850 * TILE, read=850 * TILE, share=share) for share in (1, 0.5))
    assert 2 * (half.seconds[0] - SLIDE_SECONDS) == pytest.approx(full.seconds[0] - SLIDE_SECONDS)
    assert half.megabytes[0] == full.megabytes[0]


@pytest.mark.parametrize(
    ("method", "min_coverage", "kept"),
    [("otsu", 0.5, 0.25), ("otsu", 0.0, 1.0), ("none", 0.5, 1.0)],
)
def test_tiles_are_kept_by_tissue_only_where_the_recipe_asks_for_it(
    method: str, min_coverage: float, kept: float
) -> None:
    spec = TissueSpec(method=method, min_coverage=min_coverage)
    assert kept_share(np.array([0.25]), spec).tolist() == [kept]
