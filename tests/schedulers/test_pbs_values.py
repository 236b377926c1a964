"""Values that PBS prints are read in every form that they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.schedulers.pbs_values import amount, megabytes, seconds, switch


@given(st.integers(0, 10**7))
def test_a_walltime_is_read_in_every_form(total: int) -> None:
    hours, rest = divmod(total, 3600)
    text = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    assert seconds(text) == seconds(total) == seconds(str(total)) == total


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("16gb", 16384), ("16GB", 16384), ("16g", 16384), ("1048576kb", 1024), ("2tb", 2097152),
        ("1048576", 1), ("2097151", 1), (1048576, 1), ("131072kw", 1024),
        ("", None), (None, None), ("big", None),
    ],
)  # fmt: skip
def test_a_size_is_read_in_every_form(value: object, expected: int | None) -> None:
    assert megabytes(value) == expected


@pytest.mark.parametrize("value", ["", None, "UNLIMITED", "1-00:00:00"])
def test_what_is_no_walltime_is_no_limit(value: object) -> None:
    assert seconds(value) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", 4),
        ("0.5", 0.5),
        ("10gb", 10 * 2**30),
        ("10GB", 10 * 2**30),
        ("a100", None),
        ("", None),
    ],
)
def test_an_amount_is_a_number_or_a_size(text: str, expected: float | None) -> None:
    assert amount(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", True), ("TRUE", True), ("y", True), ("1", True), ("f", False), ("0", False)],
)
def test_a_switch_is_read_in_every_form(text: str, expected: bool) -> None:
    assert switch(text) is expected


def test_what_is_no_switch_is_neither_on_nor_off() -> None:
    assert switch("a100") is None
