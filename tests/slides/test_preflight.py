from __future__ import annotations

import errno
import os
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from slidearray.core.classes import FailureClass
from slidearray.core.cost import PIXELS_PER_BYTE
from slidearray.core.geometry import SlideShape, tile_grid
from slidearray.core.headers import HEADER_COLUMNS
from slidearray.core.recipe import TileSpec
from slidearray.errors import SlideError
from slidearray.slides.discovery import find_slides
from slidearray.slides.preflight import Slides, read_all, read_cells, survey
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slidearray.core.planning import Survey

HALF = TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2))
SPECS = [
    HALF,
    TileSpec(tile_size=224, stride=100, mpp=Fraction(10, 7), pad=True),
    TileSpec(tile_size=64, stride=64, mpp=Fraction("3.2")),
    TileSpec(tile_size=256, stride=256, level=0),
    TileSpec(tile_size=64, stride=64, level=1, pad=True),
    TileSpec(tile_size=64, stride=64, level=7),
]
MANIFEST_MPP = ["", "", "0.499", "0.25", "250"]  # as people fill it in, and get it wrong


def slides_of(folder: Path) -> list[str]:
    return [str(slide.path) for slide in find_slides([folder], root=folder)]


def told_by(folder: Path, paths: list[str]) -> dict[str, list[str]]:
    """The columns that `manifest build --headers` writes."""
    read = list(read_all((folder / path for path in paths), tissue=True))
    return {
        name: ["" if isinstance(each, SlideError) else each.cells[name] for each in read]
        for name in HEADER_COLUMNS
    }


def look(
    folder: Path,
    paths: list[str],
    *,
    spec: TileSpec = HALF,
    mpp: list[str] | None = None,
    told: dict[str, list[str]] | None = None,
) -> Survey:
    slides = Slides(root=folder, paths=paths, mpp=mpp or [""] * len(paths), told=told or {})
    return survey(slides, spec=spec, tissue=True)


