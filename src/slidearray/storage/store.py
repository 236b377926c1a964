"""`FeatureStore`: the merged features of many slides, read only as far as asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import h5py

from slidearray.core.classes import FailureClass
from slidearray.storage.hdf5 import attributes, checked_attributes, reading, texts, unreadable
from slidearray.storage.store_writer import FORMAT, FORMAT_VERSION, Missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

#: Tables of the store that `slides` shows beside the manifest's columns: shown as → stored as.
SHOWN = {
    "num_tiles": "count",
    "tile_mpp": "mpp",
    "mpp_level0": "mpp_level0",
    "patch_size_level0": "patch_size_level0",
    "level0_width": "level0_width",
    "level0_height": "level0_height",
}


class FeatureStore:
    """A store, open for reading.

    Features are read when asked for and not kept. A store can be used after a fork, sent to a
    spawned process, and used as a context manager.

    Parameters
    ----------
    path
        The store's file.

    Raises
    ------
    StoreError
        It is missing, damaged, or of another format.

    Attributes
    ----------
    path : Path
        The store's file, absolute.
    slide_ids : tuple of str
        Its slides, in manifest order.
    complete : bool
        Whether every slide of the manifest is in it.
    feature_dim : int
        Length of a feature vector.
    num_tiles : int
        Tiles of all slides together.
    model : str
        The encoder's label.
    recipe_digest : str
        The digest of what decided the features.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._handle: tuple[int, h5py.File] | None = None
        with reading(self.path) as file:
            says = checked_attributes(
                file, self.path, format=FORMAT, version=FORMAT_VERSION, what="store"
            )
            self.slide_ids = tuple(texts(file["slides/slide_id"]))
            self._offsets: list[int] = file["slides/offset"][...].tolist()
            self._counts: list[int] = file["slides/count"][...].tolist()
        self.complete = bool(says["complete"])
        self.feature_dim = int(says["feature_dim"])
        self.num_tiles = int(says["num_tiles"])
        self.model = str(says["model"])
        self.recipe_digest = str(says["recipe_digest"])
        self._index = {slide_id: k for k, slide_id in enumerate(self.slide_ids)}

    def __len__(self) -> int:
        return len(self.slide_ids)

    def __contains__(self, slide_id: object) -> bool:
        return slide_id in self._index

    def __iter__(self) -> Iterator[SlideFeatures]:
        return (SlideFeatures(self, position) for position in range(len(self)))

    def __getitem__(self, slide_id: str) -> SlideFeatures:
        """One slide; `KeyError` for an id that the store does not have."""
        if slide_id not in self._index:
            raise KeyError(
                f"{self.path}: no slide {slide_id!r}; it has {len(self)} slides, see slide_ids"
            )
        return SlideFeatures(self, self._index[slide_id])

    def __repr__(self) -> str:
        return (
            f"FeatureStore({str(self.path)!r}: {len(self)} slides, {self.num_tiles} tiles, "
            f"{self.feature_dim} features)"
        )

    @property
    def slides(self) -> pd.DataFrame:
        """A row for each slide: the manifest's columns, `num_tiles`, and the slide's geometry.

        Where the manifest has a column of the same name as one of the store's own, the store's
        is shown with ``store_`` before it.
        """
        import pandas as pd

        file = self._file()
        table: dict[str, Any] = {"slide_id": list(self.slide_ids)}
        manifest = file["slides/manifest"]
        for key in sorted(manifest):
            column = manifest[key]
            table[attributes(column)["name"]] = _values(column)
        for name, stored in SHOWN.items():
            table[_free_name(name, table)] = _values(file["slides"][stored])
        return pd.DataFrame(table)

    @property
    def missing(self) -> list[Missing]:
        """The manifest's slides that are not in the store, and why."""
        file = self._file()
        if "missing" not in file:
            return []
        columns = [texts(file["missing"][name]) for name in ("slide_id", "class", "reason")]
        return [
            Missing(slide_id=slide_id, failure=FailureClass(failure), reason=reason)
            for slide_id, failure, reason in zip(*columns, strict=True)
        ]

    @property
    def feature_names(self) -> list[str]:
        """Names of the features; empty when the encoder gives none."""
        file = self._file()
        return texts(file["feature_names"]) if "feature_names" in file else []

    def close(self) -> None:
        """Close the file; it is opened again when something more is asked."""
        if self._handle and self._handle[0] == os.getpid():
            self._handle[1].close()
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def _rows(self, name: str, position: int) -> npt.NDArray[Any]:
        """Rows of one slide of `features` or `coords`, from the file."""
        start = self._offsets[position]
        dataset = self._file()[name]
        try:
            rows: npt.NDArray[Any] = dataset[start : start + self._counts[position]]
        except (OSError, RuntimeError) as error:
            raise unreadable(self.path, error) from error
        return rows

    def _count(self, position: int) -> int:
        """Tiles of one slide."""
        return self._counts[position]

    def _file(self) -> h5py.File:
        # After a fork the handle is the parent's: HDF5 would share its descriptor.
        if self._handle and self._handle[0] != os.getpid():
            self._handle[1].close()  # this process's copy; the parent's stays open
            self._handle = None
        if self._handle is None:
            try:
                self._handle = (os.getpid(), h5py.File(self.path, "r", locking=False))
            except OSError as error:
                raise unreadable(self.path, error) from error
        return self._handle[1]


class SlideFeatures:
    """One slide of a store; arrays are read each time they are asked for."""

    def __init__(self, store: FeatureStore, position: int) -> None:
        self._store = store
        self._position = position

    @property
    def slide_id(self) -> str:
        """The slide."""
        return self._store.slide_ids[self._position]

    @property
    def num_tiles(self) -> int:
        """How many tiles it has; 0 when it has no tissue."""
        return self._store._count(self._position)

    @property
    def features(self) -> npt.NDArray[Any]:
        """(num_tiles, feature_dim) float16 or float32 array."""
        return self._store._rows("features", self._position)

    @property
    def coords(self) -> npt.NDArray[np.int32]:
        """(num_tiles, 2) int32 array: ``(x, y)`` of the tiles' corners in level-0 pixels."""
        return self._store._rows("coords", self._position)

    def __repr__(self) -> str:
        return f"SlideFeatures({self.slide_id!r}: {self.num_tiles} tiles)"


def _free_name(name: str, table: dict[str, Any]) -> str:
    return _free_name(f"store_{name}", table) if name in table else name


def _values(dataset: h5py.Dataset) -> Any:
    return texts(dataset) if dataset.dtype.kind == "S" else dataset[...]
