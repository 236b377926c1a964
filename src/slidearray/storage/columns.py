"""A manifest's columns in a store: numbers where nothing is lost by it, else text."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.core.ids import is_numeric_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_INT64 = range(-(2**63), 2**63)


def column_array(values: Sequence[str]) -> npt.NDArray[Any] | None:
    """The column as numbers, or None when it stays text.

    Returns
    -------
    int64 array, float64 array or None
        int64 when all values are integers; float64, an empty cell as NaN, when some are decimals
        or empty; None when a value is no number or would lose digits.
    """
    if not is_numeric_column(values):
        return None
    if all(values) and not any("." in value for value in values):
        integers = [int(value) for value in values]
        fit = all(integer in _INT64 for integer in integers)
        return np.array(integers, dtype="<i8") if fit else None
    if not all(map(_keeps_digits, values)):
        return None
    return np.array([float(value or "nan") for value in values], dtype="<f8")


def _keeps_digits(value: str) -> bool:
    return not value or Decimal(value) == Decimal(repr(float(value)))