def assert_equal(one: Survey, other: Survey) -> None:
    for name in ("tiles", "target_pixels", "read_pixels", "tissue"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.faults.keys() == other.faults.keys()
    for row, error in one.faults.items():
        assert (error.failure, error.reason) == (
            other.faults[row].failure,
            other.faults[row].reason,
        )


@pytest.mark.parametrize("folder", ["real", "odd-opens", "broken"])
def test_the_manifests_columns_lead_to_what_the_slides_themselves_do(
    real_slides: Path, folder: str
) -> None:
    root = real_slides / folder
    paths = slides_of(root)
    told = told_by(root, paths)
    for k, spec in enumerate(SPECS):
        mpp = [MANIFEST_MPP[(k + row) % len(MANIFEST_MPP)] for row in range(len(paths))]
        opened = look(root, paths, spec=spec, mpp=mpp)
        assert_equal(look(root, paths, spec=spec, mpp=mpp, told=told), opened)
        for row in opened.faults:  # whatever is wrong with a slide, it has no tiles
            assert opened.tiles[row] == 0


def test_a_slide_of_which_the_manifest_tells_the_levels_is_not_opened(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.svs", width=1600, height=1200, seed=1, tissue=0.5, mpp="0.25")
    write_slide(tmp_path / "b.svs", width=900, height=700, seed=2, tissue=0.5, mpp="0.5")
    paths = ["a.svs", "b.svs"]
    told, opened = told_by(tmp_path, paths), look(tmp_path, paths)
    (tmp_path / "a.svs").unlink()
    assert_equal(look(tmp_path, paths, told=told), opened)
    told["header_levels"][0] = ""
    assert look(tmp_path, paths, told=told).faults[0].failure is FailureClass.MISSING_FILE


@pytest.mark.parametrize(("mpp", "expected"), [("", (0.25, 0.5)), ("0.5", (0.5, 0.5))])
def test_each_axis_has_its_own_resolution_unless_the_manifest_corrects_it(
    tmp_path: Path, mpp: str, expected: tuple[float, float]
) -> None:
    told = {
        "header_levels": ["8000x6000 2000x1500"],
        "header_mpp_x": ["0.25"],
        "header_mpp_y": ["0.5"],
    }
    found = look(tmp_path, ["a.svs"], mpp=[mpp], told=told)
    shape = SlideShape(
        level_dimensions=((8000, 6000), (2000, 1500)),
        mpp=(Fraction(expected[0]), Fraction(expected[1])),
    )
    grid = tile_grid(shape, HALF)
    assert found.tiles[0] == grid.counts[0] * grid.counts[1]
    assert found.read_pixels[0] == found.tiles[0] * grid.extent[0] * grid.extent[1]
    assert found.target_pixels[0] == found.tiles[0] * 256 * 256


def test_a_resolution_that_is_no_number_is_none_in_the_columns_too(tmp_path: Path) -> None:
    write_slide(tmp_path / "a.svs", width=900, height=700, seed=1, tissue=0.5, mpp="0.25")
    data = (tmp_path / "a.svs").read_bytes()
    (tmp_path / "a.svs").write_bytes(data.replace(b"MPP = 0.25", b"MPP = -.25"))
    read = read_cells(tmp_path / "a.svs", tissue=True)
    assert (read.header.mpp_x, read.cells["header_mpp_x"]) == ("-0.25", "")
    told = told_by(tmp_path, ["a.svs"])
    for mpp in ("", "0.5"):
        opened = look(tmp_path, ["a.svs"], mpp=[mpp])
        assert_equal(look(tmp_path, ["a.svs"], mpp=[mpp], told=told), opened)


def test_a_lowest_level_that_cannot_be_read_tells_no_tissue(tiled: Callable[..., Path]) -> None:
    assert read_cells(tiled([[100, b"no JPEG"]]), tissue=True).cells["header_tissue"] == ""


def test_without_a_tissue_column_a_slide_counts_whole(tmp_path: Path) -> None:
    told = {"header_levels": ["1000x800 250x200"], "header_mpp_x": ["0.5"], "header_mpp_y": ["0.5"]}
    found = look(tmp_path, ["a.svs"], told=told)
    assert (found.tiles[0], found.tissue[0]) == (3 * 3, 1.0)


@pytest.mark.parametrize("lost", ["header_levels", "header_mpp_x", "header_mpp_y"])
def test_where_a_column_was_removed_the_slides_are_opened(tmp_path: Path, lost: str) -> None:
    write_slide(tmp_path / "a.svs", width=900, height=700, seed=1, tissue=0.5, mpp="0.25")
    told = told_by(tmp_path, ["a.svs"])
    del told[lost]
    assert_equal(look(tmp_path, ["a.svs"], told=told), look(tmp_path, ["a.svs"]))
    (tmp_path / "a.svs").unlink()
    assert look(tmp_path, ["a.svs"], told=told).faults[0].failure is FailureClass.MISSING_FILE


def test_tissue_is_told_by_the_lowest_level(tmp_path: Path) -> None:
    write_slide(tmp_path / "full.svs", width=1600, height=1200, seed=1, tissue=0.9, mpp="0.25")
    write_slide(tmp_path / "bare.svs", width=1600, height=1200, seed=1, tissue=0.0, mpp="0.25")
    full, bare = look(tmp_path, ["full.svs", "bare.svs"]).tissue
    assert bare < 0.01
    assert full == pytest.approx(0.9, abs=0.15)


def test_a_slide_that_the_file_system_cannot_give_just_now_is_guessed_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eio(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a.svs").write_bytes(b"x" * 1000)
    monkeypatch.setattr("pathlib.Path.open", eio)
    found = look(tmp_path, ["a.svs"])
    assert found.faults[0].failure is FailureClass.WORKER_ERROR
    assert found.target_pixels[0] == found.read_pixels[0] == 1000 * PIXELS_PER_BYTE
    assert found.tiles[0] == 0


def test_the_progress_ends_with_all_slides(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    told = {name: ["", "0.5", "0.5"] for name in ("header_mpp_x", "header_mpp_y")}
    told["header_levels"] = ["", "1000x800", "10x10"]
    slides = Slides(root=tmp_path, paths=["x", "y", "z"], mpp=["", "0.5", "0.5"], told=told)
    survey(slides, spec=HALF, tissue=True, progress=lambda *now: seen.append(now))
    assert seen[-1] == (3, 3)
    assert all(done <= total == 3 for done, total in seen)
