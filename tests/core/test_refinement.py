from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.cost import BASE_MEGABYTES, Costs
from slidearray.core.refinement import LEAST_SLIDES, Observed, refine


def observed(
    ratio: float, *, seconds: float = 100.0, base_mb: float | None = 300.0, times: int = 1
) -> list[Observed]:
    return [Observed(model_s=seconds, real_s=ratio * seconds, base_mb=base_mb)] * times


def test_few_slides_teach_nothing() -> None:
    assert refine(observed(2.0, times=LEAST_SLIDES - 1)) is None
    assert refine(observed(2.0, seconds=0.0, times=LEAST_SLIDES)) is None


def test_slides_that_all_took_twice_as_long_double_the_prediction() -> None:
    made = refine(observed(2.0, times=LEAST_SLIDES))
    assert made is not None
    assert (made.factor, made.slides) == (2.0, LEAST_SLIDES)
    costs = made.applied(Costs(seconds=np.array([5.0]), megabytes=np.array([BASE_MEGABYTES + 7])))
    assert costs.seconds.tolist() == [10.0]
    assert costs.megabytes.tolist() == [300 + 7]


def test_a_slide_that_hung_changes_nothing() -> None:
    made = refine([*observed(1.5, times=30), *observed(500.0)])
    assert made is not None
    assert made.factor == 1.5


def test_many_short_slides_do_not_decide_for_the_long_ones() -> None:
    made = refine([*observed(0.1, seconds=2.0, times=40), *observed(1.2, seconds=600.0, times=10)])
    assert made is not None
    assert made.factor == 1.2


@given(st.lists(st.floats(0.01, 100), min_size=LEAST_SLIDES, max_size=40))
def test_the_factor_is_one_of_those_seen_with_half_of_the_time_on_either_side(
    ratios: list[float],
) -> None:
    made = refine([slide for ratio in ratios for slide in observed(ratio)])
    assert made is not None
    below = sum(slide.real_s / slide.model_s < made.factor for r in ratios for slide in observed(r))
    above = sum(slide.real_s / slide.model_s > made.factor for r in ratios for slide in observed(r))
    assert max(below, above) <= len(ratios) / 2


def test_memory_is_enough_for_nearly_all_and_not_for_one_that_went_astray() -> None:
    made = refine([*observed(1, base_mb=400.2, times=96), *observed(1, base_mb=9000.0, times=4)])
    assert made is not None
    assert made.base_megabytes == 401
    made = refine([*observed(1, base_mb=400.0, times=90), *observed(1, base_mb=900.0, times=10)])
    assert made is not None
    assert made.base_megabytes == 900


@pytest.mark.parametrize("told", [0, LEAST_SLIDES - 1])
def test_where_too_few_told_their_memory_the_model_keeps_its_own(told: int) -> None:
    made = refine([*observed(1, times=told), *observed(1, base_mb=None, times=LEAST_SLIDES)])
    assert made is not None
    assert made.base_megabytes == BASE_MEGABYTES
