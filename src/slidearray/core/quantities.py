"""Amounts of memory and time as profiles write them."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

MEGABYTES = {"M": 1, "G": 1024, "T": 1024**2}
MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([MGT])B?", re.IGNORECASE)
WALLTIME = re.compile(r"(?:([0-9]{1,4})-)?([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])")
LONGEST_MINUTES = 366 * 24 * 60

MEMORY_ACCEPTED = "a number and its unit, such as 500M, 32G or 1.5T"
WALLTIME_ACCEPTED = '"HH:MM:SS", "D-HH:MM:SS" or a whole number of minutes'


def memory_mb(text: str) -> int:
    """Mebibytes of ``32G``, ``500M``, ``1.5T``, rounded up.

    Raises
    ------
    ValueError
        When `text` is no such amount, or is nothing at all.
    """
    match = MEMORY.fullmatch(text)
    amount = math.ceil(float(match[1]) * MEGABYTES[match[2].upper()]) if match else 0
    if amount < 1:
        raise ValueError
    return amount


def walltime_s(text: str) -> int:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``.

    Raises
    ------
    ValueError
        When `text` is no such time, or no time at all.
    """
    match = WALLTIME.fullmatch(text)
    if match is None:
        raise ValueError
    days, hours, minutes, seconds = (int(each or 0) for each in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < total <= LONGEST_MINUTES * 60:
        raise ValueError
    return total


def _minutes_as_time(value: object) -> object:
    if type(value) is int and 0 < value <= LONGEST_MINUTES:
        return f"{value // 60:02d}:{value % 60:02d}:00"
    return value


def _time(text: str) -> str:
    walltime_s(text)
    return text


def _amount(text: str) -> str:
    memory_mb(text)
    return text


Walltime = Annotated[str, BeforeValidator(_minutes_as_time), AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_amount)]
