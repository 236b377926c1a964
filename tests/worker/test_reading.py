"""Which reader a worker uses, and what becomes of tiles that none can read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from tests.support import read_features

from slidearray.slides.synthetic import write_slide
from slidearray.storage.feature_file import check_feature_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.conftest import Bench


def damage_a_tile(bench: Bench) -> Path:
    """Slide a, of four tiles, with an unreadable second one; its feature file."""
    path = bench.project / "damaged.svs"
    write_slide(path, width=512, height=512, seed=0, tissue=0.5)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xd8", content.index(b"\xff\xd8") + 2)
    content[start : start + 2] = b"no"
    path.write_bytes(content)
    bench.slides[0] = replace(bench.slides[0], path=path.name)
    return bench.run.feature_file("acting", cohort="", slide_id="a")


def test_every_reader_gives_the_same_features(bench: Bench) -> None:
    found = []
    for reader in ("auto", "openslide", "fast"):
        bench.configure(reader=reader)
        assert bench.work() == 0
        assert bench.outcome() == dict.fromkeys("abc", "done")
        found.append(bench.features())
        for path in bench.run.features_dir.rglob("*.h5"):
            path.unlink()
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 3


def test_a_reader_that_cannot_read_a_slide_says_why(bench: Bench) -> None:
    path = bench.project / "all-damaged.svs"
    write_slide(path, width=512, height=512, seed=0, tissue=0.5)
    path.write_bytes(path.read_bytes().replace(b"\xff\xda", b"\xff\xdb"))
    bench.slides[1] = replace(bench.slides[1], path=path.name)
    bench.configure(reader="fast")
    assert bench.work() == 0
    assert bench.outcome() == {"a": "done", "b": "failed bad_parameters", "c": "done"}
    assert "reader: fast cannot read this slide" in bench.event("failed")["reason"]


def test_an_unreadable_tile_fails_its_slide_unless_the_config_allows_it(bench: Bench) -> None:
    path = damage_a_tile(bench)
    assert bench.work() == 0
    assert bench.outcome() == {"a": "failed corrupt_slide", "b": "done", "c": "done"}
    bench.configure(tiles={"max_invalid_fraction": 0.25})
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")
    assert [e["invalid_tiles"] for e in bench.events() if "invalid_tiles" in e] == [1]
    data = read_features(path)
    assert data.valid is not None
    assert data.valid.tolist() == [True, False, True, True]
    assert data.coords.tolist() == [[0, 0], [256, 0], [0, 256], [256, 256]]
    assert np.isnan(data.features).all(axis=1).tolist() == [False, True, False, False]
    assert check_feature_file(path) == []


def test_a_file_with_more_unreadable_tiles_than_allowed_is_not_current(bench: Bench) -> None:
    path = damage_a_tile(bench)
    bench.configure(tiles={"max_invalid_fraction": 0.25})
    bench.work()
    first = path.read_bytes()
    bench.work()
    assert [e["reused"] for e in bench.events() if e.get("slide_id") == "a" and "reused" in e] == [
        False, True,
    ]  # fmt: skip
    assert path.read_bytes() == first
    bench.configure(tiles={"max_invalid_fraction": 0.2})
    bench.work()
    assert bench.outcome()["a"] == "failed corrupt_slide"
