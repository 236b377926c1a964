"""Where two nested documents differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Every value in which two documents differ: dotted key, old value, new value.

    A key that a document lacks counts as None. Keys are sorted.

    Examples
    --------
    >>> differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5})
    [('b.c', 2, 4), ('e', None, 5)]
    """
    found: list[tuple[str, Any, Any]] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += [(f"{key}.{inner}", b, a) for inner, b, a in differences(before, after)]
        elif before != after:
            found.append((key, before, after))
    return found
