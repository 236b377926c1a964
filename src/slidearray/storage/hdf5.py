"""HDF5 with the same bytes every time: no times, fixed format bounds, fixed-length texts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p, h5s, h5t

from slidearray.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

# More attributes than this on one object would move to a heap of their own.
MAX_COMPACT_ATTRIBUTES = 64


def create_file(path: Path) -> h5py.File:
    """A new HDF5 file whose bytes depend on what is written to it alone."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    # Locking fails on many network file systems; no file is ever written under its final name.
    access.set_file_locking(False, True)
    # Through the sieve buffer small arrays are written when their object is freed, where h5py can
    # raise nothing: on a full disk the file then lacks them without a word.
    access.set_sieve_buf_size(0)
    creation = _untimed(h5p.FILE_CREATE)
    creation.set_attr_phase_change(MAX_COMPACT_ATTRIBUTES, 0)
    return h5py.File(h5f.create(bytes(path), h5f.ACC_TRUNC, creation, access))


def add_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A new group without a time in it."""
    return h5py.Group(h5g.create(parent.id, name.encode(), gcpl=_untimed(h5p.GROUP_CREATE)))


def reserve(
    group: h5py.Group, name: str, *, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> h5py.Dataset:
    """A contiguous dataset with its place in the file, to be filled completely."""
    creation = _untimed(h5p.DATASET_CREATE)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    kind = h5t.py_create(np.dtype(dtype), logical=True)
    space = h5s.create_simple(shape)
    return h5py.Dataset(h5d.create(group.id, name.encode(), kind, space, dcpl=creation))


def add_array(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> h5py.Dataset:
    """A contiguous, uncompressed dataset of the array's own dtype."""
    dataset = reserve(group, name, shape=values.shape, dtype=values.dtype)
    if values.size:
        dataset[...] = values
    return dataset


def add_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> h5py.Dataset:
    """A dataset of fixed-length UTF-8 texts."""
    return add_array(group, name, _text_array(texts))


def set_attributes(target: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    """Attributes in the order given: texts of fixed length, int64, float64 (None is NaN), bool."""
    for name, value in values.items():
        target.attrs.create(name, _attribute_value(value))


def attributes(target: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """All attributes as Python values, bytes as text."""
    return {name: _python_value(value) for name, value in target.attrs.items()}


def checked_attributes(
    file: h5py.File, path: Path, *, format: str, version: int, what: str
) -> dict[str, Any]:
    """The attributes of a file of ours.

    Parameters
    ----------
    file, path
        The open file, and its name for messages.
    format, version
        What its ``format`` and ``format_version`` have to be.
    what
        The format in words, for messages.

    Raises
    ------
    StoreError
        It is of another format or version.
    """
    found = attributes(file)
    said = (found.get("format"), found.get("format_version"))
    if said != (format, version):
        raise StoreError(
            f"{path}: not a {what} of version {version} "
            f"(format {said[0]!r}, format_version {said[1]!r})"
        )
    return found


def texts(dataset: h5py.Dataset) -> list[str]:
    """A dataset of texts as a list."""
    return [value.decode() for value in dataset[...].tolist()]


@contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; `StoreError` when it, or something in it, cannot be read."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> StoreError:
    """What HDF5 says of a file that it cannot read, for people."""
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{path}: no such file")
    if isinstance(error, OSError) and error.errno and error.filename:
        return StoreError(f"{path}: {error.strerror}")
    return StoreError(f"{path}: damaged, or not an HDF5 file of slidearray ({error})")


def _untimed(kind: Any) -> Any:
    properties = h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _text_array(values: Sequence[str]) -> npt.NDArray[Any]:
    # HDF5 pads with NUL, so a NUL inside a text would not come back.
    encoded = [text.replace("\0", "\\x00").encode("utf-8", "backslashreplace") for text in values]
    length = max((len(text) for text in encoded), default=0)
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(1, length)))


def _attribute_value(value: Any) -> npt.NDArray[Any]:
    if isinstance(value, str):
        return _text_array([value]).reshape(())
    if isinstance(value, bool):
        return np.array(value)
    if isinstance(value, int):
        return np.array(value, dtype="<i8")
    return np.array(np.nan if value is None else value, dtype="<f8")


def _python_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
