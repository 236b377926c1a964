"""The feature file: one slide's features and coordinates, whole and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.core.recipe import canonical_json
from slidearray.errors import StoreError
from slidearray.storage.files import make_folder, published, sha256_file
from slidearray.storage.hdf5 import (
    add_array,
    add_texts,
    attributes,
    checked_attributes,
    create_file,
    reading,
    set_attributes,
    texts,
)

if TYPE_CHECKING:
    from pathlib import Path

    import h5py
    import numpy.typing as npt

FORMAT = "slidearray-features"
FORMAT_VERSION = 1
FEATURE_DTYPES = ("float16", "float32")
ROOT_FIELDS = ("slide_id", "model", "mpp", "mpp_level0", "recipe_digest", "slide_key")
# TRIDENT's names, on `coords`: slide encoders look for them there.
COORDS_FIELDS = (
    "patch_size",
    "patch_size_level0",
    "level0_width",
    "level0_height",
    "level0_magnification",
    "target_magnification",
    "overlap",
)
OPTIONAL_FIELDS = ("mpp", "mpp_level0", "level0_magnification", "target_magnification")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureData:
    """What a feature file holds.

    Coordinates are level-0 pixels, whatever the resolution of the tiles.
    """

    features: npt.NDArray[Any]  # (n, d) float16 or float32
    coords: npt.NDArray[np.int32]  # (n, 2) int32, (x, y) of the top-left corners, row by row
    slide_id: str
    model: str  # the encoder's label
    mpp: float | None  # micrometres per pixel of the tiles; None when the slide has no mpp
    mpp_level0: float | None  # of the slide
    recipe_digest: str
    slide_key: str
    patch_size: int  # tile edge, in pixels at the target resolution
    patch_size_level0: int  # the same edge, in level-0 pixels
    level0_width: int
    level0_height: int
    level0_magnification: float | None
    target_magnification: float | None
    overlap: int  # tile_size - stride, in pixels at the target resolution
    valid: npt.NDArray[np.bool_] | None = None  # (n,), False: unreadable; None: all are valid
    feature_names: tuple[str, ...] = ()  # of the d features, when the encoder names them

    @property
    def content_digest(self) -> str:
        """The sha256, in hex, of everything above, however it is stored."""
        arrays = [_little_endian(self.features), _little_endian(self.coords)]
        arrays += [] if self.valid is None else [self.valid]
        says = self.described(*ROOT_FIELDS, *COORDS_FIELDS)
        says["feature_names"] = self.feature_names
        says["arrays"] = [[array.dtype.str, array.shape] for array in arrays]
        digest = hashlib.sha256(canonical_json(says).encode())
        for array in arrays:
            digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def described(self, *names: str) -> dict[str, Any]:
        """Fields as they come back from a file: str, int, or float or None."""
        return {name: _plain(name, getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """How a record describes a feature file."""

    size: int  # bytes
    sha256: str  # of the bytes
    content_digest: str  # of what the file says


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFacts:
    """What a feature file says of itself; nothing of it was checked against the arrays."""

    recipe_digest: str
    slide_key: str
    content_digest: str
    num_tiles: int
    num_invalid: int = 0  # of them, tiles that could not be read


def write_feature_file(path: Path, data: FeatureData, *, token: str = "") -> FileFacts:
    """Publish one slide's features; the same data gives the same bytes.

    Parameters
    ----------
    path
        The final name; its parents are made.
    data
        What it will hold.
    token
        Names the partial file, for `remove_partial`.

    Raises
    ------
    StoreError
        Arrays of the wrong shape or dtype, or a file system that gives back other bytes.
    StorageFullError
        It does not fit.
    """
    if faults := _shape_faults(data):
        raise StoreError(f"{path}: {'; '.join(faults)}")
    digest = data.content_digest
    make_folder(path.parent)
    with published(path, token=token) as partial:
        with create_file(partial) as file:
            _write(file, data, digest)
        if read_with_digest(partial)[1] != digest:
            raise StoreError(f"{path}: what was read back is not what was written")
        return file_facts(partial, content_digest=digest)


def file_facts(path: Path, *, content_digest: str) -> FileFacts:
    """Size and sha256 of a file whose content digest is known."""
    return FileFacts(
        size=path.stat().st_size, sha256=sha256_file(path), content_digest=content_digest
    )


def _write(file: h5py.File, data: FeatureData, digest: str) -> None:
    add_array(file, "features", _little_endian(data.features))
    coords = add_array(file, "coords", _little_endian(data.coords))
    if data.valid is not None:
        add_array(file, "valid", data.valid)
        set_attributes(file, {"num_invalid": int((~data.valid).sum())})
    if data.feature_names:
        add_texts(file, "feature_names", data.feature_names)
    set_attributes(coords, {**data.described(*COORDS_FIELDS), "name": data.slide_id})
    set_attributes(
        file,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "num_tiles": data.features.shape[0],
            "feature_dim": data.features.shape[1],
            **data.described(*ROOT_FIELDS),
            "content_digest": digest,
        },
    )


def read_facts(path: Path) -> FeatureFacts:
    """What a feature file says of itself, from its attributes alone.

    Raises
    ------
    StoreError
        It is missing, damaged, or of another format.
    """
    with reading(path) as file:
        found = _root_attributes(file, path)
        found.setdefault("num_invalid", 0)
        return FeatureFacts(**{field.name: found[field.name] for field in fields(FeatureFacts)})


def read_with_digest(path: Path) -> tuple[FeatureData, str]:
    """Read a feature file whole, and check it; the content digest of what was read comes with it.

    Raises
    ------
    StoreError
        It is missing, damaged, of another format, or not what its digest says.
    """
    data, digest, faults = _read(path)
    if faults:
        raise StoreError(f"{path}: {'; '.join(faults)}")
    return data, digest


def check_feature_file(path: Path) -> list[str]:
    """Everything that is wrong with a feature file, one line each; empty when it is sound."""
    try:
        data, _, faults = _read(path)
    except StoreError as error:
        return [str(error).removeprefix(f"{path}: ")]
    if faults:
        return faults
    finite = np.isfinite(data.features).all(axis=1)
    rows = np.flatnonzero(finite != (True if data.valid is None else data.valid))
    if len(rows) and finite[rows[0]]:
        return [f"row {rows[0]} has features, and `valid` says that its tile could not be read"]
    if len(rows):
        return [f"features of {len(rows)} tiles are not finite, the first is row {rows[0]}"]
    return []


def _read(path: Path) -> tuple[FeatureData, str, list[str]]:
    with reading(path) as file:
        found = _root_attributes(file, path)
        data = _parse(file, found)
        said = (found["num_tiles"], found["feature_dim"], found["content_digest"])
    if faults := _shape_faults(data):
        return data, "", faults
    digest = data.content_digest
    if said[:2] != data.features.shape:
        faults.append(f"num_tiles and feature_dim say {said[:2]}, not {data.features.shape}")
    if said[2] != digest:
        faults.append("its content is not what was written: the content digest differs")
    return data, digest, faults


def _parse(file: h5py.File, found: dict[str, Any]) -> FeatureData:
    on_coords = attributes(file["coords"])
    values = {name: _plain(name, found[name]) for name in ROOT_FIELDS}
    values |= {name: _plain(name, on_coords[name]) for name in COORDS_FIELDS}
    names = texts(file["feature_names"]) if "feature_names" in file else []
    return FeatureData(
        features=file["features"][...],
        coords=file["coords"][...],
        feature_names=tuple(names),
        valid=file["valid"][...] if "valid" in file else None,
        **values,
    )


def _root_attributes(file: h5py.File, path: Path) -> dict[str, Any]:
    return checked_attributes(
        file, path, format=FORMAT, version=FORMAT_VERSION, what="feature file"
    )


def _shape_faults(data: FeatureData) -> list[str]:
    faults = []
    features, coords = data.features, data.coords
    if features.ndim != 2 or features.dtype.name not in FEATURE_DTYPES:
        faults.append(
            f"features are {features.dtype.name} {features.shape}; "
            f"expected (n, d) of {' or '.join(FEATURE_DTYPES)}"
        )
    elif coords.shape != (features.shape[0], 2) or coords.dtype.name != "int32":
        faults.append(
            f"coords are {coords.dtype.name} {coords.shape}; expected int32 "
            f"({features.shape[0]}, 2)"
        )
    elif data.valid is not None and (
        data.valid.shape != features.shape[:1] or data.valid.dtype != bool or data.valid.all()
    ):
        faults.append(
            f"valid is {data.valid.dtype.name} {data.valid.shape}; expected bool, not all"
        )
    elif data.feature_names and len(data.feature_names) != features.shape[1]:
        faults.append(f"{len(data.feature_names)} feature names for {features.shape[1]} features")
    return faults


def _little_endian(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _plain(name: str, value: Any) -> Any:
    if name in OPTIONAL_FIELDS:
        return None if value is None or np.isnan(value) else float(value)
    return value if isinstance(value, str) else int(value)
