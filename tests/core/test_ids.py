from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.ids import fold, is_numeric_column, name_fault, safe_name

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=250)


@pytest.mark.parametrize(
    "name",
    [
        "0012",
        "1e5",
        "NA",
        "a b",
        "$(touch x)",
        "a;b",
        "50%",
        "'\"",
        "a-b.c",
        "é",
        "切片",
        "😐",
        "x" * 180,
    ],
)
def test_a_name_that_a_file_may_have_is_taken_as_it_is(name: str) -> None:
    assert name_fault(name) is None
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("a/b", "'/'"),
        ("a\0b", r"'\x00'"),
        ("a\nb", r"'\n'"),
        ("a\x7f", r"'\x7f'"),
        ("a\x85b", r"'\x85'"),
        ("a\u2028b", r"'\u2028'"),
        ("a\u2029b", r"'\u2029'"),
        ("a\ud800b", r"'\ud800'"),
        (".hidden", "begins with '.'"),
        ("-rf", "begins with '-'"),
        ("e\u0301", "NFC"),
        ("x" * 181, "181 bytes"),
        ("é" * 91, "182 bytes"),
    ],
)
def test_a_name_that_breaks_files_is_refused_with_what_is_wrong(name: str, said: str) -> None:
    assert said in (name_fault(name) or "")


@given(ANY_TEXT)
def test_a_safe_name_has_no_fault_and_stays_what_it_is(text: str) -> None:
    name = safe_name(text)
    assert name_fault(name) is None
    assert safe_name(name) == name


@given(ANY_TEXT)
def test_only_a_name_with_a_fault_is_changed(text: str) -> None:
    assert (safe_name(text) == text) == (name_fault(text) is None)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b\nc", "a_b_c"),
        ("..x", "_.x"),
        ("--x", "_-x"),
        ("", "_"),
        ("/", "_"),
        ("e\u0301", "é"),
        ("x" + "é" * 100, "x" + "é" * 89),
    ],
)
def test_a_safe_name_keeps_what_it_can(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(max_size=20))
def test_names_that_differ_in_case_or_composition_alone_clash(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))
    assert fold(text.casefold()) == fold(text)


def test_names_that_differ_otherwise_do_not_clash() -> None:
    assert fold("Straße") == fold("STRASSE")
    assert len({fold(name) for name in ("a", "b", "a ", "á", "1", "01")}) == 6


@pytest.mark.parametrize(
    "column",
    [["1"], ["0", "-5", "12.50"], ["", "3", ""], ["-0.1"], ["0.12345678901234567"], ["9" * 15]],
)
def test_a_column_of_plain_decimals_is_numeric(column: list[str]) -> None:
    assert is_numeric_column(column)


@pytest.mark.parametrize(
    "odd",
    [
        "0012",
        "1e5",
        "NA",
        "nan",
        "inf",
        "+1",
        "1.",
        ".5",
        " 1",
        "1 ",
        "1\n",
        "1,5",
        "--1",
        "٣",
        "-",
        "9" * 16,
    ],
)
def test_one_value_that_numbers_would_change_makes_a_column_text(odd: str) -> None:
    assert not is_numeric_column(["1", odd, "2"])


@pytest.mark.parametrize("column", [[], [""], ["", ""]])
def test_a_column_without_values_is_text(column: list[str]) -> None:
    assert not is_numeric_column(column)
