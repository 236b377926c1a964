from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from slidearray.storage.feature_file import FeatureData, write_feature_file
from slidearray.storage.store_writer import StoreContent, write_store
from slidearray.storage.verify import verify_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[h5py.File], object]
    Make = Callable[..., FeatureData]
    MakeContent = Callable[..., StoreContent]


def _set(name: str, value: object) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


def _put(name: str, index: object, value: object) -> Change:
    return lambda file: file[name].__setitem__(index, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_put("features", (1, 1), np.nan), "not finite, first in row 1 (slide a)"),
        (_put("features", (6, 1), np.inf), "not finite, first in row 6 (slide b)"),
        (_put("features", (1, 1), 7), "content digest differs"),
        (_put("coords", (1, 1), 7), "content digest differs"),
        (_put("slides/manifest/c0000", 0, b"other"), "content digest differs"),
        (_put("slides/slide_id", 0, b"b"), "holds an id twice"),
        (_put("slides/slide_id", 0, b"c"), "content digest differs"),
        (_put("slides/offset", 1, 4), "do not lay the slides out"),
        (_put("slides/count", 1, 4), "do not lay the slides out"),
        (_set("num_tiles", 11), "expected (11, 3)"),
        (_set("num_slides", 3), "expected (3,)"),
        (_set("feature_dim", 4), "expected (10, 4)"),
        (_set("complete", False), "complete is False, and 0 slides are missing"),
        (_set("recipe", "{}"), "recipe_digest is not that of its recipe"),
        (_set("model", "other"), "content digest differs"),
        (_set("format_version", 2), "not a store of version 1"),
        (_set("format", "other"), "neither a feature file nor a store"),
        (lambda file: file.__delitem__("coords"), "damaged"),
        (lambda file: file.attrs.__delitem__("recipe"), "damaged"),
    ],
)
def test_a_changed_store_is_a_fault(
    tmp_path: Path, make_data: Make, make_content: MakeContent, change: Change, said: str
) -> None:
    cells = {"a": {"note": "first"}, "b": {"note": "second"}}
    write_store(tmp_path / "s.h5", make_content(make_data("a"), make_data("b"), cells=cells))
    assert verify_paths([tmp_path / "s.h5"])[0].faults == ()
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        change(file)
    faults = verify_paths([tmp_path / "s.h5"])[0].faults
    assert [fault for fault in faults if said in fault], faults


def test_every_file_of_a_folder_is_checked_and_named(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    write_store(tmp_path / "s.h5", make_content(make_data("b"), make_data("a")))
    (tmp_path / "z.h5").write_text("no")
    (tmp_path / ".z.h5.t.partial").write_text("no")
    checks = verify_paths([tmp_path])
    assert [(check.path.name, check.kind, len(check.faults)) for check in checks] == [
        ("a_features.h5", "feature file", 0),
        ("b_features.h5", "feature file", 0),
        ("s.h5", "store", 0),
        ("z.h5", "unknown", 1),
    ]


def test_a_changed_feature_file_is_a_fault(tmp_path: Path, make_data: Make) -> None:
    write_feature_file(tmp_path / "a.h5", make_data())
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["features"][0, 0] = 9
    (check,) = verify_paths([tmp_path / "a.h5"])
    assert (check.kind, len(check.faults)) == ("feature file", 1)


def test_an_empty_folder_and_a_missing_file_are_faults(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    checks = verify_paths([tmp_path / "empty", tmp_path / "gone.h5"])
    assert [check.faults for check in checks] == [
        ("no .h5 file in this folder",),
        ("no such file",),
    ]
