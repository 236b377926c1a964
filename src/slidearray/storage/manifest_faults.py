"""What is wrong with the cells of a manifest, column by column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slidearray.core.geometry import parse_mpp
from slidearray.core.headers import HEADER_COLUMNS, header_faults
from slidearray.core.ids import fold, name_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NUMBER_COLUMNS = ("mpp", "magnification")
#: Names without a fault that are plain ASCII, as nearly all are: told ten times as fast.
PLAIN_NAME = re.compile(r"[ !-,0-~][ -.0-~]{0,179}")


def cell_faults(
    table: Mapping[str, Sequence[str]], numbers: Sequence[int], *, nul: bool
) -> list[tuple[int, str]]:
    """Row and text of each fault, row by row.

    Parameters
    ----------
    table
        The cells of each column.
    numbers
        Of the rows, as a spreadsheet counts.
    nul
        Whether a NUL character was seen in any of them.
    """
    kinds = [
        _path_faults(table["path"]),
        _cohort_faults(table.get("cohort", ())),
        *(_number_faults(name, table.get(name, ())) for name in NUMBER_COLUMNS),
        *(header_faults(name, table.get(name, ())) for name in HEADER_COLUMNS),
        *(_nul_faults(name, cells) for name, cells in table.items() if nul),
        _id_faults(table["slide_id"], numbers),
    ]
    found = sorted(
        (index, kind, text) for kind, faults in enumerate(kinds) for index, text in faults
    )
    return [(numbers[index], text) for index, _, text in found]


def _path_faults(cells: Sequence[str]) -> Iterator[tuple[int, str]]:
    if "" in cells:
        for index, text in enumerate(cells):
            if not text:
                yield index, "path: found nothing; accepted: the path of a slide"


def _cohort_faults(cells: Sequence[str]) -> Iterator[tuple[int, str]]:
    why = {text: name_fault(text) for text in set(cells) if text}
    if any(why.values()):
        for index, text in enumerate(cells):
            if text and why[text]:
                yield (
                    index,
                    f"cohort: found {text!r}: {why[text]}; accepted: the name of a folder, or "
                    "nothing",
                )


def _number_faults(column: str, cells: Sequence[str]) -> Iterator[tuple[int, str]]:
    wrong = {text for text in set(cells) if text and parse_mpp(text) is None}
    if wrong:
        for index, text in enumerate(cells):
            if text in wrong:
                yield (
                    index,
                    f"{column}: found {text!r}; accepted: a number such as 0.25, or nothing",
                )


def _nul_faults(column: str, cells: Sequence[str]) -> Iterator[tuple[int, str]]:
    for index, text in enumerate(cells):
        if "\0" in text:
            yield index, f"{column}: found a NUL character; accepted: any other text"


def _id_faults(cells: Sequence[str], numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Faults of ids; of those that clash, every one but the first."""
    plain = [PLAIN_NAME.fullmatch(text) is not None for text in cells]
    folded = [text.lower() if easy else fold(text) for text, easy in zip(cells, plain, strict=True)]
    if all(plain) and len(set(folded)) == len(folded):
        return
    first: dict[str, int] = {}
    for index, (text, key) in enumerate(zip(cells, folded, strict=True)):
        other = first.setdefault(key, index)
        if not plain[index] and (why := name_fault(text)):
            yield index, f"slide_id: found {text!r}: {why}; accepted: a name for a file"
        elif other != index:
            yield index, _clash(text, cells[other], row=numbers[other])


def _clash(text: str, other: str, *, row: int) -> str:
    same = "is" if other == text else f"differs only in case from {other!r},"
    return (
        f"slide_id: found {text!r}, which {same} the id of row {row}; "
        "accepted: one that no other row has"
    )
