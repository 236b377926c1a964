"""Columns in which a manifest tells what slides' headers say, so that a plan need not open them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slidearray.core.geometry import parse_mpp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Every level's size, level 0 first: ``40000x30000 10000x7500``. Empty: the slide has to be opened.
LEVELS = "header_levels"
#: Micrometres per level-0 pixel along each axis; both empty where the header has none.
MPP_X, MPP_Y = "header_mpp_x", "header_mpp_y"
#: Share of the lowest level that is tissue, from 0 to 1; empty where it is not known.
TISSUE = "header_tissue"
HEADER_COLUMNS = (LEVELS, MPP_X, MPP_Y, TISSUE)

_EDGE = "[1-9][0-9]{0,8}"  # beyond it int32 coordinates end, and so do slides
_LEVELS = re.compile(f"{_EDGE}x{_EDGE}(?: {_EDGE}x{_EDGE}){{0,63}}")
_SHARE = re.compile(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?")
_ACCEPTED = {
    LEVELS: "the size of each level, such as '4000x3000 1000x750', or nothing",
    MPP_X: "a number such as 0.25, or nothing",
    MPP_Y: "a number such as 0.25, or nothing",
    TISSUE: "a number from 0 to 1, or nothing",
}


def header_cells(
    level_dimensions: Iterable[tuple[int, int]],
    *,
    mpp: tuple[str, str] | None,
    tissue: float | None,
) -> dict[str, str]:
    """The cells of one slide, by column.

    Examples
    --------
    >>> header_cells([(400, 300), (100, 75)], mpp=("0.25", "0.25"), tissue=0.5)["header_levels"]
    '400x300 100x75'
    """
    mpp_x, mpp_y = mpp or ("", "")
    return {
        LEVELS: " ".join(f"{width}x{height}" for width, height in level_dimensions),
        MPP_X: mpp_x,
        MPP_Y: mpp_y,
        TISSUE: "" if tissue is None else f"{tissue:g}",
    }


def header_faults(column: str, cells: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Which cells of one of the columns are malformed, and why."""
    fault_of: dict[str, str | None] = {"": None}
    for index, text in enumerate(cells):
        if column == LEVELS:  # hardly two slides have the same
            wrong = bool(text) and not _LEVELS.fullmatch(text)
        else:
            if text not in fault_of:
                fault_of[text] = None if _is_number(column, text) else text
            wrong = fault_of[text] is not None
        if wrong:
            yield index, f"{column}: found {text!r}; accepted: {_ACCEPTED[column]}"


def _is_number(column: str, text: str) -> bool:
    if column == TISSUE:
        return _SHARE.fullmatch(text) is not None
    return parse_mpp(text) is not None
