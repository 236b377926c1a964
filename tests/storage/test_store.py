from __future__ import annotations

import pickle
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slidearray import FeatureStore
from slidearray.core.classes import FailureClass
from slidearray.errors import StorageFullError, StoreError
from slidearray.storage.feature_file import write_feature_file
from slidearray.storage.store_writer import Missing, UnusableFilesError, write_store
from slidearray.storage.verify import verify_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slidearray.storage.feature_file import FeatureData
    from slidearray.storage.store_writer import StoreContent

    Make = Callable[..., FeatureData]
    MakeContent = Callable[..., StoreContent]

LOST = Missing(slide_id="gone", failure=FailureClass.MISSING_FILE, reason="gone.svs: no such file")


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path, make_data: Make, make_content: MakeContent) -> Path:
    """Three slides, the second without tissue."""
    slides = [make_data("b", tiles=4), make_data("0012", tiles=0, mpp=None), make_data("a", 6)]
    cells = {
        "b": {"cohort": "x", "age": "41", "stage": "0.50", "code": "0012"},
        "0012": {"cohort": "", "age": "7", "stage": "", "code": "NA"},
        "a": {"cohort": "y", "age": "-1", "stage": "1.25", "code": "1e5"},
    }
    write_store(tmp_path / "s.h5", make_content(*slides, cells=cells))
    return tmp_path / "s.h5"


def test_a_store_gives_back_every_slide_in_manifest_order(store: Path, make_data: Make) -> None:
    with FeatureStore(store) as found:
        assert (len(found), found.slide_ids) == (3, ("b", "0012", "a"))
        assert [slide.slide_id for slide in found] == ["b", "0012", "a"]
        assert [slide.num_tiles for slide in found] == [4, 0, 6]
        assert (found.complete, found.missing, found.feature_dim) == (True, [], 3)
        assert found.num_tiles == 10
        for slide_id, tiles in (("b", 4), ("0012", 0), ("a", 6)):
            data = make_data(slide_id, tiles=tiles)
            assert slide_id in found
            np.testing.assert_array_equal(found[slide_id].features, data.features)
            np.testing.assert_array_equal(found[slide_id].coords, data.coords)
            assert found[slide_id].coords.dtype == np.int32


def test_the_table_has_the_manifests_columns_as_they_were(store: Path) -> None:
    table = FeatureStore(store).slides
    assert table["slide_id"].tolist() == ["b", "0012", "a"]
    assert table["code"].tolist() == ["0012", "NA", "1e5"]
    assert table["cohort"].tolist() == ["x", "", "y"]
    assert table["age"].tolist() == [41, 7, -1]
    assert table["age"].dtype == np.int64
    assert table["stage"].dtype == np.float64
    assert table["stage"].isna().tolist() == [False, True, False]
    assert table["num_tiles"].tolist() == [4, 0, 6]
    assert table["tile_mpp"].isna().tolist() == [False, True, False]
    assert "path" not in table


