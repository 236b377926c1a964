"""Checks of feature files and stores, all faults at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.errors import SlidearrayError, StoreError
from slidearray.storage import feature_file, store_writer
from slidearray.storage.hdf5 import attributes, checked_attributes, reading, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import h5py

ROWS = 4096  # of features that are in memory at a time
KINDS = {feature_file.FORMAT: "feature file", store_writer.FORMAT: "store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """What was found about one file."""

    path: Path
    kind: str  # "feature file", "store" or "unknown"
    faults: tuple[str, ...]  # one line each; none when the file is sound
    missing: tuple[str, ...] = ()  # slides that a sound store says it lacks


def verify_paths(paths: Iterable[Path]) -> list[FileCheck]:
    """Check files; of a folder, every ``.h5`` file below it, sorted by name."""
    return [_check(path) for given in paths for path in _files(given)]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(file for file in path.rglob("*.h5") if not file.name.startswith("."))
    # A folder without any file is a mistake, not a success.
    yield from found or [path]


def _check(path: Path) -> FileCheck:
    if path.is_dir():
        return FileCheck(path=path, kind="unknown", faults=("no .h5 file in this folder",))
    try:
        with reading(path) as file:
            says = attributes(file)
            kind = KINDS.get(str(says.get("format")), "unknown")
            if kind == "store":
                faults, missing = _store_faults(file, path)
                return FileCheck(path=path, kind=kind, faults=tuple(faults), missing=missing)
        if kind == "feature file":
            return FileCheck(
                path=path, kind=kind, faults=tuple(feature_file.check_feature_file(path))
            )
    except SlidearrayError as error:
        return FileCheck(path=path, kind="unknown", faults=(_without_path(error, path),))
    fault = f"format {says.get('format')!r}: neither a feature file nor a store of slidearray"
    return FileCheck(path=path, kind="unknown", faults=(fault,))


def _without_path(error: SlidearrayError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _store_faults(file: h5py.File, path: Path) -> tuple[list[str], tuple[str, ...]]:
    try:
        says = checked_attributes(
            file,
            path,
            format=store_writer.FORMAT,
            version=store_writer.FORMAT_VERSION,
            what="store",
        )
    except StoreError as error:
        return [_without_path(error, path)], ()
    missing = tuple(texts(file["missing/slide_id"])) if "missing" in file else ()
    faults = [*_shape_faults(file, says), *_recipe_faults(says)]
    if bool(says["complete"]) == bool(missing):
        faults.append(f"complete is {says['complete']}, and {len(missing)} slides are missing")
    if not faults:
        faults += _finite_faults(file)
        if store_writer.store_digest(file) != says["content_digest"]:
            faults.append("its content is not what was written: the content digest differs")
    return faults, missing


def _shape_faults(file: h5py.File, says: dict[str, Any]) -> list[str]:
    faults = []
    tiles, dim, slides = says["num_tiles"], says["feature_dim"], says["num_slides"]
    features, coords = file["features"], file["coords"]
    if features.shape != (tiles, dim) or features.dtype.name not in feature_file.FEATURE_DTYPES:
        faults.append(
            f"features are {features.dtype.name} {features.shape}, expected ({tiles}, {dim})"
        )
    if "valid" in file and (file["valid"].shape, file["valid"].dtype) != ((tiles,), bool):
        faults.append(f"valid is {file['valid'].dtype} {file['valid'].shape}, expected bool")
    if coords.shape != (tiles, 2) or coords.dtype != np.int32:
        faults.append(f"coords are {coords.dtype.name} {coords.shape}, expected int32 ({tiles}, 2)")
    columns = [*_datasets(file["slides"]), *_datasets(file["slides/manifest"])]
    for column in columns:
        if column.shape != (slides,):
            faults.append(f"{column.name} has shape {column.shape}, expected ({slides},)")
    return faults or _index_faults(file, tiles)


def _datasets(group: h5py.Group) -> list[h5py.Dataset]:
    return [item for name, item in group.items() if name != "manifest"]


def _index_faults(file: h5py.File, tiles: int) -> list[str]:
    counts = file["slides/count"][...]
    offsets = file["slides/offset"][...]
    expected = np.concatenate([[0], np.cumsum(counts)])
    if (counts < 0).any() or not np.array_equal(offsets, expected[:-1]) or expected[-1] != tiles:
        return ["slides/offset and slides/count do not lay the slides out one after the other"]
    slide_ids = texts(file["slides/slide_id"])
    return [] if len(set(slide_ids)) == len(slide_ids) else ["slides/slide_id holds an id twice"]


def _recipe_faults(says: dict[str, Any]) -> list[str]:
    found = hashlib.sha256(says["recipe"].encode()).hexdigest()
    return [] if found == says["recipe_digest"] else ["recipe_digest is not that of its recipe"]


def _finite_faults(file: h5py.File) -> list[str]:
    features = file["features"]
    for start in range(0, features.shape[0], ROWS):
        finite = np.isfinite(features[start : start + ROWS]).all(axis=1)
        valid = file["valid"][start : start + ROWS] if "valid" in file else np.ones_like(finite)
        if (finite != valid).any():
            row = start + int(np.argmax(finite != valid))
            position = int(np.searchsorted(file["slides/offset"][...], row, side="right")) - 1
            slide_id = texts(file["slides/slide_id"])[position]
            what = "not finite" if valid[row - start] else "there, and `valid` says they are not"
            return [f"features are {what}, first in row {row} (slide {slide_id})"]
    return []
