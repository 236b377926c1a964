from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import TileGrid, tile_grid
from slidearray.core.recipe import TileSpec, TissueSpec
from slidearray.errors import SlideError
from slidearray.slides.reader import OpenSlideReader, slide_shape
from slidearray.slides.synthetic import write_slide
from slidearray.slides.tiff_writer import TiledJpegTiff
from slidearray.slides.tiles import TileBatch, TileSelection, select_tiles, tile_batches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = TissueSpec(method="none", min_coverage=0.0)


def grid_on(reader: OpenSlideReader, spec: TileSpec) -> TileGrid:
    return tile_grid(slide_shape(reader.header, mpp_override=None), spec)


def read_all(path: Path, spec: TileSpec, *, batch_size: int = 4) -> tuple[TileSelection, TileBatch]:
    """All tiles of a slide, as one batch."""
    with OpenSlideReader(path) as reader:
        selection = select_tiles(reader, grid_on(reader, spec), ALL)
        batches = list(tile_batches(reader, selection, batch_size))
    assert all(batch.tiles.flags.c_contiguous for batch in batches)
    assert all(len(batch.rows) == len(batch.tiles) for batch in batches)
    assert all(len(batch.rows) == batch_size for batch in batches[:-1])
    return selection, TileBatch(
        rows=np.concatenate([batch.rows for batch in batches]),
        tiles=np.concatenate([batch.tiles for batch in batches]),
        dropped=sum(batch.dropped for batch in batches),
        invalid=np.concatenate([batch.invalid for batch in batches]),
    )


@pytest.mark.parametrize("batch_size", [1, 4, 5, 64])
@pytest.mark.parametrize("pad", [False, True])
def test_tiles_are_the_pixels_at_their_corners(pyramid: Path, batch_size: int, pad: bool) -> None:
    spec = TileSpec(tile_size=60, stride=45, level=1, pad=pad)
    selection, batch = read_all(pyramid, spec, batch_size=batch_size)
    assert batch.rows.tolist() == list(range(len(selection)))
    with OpenSlideReader(pyramid) as reader:
        for corner, tile in zip(selection.corners.tolist(), batch.tiles, strict=True):
            read = reader.read(1, corner=(corner[0], corner[1]), size=(60, 60))
            assert np.array_equal(tile, read.pixels)
    assert np.array_equal(selection.coords, selection.corners * 2)


def test_tiles_at_another_resolution_are_averaged_by_area(pyramid: Path) -> None:
    spec = TileSpec(tile_size=50, stride=50, mpp=Fraction(3, 4))
    selection, batch = read_all(pyramid, spec)
    assert selection.grid.level == 0
    assert selection.grid.extent == (75, 75)
    with OpenSlideReader(pyramid) as reader:
        first = reader.read(0, corner=(0, 0), size=(75, 75)).pixels
    expected = cv2.resize(first, (50, 50), interpolation=cv2.INTER_AREA)
    assert np.array_equal(batch.tiles[0], expected)
    exact = first.reshape(25, 3, 25, 3, 3).mean((1, 3))
    assert np.abs(batch.tiles[0].reshape(25, 2, 25, 2, 3).mean((1, 3)) - exact).max() <= 1


def test_tiles_without_any_scanned_pixel_are_dropped_and_counted(
    tiled: Callable[..., Path],
) -> None:
    path = tiled([[None, 40, None], [80, None, None]])
    spec = TileSpec(tile_size=64, stride=64, level=0)
    for batch_size in (1, 2, 9):
        _, batch = read_all(path, spec, batch_size=batch_size)
        assert batch.rows.tolist() == [1, 3]
        assert batch.tiles.mean(axis=(1, 2, 3)).tolist() == [40, 80]
        assert batch.dropped == 4


def test_an_unreadable_tile_fails_the_slide(tiled: Callable[..., Path]) -> None:
    with pytest.raises(SlideError, match="level 0, 64x64 px at 64,0"):
        read_all(tiled([[40, b"no jpeg"]]), TileSpec(tile_size=64, stride=64, level=0))


def test_a_slide_smaller_than_a_tile_has_none(pyramid: Path) -> None:
    spec = TileSpec(tile_size=512, stride=512, level=0)
    with OpenSlideReader(pyramid) as reader:
        for tissue in (ALL, TissueSpec(method="otsu", min_coverage=0.5)):
            selection = select_tiles(reader, grid_on(reader, spec), tissue)
            assert len(selection) == 0
            assert selection.coords.shape == selection.corners.shape == (0, 2)
            assert list(tile_batches(reader, selection, 8)) == []


def test_tiles_are_kept_from_the_coverage_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "islands.svs"
    write_slide(path, width=2000, height=1500, seed=8, tissue=0.3)
    counts = {}
    with OpenSlideReader(path) as reader:
        grid = grid_on(reader, TileSpec(tile_size=64, stride=64, level=0))
        for least in (0.0, 0.05, 0.5, 1.0):
            spec = TissueSpec(method="otsu", min_coverage=least)
            selection = select_tiles(reader, grid, spec)
            counts[least] = len(selection)
            order = selection.corners[:, 1] * 10_000 + selection.corners[:, 0]
            assert (np.diff(order) > 0).all()
    assert counts[0.0] == grid.counts[0] * grid.counts[1]
    assert counts[0.0] > counts[0.05] > counts[0.5] > counts[1.0] > 0
    assert counts[0.5] / counts[0.0] == pytest.approx(0.3, rel=0.15)


def test_full_coverage_is_reached_whatever_the_rounding(tmp_path: Path) -> None:
    path = tmp_path / "pink.svs"
    pink = cv2.imencode(".jpg", np.full((64, 64, 3), (180, 90, 220), np.uint8))[1].tobytes()
    with path.open("wb") as file:
        tiff = TiledJpegTiff(file, tile=64)
        for width, height in ((301, 203), (100, 67)):
            tiles = [pink] * (math.ceil(width / 64) * math.ceil(height / 64))
            tiff.add(tiles, size=(width, height), description="Aperio")
    with OpenSlideReader(path) as reader:
        grid = grid_on(reader, TileSpec(tile_size=33, stride=7, level=0))
        kept = select_tiles(reader, grid, TissueSpec(method="otsu", min_coverage=1.0))
        assert len(kept) == grid.counts[0] * grid.counts[1]


@pytest.mark.parametrize("method", ["otsu", "none"])
def test_a_slide_too_small_for_a_tile_is_read_all_the_same(tmp_path: Path, method: str) -> None:
    path = tmp_path / "small.svs"
    write_slide(path, width=40, height=40, seed=1, tissue=0.5)
    broken = bytearray(path.read_bytes())
    start = broken.index(b"\xff\xda")  # the scan of the first JPEG tile
    broken[start : start + 2] = b"\x00\x00"
    path.write_bytes(broken)
    with OpenSlideReader(path) as reader:
        shape = slide_shape(reader.header, mpp_override=None)
        grid = tile_grid(shape, TileSpec(tile_size=256, stride=256, level=0))
        assert grid.counts == (0, 0)
        with pytest.raises(SlideError) as caught:
            select_tiles(reader, grid, TissueSpec(method=method, min_coverage=0.5))
    assert caught.value.failure is FailureClass.CORRUPT_SLIDE
