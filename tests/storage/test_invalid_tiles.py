"""Tiles that could not be read: NaN in the features, and named by `valid`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from tests.support import read_features

from slidearray.errors import StoreError
from slidearray.storage.feature_file import (
    FeatureData,
    check_feature_file,
    read_facts,
    write_feature_file,
)
from slidearray.storage.store_writer import StoreContent, write_store
from slidearray.storage.verify import verify_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., FeatureData]
    MakeContent = Callable[..., StoreContent]


def with_invalid(data: FeatureData, *rows: int) -> FeatureData:
    valid = np.ones(len(data.features), np.bool_)
    valid[list(rows)] = False
    features = data.features.copy()
    features[~valid] = np.nan
    return replace(data, features=features, valid=valid)


def test_a_file_with_invalid_tiles_is_sound_and_counts_them(
    tmp_path: Path, make_data: Make
) -> None:
    path = tmp_path / "s_features.h5"
    data = with_invalid(make_data("s1"), 1, 3)
    write_feature_file(path, data)
    assert check_feature_file(path) == []
    assert read_facts(path).num_invalid == 2
    found = read_features(path)
    assert found.valid is not None
    assert found.valid.tolist() == [True, False, True, False, True]
    assert data.content_digest != replace(data, valid=None).content_digest


def test_a_file_without_any_says_nothing_of_them(tmp_path: Path, make_data: Make) -> None:
    path = tmp_path / "s_features.h5"
    write_feature_file(path, make_data("s1"))
    assert read_facts(path).num_invalid == 0
    with h5py.File(path) as file:
        assert "valid" not in file
        assert "num_invalid" not in file.attrs


def test_features_of_a_tile_that_could_not_be_read_are_a_fault(
    tmp_path: Path, make_data: Make
) -> None:
    path = tmp_path / "s_features.h5"
    data = with_invalid(make_data("s1"), 2)
    write_feature_file(path, replace(data, features=np.zeros_like(data.features)))
    (fault,) = check_feature_file(path)
    assert fault == "row 2 has features, and `valid` says that its tile could not be read"
    for valid in (np.ones(5, np.bool_), np.zeros(4, np.bool_)):
        with pytest.raises(StoreError, match="valid is"):
            write_feature_file(path, replace(data, valid=valid))


def test_a_store_says_which_of_its_tiles_could_not_be_read(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    path = tmp_path / "s.h5"
    slides = (make_data("a"), with_invalid(make_data("b"), 4), with_invalid(make_data("c"), 0))
    write_store(path, make_content(*slides))
    with h5py.File(path) as file:
        assert np.flatnonzero(~file["valid"][...]).tolist() == [9, 10]
    assert verify_paths([path])[0].faults == ()
    with h5py.File(path, "r+") as file:
        file["valid"][9] = True
    assert "features are not finite, first in row 9 (slide b)" in verify_paths([path])[0].faults
