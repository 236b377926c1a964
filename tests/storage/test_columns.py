from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.storage.columns import column_array


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1.5", "2"], [1.5, 2.0]),
        (["1", ""], [1.0, np.nan]),
        (["0.50", "0.1"], [0.5, 0.1]),
    ],
)
def test_numbers_become_numbers(cells: list[str], expected: list[float]) -> None:
    column = column_array(cells)
    assert column is not None
    assert column.dtype == np.array(expected).dtype
    np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize(
    "cells",
    [
        ["0012"],
        ["1e5"],
        ["NA", "1"],
        ["nan"],
        ["inf"],
        ["", ""],
        [],
        ["+1"],
        [" 1"],
        ["1."],
        ["٣"],
        ["12345678901234567890"],
        ["9223372036854775808"],
        ["0.12345678901234567890"],
        ["9007199254740993", ""],
    ],
)
def test_what_would_lose_something_as_a_number_stays_text(cells: list[str]) -> None:
    assert column_array(cells) is None


decimals = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?", fullmatch=True)


@given(st.lists(st.one_of(decimals, st.just("")), min_size=1))
def test_every_number_of_a_numeric_column_has_the_value_of_its_text(cells: list[str]) -> None:
    column = column_array(cells)
    if column is None:
        return
    for cell, number in zip(cells, column.tolist(), strict=True):
        if cell:
            assert Decimal(repr(number)) == Decimal(cell)
        else:
            assert np.isnan(number)
