"""Slides that cannot give the resolution asked for, and mpp as text."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import SlideShape, parse_mpp, tile_grid
from slidearray.core.recipe import TileSpec
from slidearray.errors import SlideError


def failure_of(shape: SlideShape, spec: TileSpec) -> tuple[FailureClass, str]:
    with pytest.raises(SlideError) as caught:
        tile_grid(shape, spec)
    return caught.value.failure, caught.value.reason


AT_HALF = TileSpec(tile_size=10, stride=10, mpp=Fraction(1, 2))
ONE_LEVEL = SlideShape(level_dimensions=((100, 100),), mpp=None)


@pytest.mark.parametrize(
    ("mpp", "failure", "said"),
    [
        (None, FailureClass.MISSING_MPP, "manifest's mpp column"),
        (("0", "0"), FailureClass.IMPLAUSIBLE_MPP, "0 µm"),
        (("499", "499"), FailureClass.IMPLAUSIBLE_MPP, "499 µm"),
        (("0.0499", "0.0499"), FailureClass.IMPLAUSIBLE_MPP, "between 0.05 and 20"),
        (("0.25", "20.1"), FailureClass.IMPLAUSIBLE_MPP, "0.25 x 20.1"),
        (("25", "0.25"), FailureClass.IMPLAUSIBLE_MPP, "25 x 0.25"),
        (("0.5051", "0.5"), FailureClass.RESOLUTION_TOO_COARSE, "never upsampled"),
        (("0.5", "0.5051"), FailureClass.RESOLUTION_TOO_COARSE, "asks for 0.5"),
        (("20", "20"), FailureClass.RESOLUTION_TOO_COARSE, "20 µm"),
    ],
)
def test_a_slide_that_an_mpp_cannot_be_had_from_is_refused_by_class(
    mpp: tuple[str, str] | None, failure: FailureClass, said: str
) -> None:
    exact = None if mpp is None else (Fraction(mpp[0]), Fraction(mpp[1]))
    found, reason = failure_of(replace(ONE_LEVEL, mpp=exact), AT_HALF)
    assert found is failure
    assert said in reason


@pytest.mark.parametrize("mpp", [None, (Fraction(0), Fraction(0)), (Fraction(499), Fraction(1))])
def test_a_level_needs_no_mpp(mpp: tuple[Fraction, Fraction] | None) -> None:
    spec = TileSpec(tile_size=10, stride=10, level=0)
    assert tile_grid(replace(ONE_LEVEL, mpp=mpp), spec).counts == (10, 10)


def test_a_level_that_the_slide_has_not_is_a_bad_parameter() -> None:
    failure, reason = failure_of(ONE_LEVEL, TileSpec(tile_size=10, stride=10, level=1))
    assert failure is FailureClass.BAD_PARAMETERS
    assert "tiles.level is 1" in reason
    assert "last level is 0" in reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.25", Fraction(1, 4)),
        ("0.50260000000000005", Fraction(50260000000000005, 10**17)),
        ("0", Fraction(0)),
        ("0.0", Fraction(0)),
        ("499", Fraction(499)),
        ("1.", Fraction(1)),
        ("2.5E-1", Fraction(1, 4)),
        ("1e+2", Fraction(100)),
    ],
)
def test_an_mpp_is_the_exact_value_of_its_text(text: str, value: Fraction) -> None:
    assert parse_mpp(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        ".5",
        "0,25",
        "nan",
        "inf",
        "1/2",
        "1_0",
        " 1",
        "1\n",
        "٣",
        "0x1",
        "1e",
        "1e9999999999",
        "9" * 5000,
    ],
)
def test_what_is_no_plain_decimal_is_no_mpp(text: str) -> None:
    assert parse_mpp(text) is None


@given(st.decimals(min_value=0, max_value=1000, places=17))
def test_seventeen_digits_stay_seventeen_digits(value: object) -> None:
    assert parse_mpp(f"{value:f}") == Fraction(str(value))


def test_a_tile_that_would_not_fit_into_memory_is_refused_with_what_to_ask_for() -> None:
    shape = SlideShape(
        level_dimensions=((200_000, 200_000),), mpp=(Fraction("0.05"), Fraction("0.05"))
    )
    with pytest.raises(SlideError, match=r"102400 pixels .* 16384 are possible") as caught:
        tile_grid(shape, TileSpec(tile_size=256, stride=256, mpp=Fraction(20)))
    assert caught.value.failure is FailureClass.BAD_PARAMETERS
