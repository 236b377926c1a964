from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import read_features

from slidearray.errors import StorageFullError, StoreError
from slidearray.storage.feature_file import (
    FeatureData,
    check_feature_file,
    read_facts,
    write_feature_file,
)
from slidearray.storage.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., FeatureData]

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _assert_same(found: FeatureData, expected: FeatureData) -> None:
    for field in fields(FeatureData):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, field.name


def _wait_for_the_next_second() -> None:
    before = int(time.time())
    while int(time.time()) == before:
        pass


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("tiles", [0, 1, 7])
def test_a_feature_file_reads_back_equal(
    tmp_path: Path, make_data: Make, dtype: str, tiles: int
) -> None:
    data = make_data(tiles=tiles, feature_names=("a", "b", "é"))
    data = make_data(tiles=tiles, features=data.features.astype(dtype), mpp=None)
    facts = write_feature_file(tmp_path / "x" / "s_features.h5", data)
    path = tmp_path / "x" / "s_features.h5"
    _assert_same(read_features(path), data)
    assert check_feature_file(path) == []
    assert facts.size == path.stat().st_size
    assert facts.sha256 == sha256_file(path)
    assert read_facts(path).content_digest == facts.content_digest == data.content_digest
    assert read_facts(path).num_tiles == tiles


@given(slide_id=names, model=names, feature=names)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_text_survives_a_feature_file(
    tmp_path: Path, make_data: Make, slide_id: str, model: str, feature: str
) -> None:
    data = make_data(dim=1, slide_id=slide_id, model=model, feature_names=(feature,))
    write_feature_file(tmp_path / "a.h5", data)
    _assert_same(read_features(tmp_path / "a.h5"), data)


def test_the_same_data_gives_the_same_bytes_in_another_second(
    tmp_path: Path, make_data: Make
) -> None:
    data = make_data(feature_names=("a", "b", "c"))
    first = write_feature_file(tmp_path / "a.h5", data, token="first")
    _wait_for_the_next_second()
    assert write_feature_file(tmp_path / "deep" / "b.h5", data, token="second") == first
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "deep" / "b.h5").read_bytes()


def test_numbers_of_numpy_and_big_endian_arrays_give_the_same_bytes(
    tmp_path: Path, make_data: Make
) -> None:
    data = make_data()
    twin = make_data(
        features=np.asfortranarray(data.features).astype(">f4"),
        coords=data.coords.astype(">i4"),
        mpp=np.float64(0.5),
        level0_magnification=40.0,
        patch_size=np.int64(256),
    )
    assert write_feature_file(tmp_path / "a.h5", data) == write_feature_file(
        tmp_path / "b.h5", twin
    )


def test_other_tools_find_the_names_they_know(tmp_path: Path, make_data: Make) -> None:
    write_feature_file(tmp_path / "a.h5", make_data())
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["features"].shape == (5, 3)
        assert file["features"].chunks is None
        assert file["features"].compression is None
        coords = file["coords"]
        assert coords.dtype == np.int32
        assert coords.attrs["patch_size_level0"] == 512
        assert coords.attrs["level0_magnification"] == 40
        assert np.isnan(coords.attrs["target_magnification"])
        assert coords.attrs["name"].decode() == "s1"
        assert file.attrs["slide_id"].decode() == "s1"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"features": np.zeros((5, 3))}, "features are float64"),
        ({"features": np.zeros(5, "f4")}, r"features are float32 \(5,\)"),
        ({"coords": np.zeros((4, 2), "i4")}, "expected int32"),
        ({"coords": np.zeros((5, 2), "i8")}, "coords are int64"),
        ({"feature_names": ("a",)}, "1 feature names for 3 features"),
    ],
)
def test_arrays_that_no_reader_expects_are_not_written(
    tmp_path: Path, make_data: Make, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(StoreError, match=said):
        write_feature_file(tmp_path / "a.h5", make_data(**fields))
    assert _names(tmp_path) == []


def test_a_full_disk_leaves_no_file(tmp_path: Path, make_data: Make) -> None:
    (tmp_path / ".a.h5.t.partial").symlink_to("/dev/full")
    with pytest.raises(StorageFullError, match=r"a\.h5: cannot be written: No space left"):
        write_feature_file(tmp_path / "a.h5", make_data(tiles=10_000), token="t")
    assert _names(tmp_path) == []


def _change(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def _set(name: str, value: object) -> Callable[[h5py.File], object]:
    return lambda file: file.attrs.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("slide_id", "other"), "content digest differs"),
        (_set("num_tiles", 4), "num_tiles and feature_dim say"),
        (_set("format", "CLAM"), "not a feature file of version 1"),
        (_set("format_version", 2), "format_version 2"),
        (lambda file: file["features"].__setitem__((0, 0), 7), "content digest differs"),
        (lambda file: file["coords"].__setitem__((0, 0), 7), "content digest differs"),
        (lambda file: file["coords"].attrs.__setitem__("overlap", 7), "content digest differs"),
        (lambda file: file["coords"].attrs.__delitem__("overlap"), "damaged"),
        (lambda file: file.attrs.__delitem__("content_digest"), "damaged"),
        (lambda file: file.__delitem__("coords"), "damaged"),
        (lambda file: (file.__delitem__("features"), file.create_group("features")), "damaged"),
    ],
)
def test_a_changed_feature_file_is_refused(
    tmp_path: Path, make_data: Make, change: Callable[[h5py.File], object], said: str
) -> None:
    path = tmp_path / "a.h5"
    write_feature_file(path, make_data())
    _change(path, change)
    assert [said in fault for fault in check_feature_file(path)] == [True]
    with pytest.raises(StoreError, match=rf"{path}: .*{said}"):
        read_features(path)


@pytest.mark.parametrize("keep", [0, 8, 100, 0.5, 0.99])
def test_a_truncated_feature_file_is_refused(tmp_path: Path, make_data: Make, keep: float) -> None:
    path = tmp_path / "a.h5"
    write_feature_file(path, make_data(tiles=100))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(StoreError, match="damaged, or not an HDF5 file"):
        read_features(path)
    assert len(check_feature_file(path)) == 1


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a\.h5: no such file"):
        read_facts(tmp_path / "a.h5")
    with pytest.raises(StoreError, match=str(tmp_path)):
        read_facts(tmp_path)


def test_features_that_are_not_finite_are_a_fault(tmp_path: Path, make_data: Make) -> None:
    features = make_data().features
    features[3, 1] = np.nan
    write_feature_file(tmp_path / "a.h5", make_data(features=features))
    assert check_feature_file(tmp_path / "a.h5") == [
        "features of 1 tiles are not finite, the first is row 3"
    ]
