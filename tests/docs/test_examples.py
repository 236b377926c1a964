"""The Python of the documents runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import feature_data

from slidearray.encoders.contract import encode_checked, load_encoder
from slidearray.storage.feature_file import write_feature_file
from slidearray.storage.store_writer import StoreContent, StoreSource, write_store

DOCS = Path(__file__).resolve().parents[2] / "docs"
SLIDE_ID = "slide001"


def examples(page: str) -> list[str]:
    """The Python blocks of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(code: str) -> dict[str, Any]:
    """Run an example; its variables."""
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)
    return names


FEATURES = feature_data(
    SLIDE_ID, tiles=2, coords=np.array([[0, 0], [256, 0]], np.int32), model="color-texture"
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store where the pages expect it; the current folder is the project's."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs" / "first" / "stores" / "color-texture.h5"
    path.parent.mkdir(parents=True)
    facts = write_feature_file(tmp_path / f"{SLIDE_ID}_features.h5", FEATURES)
    source = StoreSource(
        slide_id=SLIDE_ID,
        path=tmp_path / f"{SLIDE_ID}_features.h5",
        num_tiles=2,
        content_digest=facts.content_digest,
        cells={"slide_id": SLIDE_ID, "path": "raw_slides/slide001.svs", "grade": "2"},
    )
    content = StoreContent(
        sources=[source],
        missing=[],
        columns=["slide_id", "path", "grade"],
        recipe={},
        recipe_digest="0" * 64,
        feature_dim=3,
    )
    write_store(path, content)
    return path


def test_the_encoder_of_the_page_keeps_the_contract(tmp_path: Path) -> None:
    (code,) = examples("how-to/encoder-plugin.md")
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "mean_colour.py").write_text(code)
    loaded = load_encoder("python:encoders/mean_colour.py:make", {}, root=tmp_path)
    tiles = np.zeros((2, 4, 4, 3), np.uint8)
    tiles[1, :, :, 0] = 255
    assert encode_checked(loaded, tiles).tolist() == [[0, 0, 0], [1, 0, 0]]
    assert loaded.feature_names == ("red", "green", "blue")


@pytest.mark.usefixtures("store")
def test_a_feature_file_is_read_as_its_page_shows() -> None:
    (code,) = examples("reference/feature-file.md")
    names = run(code)
    assert np.array_equal(names["features"], FEATURES.features)
    assert names["edge"] == 512


@pytest.mark.usefixtures("store")
def test_a_store_is_read_as_its_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = examples("reference/store.md")
    run(code)
    printed = capsys.readouterr().out
    assert printed.startswith("1 3 True\n(2, 3) [[  0   0]\n [256   0]]\n")
    assert "grade" in printed


def test_a_store_is_read_without_our_package_as_its_page_shows(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, code = examples("reference/store.md")
    monkeypatch.chdir(store.parent)
    assert np.array_equal(run(code)["features"], FEATURES.features)
