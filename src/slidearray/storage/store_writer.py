"""The stacked store: the features of all slides one below the other, in manifest order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from slidearray.core.recipe import canonical_json
from slidearray.errors import StoreError
from slidearray.storage.columns import column_array
from slidearray.storage.feature_file import FeatureData, read_with_digest
from slidearray.storage.files import published
from slidearray.storage.hdf5 import (
    add_array,
    add_group,
    add_texts,
    attributes,
    create_file,
    reserve,
    set_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from slidearray.core.classes import FailureClass

FORMAT = "slidearray-store"
FORMAT_VERSION = 1
NAMED_FILES = 10  # of those that do not fit, how many a message names
HASH_BYTES = 1 << 24
#: Manifest columns that no store holds as such: one is the index, the other names a machine's disk.
LEFT_OUT = ("slide_id", "path")
FLOAT_COLUMNS = ("mpp", "mpp_level0")
INTEGER_COLUMNS = ("patch_size_level0", "level0_width", "level0_height")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSource:
    """One slide of a store and the feature file it comes from."""

    slide_id: str
    path: Path
    num_tiles: int
    content_digest: str  # as recorded when the file was written
    cells: Mapping[str, str]  # the slide's row of the manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A slide of the manifest that is not in the store, and why."""

    slide_id: str
    failure: FailureClass
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContent:
    """What a store is made of; slides and missing slides in manifest order."""

    sources: Sequence[StoreSource]
    missing: Sequence[Missing]
    columns: Sequence[str]  # of the manifest
    recipe: Mapping[str, Any]
    recipe_digest: str
    feature_dim: int


