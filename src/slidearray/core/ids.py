"""Names that become files, and what tells numbers from text in a table."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME_BYTES = 180  # of 255 that file systems take: the rest is for suffixes and temporary names
# Controls, line ends, and halves of a surrogate pair, as names that are not UTF-8 have: the first
# two end a line or steer a terminal, the last cannot be written.
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_EXACT_DIGITS = 15  # float64 changes longer whole numbers: a long accession number stays text


def control_character(text: str) -> str | None:
    """The first character that ends a line, steers a terminal or cannot be written; or None."""
    return next((char for char in text if unicodedata.category(char) in _CONTROL_CATEGORIES), None)


def printable(text: str) -> str:
    r"""`text` with what would steer a terminal written out; tabs stay.

    Examples
    --------
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    shown = (
        ascii(char)[1:-1] if char != "\t" and control_character(char) else char for char in text
    )
    return "".join(shown)


def name_fault(text: str) -> str | None:
    """Why `text` cannot be a slide_id, a cohort or a label; None when it can.

    Examples
    --------
    >>> name_fault("TCGA-CR-7395 (1)") is None
    True
    >>> name_fault("a/b")
    "it holds '/'"
    """
    if not text:
        return "it is empty"
    for char in text:
        if _unsafe(char):
            return f"it holds {char!r}"
    if text[0] in ".-":
        return f"it begins with {text[0]!r}"
    if not unicodedata.is_normalized("NFC", text):
        return "it is not in Unicode's composed form (NFC)"
    if (size := len(text.encode())) > NAME_BYTES:
        return f"it takes {size} bytes, at most {NAME_BYTES} are possible"
    return None


def safe_name(text: str) -> str:
    """`text` with as little changed as makes it a name without fault.

    Examples
    --------
    >>> safe_name("-a/b"), safe_name("")
    ('_a_b', '_')
    """
    name = "".join("_" if _unsafe(char) else char for char in text)
    name = unicodedata.normalize("NFC", name) or "_"
    if name[0] in ".-":
        name = "_" + name[1:]
    return name.encode()[:NAME_BYTES].decode(errors="ignore")


def fold(text: str) -> str:
    """The key under which names clash: equal where only case differs (Unicode 3.13, D145)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def is_numeric_column(values: Iterable[str]) -> bool:
    """Whether a column of texts may become numbers without losing anything of them.

    Every value that is not empty, and at least one is not, must be a plain decimal with at most
    15 digits before its point: ``0012``, ``1e5`` and ``NA`` make a column text.
    """
    filled = [value for value in values if value]
    return bool(filled) and all(_is_exact_number(value) for value in filled)


def _is_exact_number(text: str) -> bool:
    match = _NUMBER.fullmatch(text)
    return match is not None and len(match[1]) <= _EXACT_DIGITS


def _unsafe(char: str) -> bool:
    return char == "/" or control_character(char) is not None
