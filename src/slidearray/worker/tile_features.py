"""Features of a slide's tiles, collected as they are read and put into the tiles' own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slidearray.slides.tiles import TileBatch, TileSelection


class TileFeatures:
    """Features while they are made.

    Parameters
    ----------
    selection
        The tiles of the slide.
    dim
        Features of a tile.
    """

    def __init__(self, selection: TileSelection, *, dim: int) -> None:
        self.dropped = 0
        self._selection = selection
        self._dim = dim
        self._features: NDArray[Any] | None = None
        self._rows: list[NDArray[np.int64]] = []
        self._invalid: list[NDArray[np.int64]] = []
        self._count = 0

    def add(self, batch: TileBatch, encoded: NDArray[Any]) -> None:
        """Take a batch and its features.

        Raises
        ------
        SlideError
            ``bad_features``, when they are of another dtype than those before.
        """
        self.dropped += batch.dropped
        if len(batch.invalid):
            self._invalid.append(batch.invalid)
        if not len(batch.rows):
            return
        if self._features is None:  # room for all: growing would hold everything twice
            self._features = np.empty((len(self._selection), self._dim), encoded.dtype)
        if encoded.dtype != self._features.dtype:
            raise _mixed(self._features.dtype, encoded.dtype)
        self._features[self._count : self._count + len(encoded)] = encoded
        self._rows.append(batch.rows)
        self._count += len(encoded)

    def finished(self) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.bool_] | None]:
        """All of them, in the order of the tiles.

        Returns
        -------
        features
            (n, d), NaN where a tile could not be read.
        coords
            (n, 2) level-0 corners.
        valid
            (n,), False where a tile could not be read; None when all could.
        """
        features = self._features
        if features is None:
            features = np.empty((len(self._selection), self._dim), np.float32)
        invalid = _joined(self._invalid)
        features[self._count : self._count + len(invalid)] = np.nan
        rows = np.concatenate([_joined(self._rows), invalid])
        features, valid = features[: len(rows)], np.arange(len(rows)) < self._count
        if np.any(rows[1:] < rows[:-1]):  # else there is nothing to copy
            order = np.argsort(rows)
            features, rows, valid = features[order], rows[order], valid[order]
        return features, self._selection.coords[rows], valid if len(invalid) else None


def _joined(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(rows) if rows else np.empty(0, np.int64)


def _mixed(first: np.dtype[Any], later: np.dtype[Any]) -> SlideError:
    return SlideError(
        FailureClass.BAD_FEATURES,
        f"the encoder returned {first} for the first tiles and {later} for later ones; "
        "expected one dtype for the whole slide",
    )