def test_a_manifest_column_wins_over_the_stores_own(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    cells = {"a": {"num_tiles": "x", "store_num_tiles": "y", "mpp": "0.2500"}}
    write_store(tmp_path / "s.h5", make_content(make_data("a"), cells=cells))
    row = FeatureStore(tmp_path / "s.h5").slides.iloc[0]
    assert (row["num_tiles"], row["store_num_tiles"]) == ("x", "y")
    assert row["store_store_num_tiles"] == 5
    assert row["mpp"] == 0.25


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(
    column=texts.filter(lambda name: name not in ("", "slide_id", "path")),
    cells=st.lists(texts, min_size=2, max_size=2),
    slide_id=texts.filter(lambda name: name not in ("", "a")),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_id_column_name_and_cell_survive(
    tmp_path: Path,
    make_data: Make,
    make_content: MakeContent,
    column: str,
    cells: list[str],
    slide_id: str,
) -> None:
    content = make_content(make_data("a"), make_data("b"))
    renamed = make_data(slide_id)
    path = content.sources[1].path
    facts = write_feature_file(path, renamed)
    sources = [
        replace(content.sources[0], cells={column: cells[0]}),
        replace(
            content.sources[1],
            slide_id=slide_id,
            content_digest=facts.content_digest,
            cells={column: "x" + cells[1]},
        ),
    ]
    write_store(tmp_path / "s.h5", replace(content, sources=sources, columns=(column,)))
    table = FeatureStore(tmp_path / "s.h5").slides
    assert table["slide_id"].tolist() == ["a", slide_id]
    assert table.iloc[:, 1].tolist() == [cells[0], "x" + cells[1]]
    assert table.columns[1] == column
    assert verify_paths([tmp_path / "s.h5"])[0].faults == ()


def test_the_layout_is_the_documented_one(store: Path) -> None:
    with h5py.File(store) as file:
        assert sorted(file) == ["coords", "features", "slides"]
        assert sorted(file["slides"]) == [
            "count", "level0_height", "level0_width", "manifest", "mpp", "mpp_level0", "offset",
            "patch_size_level0", "slide_id", "slide_key",
        ]  # fmt: skip
        columns = file["slides/manifest"]
        assert {key: columns[key].attrs["name"].decode() for key in columns} == {
            "c0000": "cohort", "c0001": "age", "c0002": "stage", "c0003": "code",
        }  # fmt: skip
        assert set(file.attrs) == {
            "format", "format_version", "layout", "complete", "recipe_digest", "recipe", "model",
            "feature_dim", "num_slides", "num_tiles", "content_digest",
        }  # fmt: skip
        file.visititems(
            lambda _, item: _assert_plain(item) if isinstance(item, h5py.Dataset) else None
        )
        assert file["slides/offset"][:].tolist() == [0, 4, 4]


def _assert_plain(dataset: h5py.Dataset) -> None:
    assert (dataset.chunks, dataset.compression, dataset.dtype.hasobject) == (None, None, False)


def test_a_store_has_the_same_bytes_in_another_second_and_place(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    content = make_content(make_data("a", feature_names=("x", "y", "z")), missing=(LOST,))
    write_store(tmp_path / "one.h5", content, token="a")
    before = int(time.time())
    while int(time.time()) == before:
        pass
    (tmp_path / "elsewhere").mkdir()
    content = make_content(make_data("a", feature_names=("x", "y", "z")), missing=(LOST,))
    write_store(tmp_path / "elsewhere/two.h5", content, token="b")
    data = (tmp_path / "one.h5").read_bytes()
    assert data == (tmp_path / "elsewhere/two.h5").read_bytes()
    assert str(tmp_path).encode() not in data


def test_an_incomplete_store_says_what_is_missing_and_why(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    write_store(tmp_path / "s.h5", make_content(make_data("a"), missing=(LOST,)))
    found = FeatureStore(tmp_path / "s.h5")
    assert (found.complete, found.missing, len(found)) == (False, [LOST], 1)
    (check,) = verify_paths([tmp_path / "s.h5"])
    assert (check.faults, check.missing) == ((), ("gone",))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_features_keep_their_dtype_whatever_empty_slides_have(
    tmp_path: Path, make_data: Make, make_content: MakeContent, dtype: str
) -> None:
    full = make_data("b")
    slides = [make_data("a", tiles=0), replace(full, features=full.features.astype(dtype))]
    write_store(tmp_path / "s.h5", make_content(*slides))
    found = FeatureStore(tmp_path / "s.h5")
    assert found["b"].features.dtype == found["a"].features.dtype == dtype
    assert found["a"].features.shape == (0, 3)


def test_a_store_of_empty_slides_only_can_be_read(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    write_store(tmp_path / "s.h5", make_content(make_data("a", tiles=0)))
    assert FeatureStore(tmp_path / "s.h5")["a"].features.shape == (0, 3)
    assert verify_paths([tmp_path / "s.h5"])[0].faults == ()


def test_feature_names_are_kept(tmp_path: Path, make_data: Make, make_content: MakeContent) -> None:
    write_store(tmp_path / "s.h5", make_content(make_data("a", feature_names=("x", "é", "z"))))
    assert FeatureStore(tmp_path / "s.h5").feature_names == ["x", "é", "z"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recipe_digest": "0" * 64}, "recipe digest 0000"),
        ({"dim": 4}, "feature dimension 4, expected 3"),
        ({"model": "other"}, "model other, expected demo"),
        ({"features": np.zeros((5, 3), "f2")}, "dtype float16, expected float32"),
        ({"feature_names": ("x", "y", "z")}, "feature names"),
    ],
)
def test_features_that_do_not_belong_together_are_refused_by_name(
    tmp_path: Path,
    make_data: Make,
    make_content: MakeContent,
    fields: dict[str, Any],
    said: str,
) -> None:
    slides = [make_data("a"), make_data("b", **fields), make_data("c"), make_data("d", **fields)]
    with pytest.raises(StoreError, match=said) as caught:
        write_store(tmp_path / "s.h5", make_content(*slides))
    assert "b_features.h5" in str(caught.value)
    assert "d_features.h5" in str(caught.value)
    assert "a_features.h5" not in str(caught.value)
    assert not (tmp_path / "s.h5").exists()


def test_all_files_that_are_not_the_recorded_ones_are_named_at_once(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    content = make_content(*(make_data(slide_id) for slide_id in "abcde"))
    content.sources[1].path.unlink()
    content.sources[2].path.write_bytes(b"no HDF5")
    content.sources[3].path.write_bytes(content.sources[4].path.read_bytes())
    with pytest.raises(UnusableFilesError) as caught:
        write_store(tmp_path / "s.h5", content)
    assert set(caught.value.reasons) == {"b", "c", "d"}
    assert "no such file" in caught.value.reasons["b"]
    assert "not the recorded one" in caught.value.reasons["d"]
    assert _names(tmp_path) == ["features"]


def test_a_sound_file_with_another_digest_than_recorded_is_refused(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    content = make_content(make_data("a"))
    stale = [replace(content.sources[0], content_digest="0" * 64)]
    with pytest.raises(UnusableFilesError):
        write_store(tmp_path / "s.h5", replace(content, sources=stale))


def test_progress_counts_the_slides(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    seen: list[tuple[int, int]] = []
    content = make_content(make_data("a"), make_data("b"))
    write_store(tmp_path / "s.h5", content, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 2)]


def test_a_store_that_does_not_fit_leaves_the_old_one(
    tmp_path: Path, make_data: Make, make_content: MakeContent
) -> None:
    content = make_content(make_data("a", tiles=50_000))
    (tmp_path / "s.h5").write_text("old")
    (tmp_path / ".s.h5.t.partial").symlink_to("/dev/full")
    with pytest.raises(StorageFullError, match=r"s\.h5"):
        write_store(tmp_path / "s.h5", content, token="t")
    assert (tmp_path / "s.h5").read_text() == "old"


def test_an_unknown_slide_is_a_key_error_that_says_where(store: Path) -> None:
    with pytest.raises(KeyError, match=r"s\.h5: no slide 'c'; it has 3 slides"):
        FeatureStore(store)["c"]


def test_what_is_no_store_is_refused_by_name(
    tmp_path: Path, make_content: MakeContent, make_data: Make
) -> None:
    (tmp_path / "text.h5").write_text("hello")
    make_content(make_data("a"))
    for path in ("gone.h5", "text.h5", "features/a_features.h5"):
        with pytest.raises(StoreError, match=path):
            FeatureStore(tmp_path / path)


def test_a_store_that_vanished_is_named_when_it_is_read(store: Path) -> None:
    found = FeatureStore(store)
    store.unlink()
    for read in (lambda: found["b"].features, lambda: found.slides, lambda: found.missing):
        with pytest.raises(StoreError, match=r"s\.h5: "):
            read()


def test_a_store_and_a_slide_say_what_they_are(store: Path) -> None:
    found = FeatureStore(store)
    assert "3 slides, 10 tiles, 3 features" in repr(found)
    assert repr(found["b"]) == "SlideFeatures('b': 4 tiles)"


def test_a_closed_store_opens_again_when_asked(store: Path) -> None:
    found = FeatureStore(store)
    first = found["b"].features
    found.close()
    np.testing.assert_array_equal(found["b"].features, first)
    found.close()
    found.close()


def test_a_slide_and_a_store_can_be_pickled_while_open(store: Path) -> None:
    found = FeatureStore(store)
    slide = found["b"]
    expected = slide.features
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(slide)).features, expected)
    assert pickle.loads(pickle.dumps(found)).slide_ids == found.slide_ids


CHILDREN = """
import multiprocessing, sys
from slidearray import FeatureStore

def total(slide):
    return float(slide.features.sum())

if __name__ == "__main__":
    store = FeatureStore(sys.argv[2])
    expected = [total(slide) for slide in store]  # opens the file before the children start
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3) as pool:
        for _ in range(3):
            assert pool.map(total, list(store), chunksize=1) == expected
    assert [total(slide) for slide in store] == expected
"""

INHERITED = """
import os, sys
from slidearray import FeatureStore

store = FeatureStore(sys.argv[1])
expected = store["a"].features.sum()
children = []
for _ in range(4):
    if (pid := os.fork()) == 0:
        same = all(store["a"].features.sum() == expected for _ in range(50))
        store.close()
        os._exit(0 if same else 1)
    children.append(pid)
assert all(store["a"].features.sum() == expected for _ in range(50))
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
assert store["a"].features.sum() == expected
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_store_works_in_child_processes(tmp_path: Path, store: Path, method: str) -> None:
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    subprocess.run([sys.executable, script, method, store], check=True, timeout=120)


def test_an_open_store_works_on_both_sides_of_a_fork(tmp_path: Path, store: Path) -> None:
    script = tmp_path / "inherited.py"
    script.write_text(INHERITED)
    subprocess.run([sys.executable, script, store], check=True, timeout=120)


def test_the_table_is_a_pandas_table(store: Path) -> None:
    assert isinstance(FeatureStore(store).slides, pd.DataFrame)
