"""Values of attributes and of resources, as PBS prints them, and as people ask for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slidearray.schedulers import pbs_words

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNIT_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmgtp]?)([bw]?)", re.IGNORECASE)
_WORD_BYTES = 8
_MB_BYTES = 1024**2
#: What a switch may be called (openpbs, is_true_or_false of src/lib/Libattr/attr_fn_b.c).
_SWITCHES = {
    **dict.fromkeys(("true", "t", "y", "1"), True),
    **dict.fromkeys(("false", "f", "n", "0"), False),
}


def amount(text: str) -> float | None:
    """A number, or the bytes of a size; None for a text.

    Examples
    --------
    >>> amount("4"), amount("10kb"), amount("a100")
    (4.0, 10240.0, None)
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    unit = _WORD_BYTES if match[3].lower() == "w" else 1
    return float(match[1]) * unit * _UNIT_BYTES[match[2].lower()]


def switch(text: str) -> bool | None:
    """Whether a switch is asked to be on; None for a text that is none."""
    return _SWITCHES.get(text.lower())


def seconds(value: object) -> int | None:
    """A walltime: ``48:00:00``, ``30:00``, or seconds; None where there is none."""
    parts = pbs_words.text(value).partition(".")[0].split(":")
    if not all(part.isdecimal() for part in parts):
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total


def megabytes(value: object) -> int | None:
    """Mebibytes of a size: ``16gb``, ``1048576kb``, or bytes; None where there is none."""
    size = amount(pbs_words.text(value))
    return None if size is None else int(size // _MB_BYTES)


def words_in(value: object) -> list[str]:
    """The parts of a list that is printed as one text; or of a real one."""
    texts: Iterable[object] = value if isinstance(value, list) else pbs_words.text(value).split(",")
    return [pbs_words.text(each).strip() for each in texts if pbs_words.text(each).strip()]