class UnusableFilesError(StoreError):
    """Feature files that are not what was recorded; `reasons` has one line for each slide_id."""

    def __init__(self, path: Path, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{path}: {len(reasons)} feature files are not what was recorded")
        self.reasons = dict(reasons)


def write_store(
    path: Path,
    content: StoreContent,
    *,
    token: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Publish a stacked store; the same content gives the same bytes.

    One slide's features are in memory at a time, and each is checked as it is copied.

    Parameters
    ----------
    path
        The store; its folder exists. What is there already stays until the new one is whole.
    content
        What goes into it; at least one slide.
    token
        Names the partial file.
    progress
        Called after each slide with the number of slides copied and of all.

    Raises
    ------
    UnusableFilesError
        Feature files that are missing, damaged or not the recorded ones; all of them.
    StoreError
        Files of another recipe, model, feature dimension or dtype; names them.
    StorageFullError
        It does not fit.
    """
    with published(path, token=token) as partial, create_file(partial) as file:
        copy = _Copy(file, content)
        for count, source in enumerate(content.sources, 1):
            copy.take(source)
            if progress:
                progress(count, len(content.sources))
        copy.refuse_faults(path)
        copy.finish()


class _Copy:
    """Slides on their way into one store."""

    def __init__(self, file: h5py.File, content: StoreContent) -> None:
        self._file = file
        self._content = content
        self._lost: dict[str, str] = {}
        self._strange: list[str] = []
        self._model: str | None = None
        self._names: tuple[str, ...] | None = None
        self._dtype: np.dtype[Any] | None = None
        self._features: h5py.Dataset | None = None
        self._coords: h5py.Dataset | None = None
        self._rows = 0
        self._invalid: list[np.ndarray[Any, Any]] = []  # rows of tiles that could not be read
        self._facts: list[dict[str, Any]] = []
        self._hashes = {"features": hashlib.sha256(), "coords": hashlib.sha256()}

    def take(self, source: StoreSource) -> None:
        """Copy one slide, or note what is wrong with it."""
        data = self._read(source)
        if data is not None and not self._lost and not self._strange:  # else nothing is published
            self._append(data)

    def refuse_faults(self, path: Path) -> None:
        """Raise what `take` noted."""
        if self._strange:
            more = len(self._strange) - NAMED_FILES
            lines = self._strange[:NAMED_FILES] + ([f"  and {more} more"] if more > 0 else [])
            raise StoreError(
                f"{path}: {len(self._strange)} feature files do not belong in one store:\n"
                + "\n".join(lines)
            )
        if self._lost:
            raise UnusableFilesError(path, self._lost)

    def finish(self) -> None:
        """Write the tables and what the store says of itself."""
        if self._features is None:
            self._reserve(np.dtype("<f4"))
        if self._names:
            add_texts(self._file, "feature_names", self._names)
        if self._invalid:
            valid = np.ones(self._rows, np.bool_)
            valid[np.concatenate(self._invalid)] = False
            add_array(self._file, "valid", valid)
        self._write_slides()
        if self._content.missing:
            _write_missing(self._file, self._content.missing)
        self._write_root()

    def _read(self, source: StoreSource) -> FeatureData | None:
        try:
            data, digest = read_with_digest(source.path)
        except StoreError as error:
            self._lost[source.slide_id] = str(error).removeprefix(f"{source.path}: ")
            return None
        if strange := self._differences(data):
            self._strange.append(f"  {source.path}: {'; '.join(strange)}")
            return None
        if (data.slide_id, digest) != (source.slide_id, source.content_digest):
            self._lost[source.slide_id] = (
                f"its feature file is not the recorded one: content digest {digest[:12]}... "
                f"of slide {data.slide_id}, recorded {source.content_digest[:12]}..."
            )
            return None
        return data

    def _differences(self, data: FeatureData) -> list[str]:
        """How one slide's features differ from the run's, or from those before them."""
        count, dim = data.features.shape
        self._model = self._model or data.model
        checks: list[tuple[str, object, object]] = [
            ("recipe digest", data.recipe_digest, self._content.recipe_digest),
            ("feature dimension", dim, self._content.feature_dim),
            ("model", data.model, self._model),
        ]
        # A slide without tissue never met the encoder: its dtype and names say nothing.
        if count:
            self._names = data.feature_names if self._names is None else self._names
            self._dtype = self._dtype or data.features.dtype
            checks.append(("feature names", data.feature_names, self._names))
            checks.append(("dtype", data.features.dtype, self._dtype))
        return [
            f"{what} {found!s:.60}, expected {expected!s:.60}"
            for what, found, expected in checks
            if found != expected
        ]

    def _append(self, data: FeatureData) -> None:
        count = len(data.features)
        if count and self._features is None:
            self._reserve(data.features.dtype.newbyteorder("<"))
        for name, dataset in (("features", self._features), ("coords", self._coords)):
            rows = getattr(data, name)
            if count and dataset is not None:
                dataset[self._rows : self._rows + count] = rows
                self._hashes[name].update(_bytes(rows))
        if data.valid is not None:
            self._invalid.append(self._rows + np.flatnonzero(~data.valid))
        self._facts.append(
            {
                "offset": self._rows,
                "count": count,
                **{name: getattr(data, name) for name in (*FLOAT_COLUMNS, *INTEGER_COLUMNS)},
                "slide_key": data.slide_key,
            }
        )
        self._rows += count

    def _reserve(self, dtype: np.dtype[Any]) -> None:
        total = sum(source.num_tiles for source in self._content.sources)
        shape = (total, self._content.feature_dim)
        self._features = reserve(self._file, "features", shape=shape, dtype=dtype)
        self._coords = reserve(self._file, "coords", shape=(total, 2), dtype="<i4")

    def _write_slides(self) -> None:
        slides = add_group(self._file, "slides")
        sources = self._content.sources
        add_texts(slides, "slide_id", [source.slide_id for source in sources])
        for name in ("offset", "count", *INTEGER_COLUMNS):
            add_array(slides, name, self._column(name, "<i8"))
        for name in FLOAT_COLUMNS:
            add_array(slides, name, self._column(name, "<f8"))
        add_texts(slides, "slide_key", [facts["slide_key"] for facts in self._facts])
        manifest = add_group(slides, "manifest")
        kept = [column for column in self._content.columns if column not in LEFT_OUT]
        for index, column in enumerate(kept):
            cells = [source.cells[column] for source in sources]
            _write_column(manifest, f"c{index:04d}", name=column, cells=cells)

    def _column(self, name: str, dtype: str) -> np.ndarray[Any, Any]:
        values = [facts[name] for facts in self._facts]
        return np.array([np.nan if value is None else value for value in values], dtype=dtype)

    def _write_root(self) -> None:
        content = self._content
        says = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "layout": "stacked",
            "complete": not content.missing,
            "recipe_digest": content.recipe_digest,
            "recipe": canonical_json(content.recipe),
            "model": self._model or "",
            "feature_dim": content.feature_dim,
            "num_slides": len(content.sources),
            "num_tiles": self._rows,
        }
        set_attributes(self._file, says)
        known = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        set_attributes(self._file, {"content_digest": store_digest(self._file, known=known)})


def store_digest(file: h5py.File, *, known: Mapping[str, str] | None = None) -> str:
    """The sha256 (hex) of all that a store holds, but for the digest itself.

    Parameters
    ----------
    file
        An open store.
    known
        Digests of datasets that need not be read again.
    """
    datasets: dict[str, h5py.Dataset] = {}
    file.visititems(
        lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None
    )
    says = {name: value for name, value in attributes(file).items() if name != "content_digest"}
    parts = {
        name: {
            "attributes": attributes(dataset),
            "dtype": dataset.dtype.str,
            "shape": list(dataset.shape),
            "sha256": (known or {}).get(name) or _dataset_sha256(dataset),
        }
        for name, dataset in datasets.items()
    }
    text = canonical_json({"attributes": says, "datasets": parts})
    return hashlib.sha256(text.encode()).hexdigest()


def _dataset_sha256(dataset: h5py.Dataset) -> str:
    digest = hashlib.sha256()
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    step = max(1, HASH_BYTES // row_bytes)
    for start in range(0, dataset.shape[0], step):
        digest.update(_bytes(dataset[start : start + step]))
    return digest.hexdigest()


def _bytes(rows: np.ndarray[Any, Any]) -> memoryview:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data


def _write_column(group: h5py.Group, key: str, *, name: str, cells: Sequence[str]) -> None:
    numbers = column_array(cells)
    dataset = add_texts(group, key, cells) if numbers is None else add_array(group, key, numbers)
    set_attributes(dataset, {"name": name})


def _write_missing(file: h5py.File, missing: Sequence[Missing]) -> None:
    group = add_group(file, "missing")
    add_texts(group, "slide_id", [slide.slide_id for slide in missing])
    add_texts(group, "class", [slide.failure.value for slide in missing])
    add_texts(group, "reason", [slide.reason for slide in missing])
