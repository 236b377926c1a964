from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.reader import OpenSlideReader
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def whole_level(path: Path, level: int) -> NDArray[np.uint8]:
    with openslide.OpenSlide(path) as slide:
        image = slide.read_region((0, 0), level, slide.level_dimensions[level])
        return np.array(image.convert("RGB"))


def on_white(
    level: NDArray[np.uint8], corner: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A region of a level, cut out of it laid on endless white."""
    margin = 700
    wide = np.pad(level, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
    x, y = corner[0] + margin, corner[1] + margin
    return wide[y : y + size[1], x : x + size[0]]


@given(
    level=st.integers(0, 2),
    corner=st.tuples(st.integers(-150, 350), st.integers(-150, 250)),
    size=st.tuples(st.integers(1, 330), st.integers(1, 330)),
)
def test_a_region_is_the_levels_own_pixels_on_white(
    pyramid: Path, level: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    with OpenSlideReader(pyramid) as reader:
        read = reader.read(level, corner=corner, size=size)
    expected = on_white(whole_level(pyramid, level), corner, size)
    assert np.array_equal(read.pixels, expected)
    assert read.pixels.dtype == np.uint8


def test_every_level_of_a_real_slide_with_whole_downsamples_reads_exactly(
    real_slides: Path,
) -> None:
    checked = 0
    for path in sorted((real_slides / "real").glob("*.*")):
        with OpenSlideReader(path) as reader:
            for level, downsample in enumerate(reader.header.downsamples):
                width, height = reader.header.level_dimensions[level]
                if not downsample.is_integer() or width * height > 10_000_000:
                    continue
                whole = whole_level(path, level)
                corner = (width - 101, height - 77)
                read = reader.read(level, corner=corner, size=(101, 77))
                assert np.array_equal(read.pixels, whole[corner[1] :, corner[0] :])
                checked += 1
    assert checked >= 2


@pytest.mark.parametrize("size", [(301, 203), (303, 201), (307, 255)])
def test_no_far_edge_is_blended_with_the_outside(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "fractional.svs"
    write_slide(path, width=size[0], height=size[1], seed=1, tissue=1.0, levels=(1, 4))
    with openslide.OpenSlide(path) as slide, OpenSlideReader(path) as reader:
        width, height = reader.header.level_dimensions[1]
        assert not reader.header.downsamples[1].is_integer()
        for edge in range(1, 40):
            corner = (width - edge, height - edge)
            position = reader_position(reader, level=1, corner=corner, size=(edge, edge))
            region = slide.read_region(position, 1, (edge, edge))
            assert region.getchannel("A").getextrema()[0] == 255
            read = reader.read(1, corner=corner, size=(edge, edge))
            assert np.array_equal(read.pixels, np.array(region.convert("RGB")))


def reader_position(
    reader: OpenSlideReader, *, level: int, corner: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int]:
    """The nearest level-0 pixel from which the region still fits into the level."""
    best = []
    for axis in (0, 1):
        downsample = reader.header.downsamples[level]
        length = reader.header.level_dimensions[level][axis]
        wanted = corner[axis] * downsample
        near = range(max(0, int(wanted) - 3), int(wanted) + 4)
        fitting = [p for p in near if p / downsample + size[axis] <= length + 1e-9]
        best.append(min(fitting, key=lambda p: abs(p - wanted)))
    return best[0], best[1]


def test_a_bad_tile_is_named_and_the_others_stay_readable(tiled: Callable[..., Path]) -> None:
    path = tiled([[40, 80], [b"no jpeg", 120]])
    with OpenSlideReader(path) as reader:
        for _ in range(2):
            with pytest.raises(SlideError, match=r"level 0, 64x64 px at 0,64: ") as info:
                reader.read(0, corner=(0, 64), size=(64, 64))
            assert info.value.failure == FailureClass.CORRUPT_SLIDE
            assert reader.read(0, corner=(64, 64), size=(64, 64)).pixels.mean() == 120


def test_a_handle_that_died_is_opened_again(tiled: Callable[..., Path]) -> None:
    good = tiled([[40, 40]], name="good.svs").read_bytes()
    path = tiled([[40, good[:1] * 700]])
    with OpenSlideReader(path) as reader:
        assert reader._slide is not None
        with pytest.raises(openslide.OpenSlideError):
            reader._slide.read_region((64, 0), 0, (64, 64))
        assert reader.read(0, corner=(0, 0), size=(64, 64)).pixels.mean() == 40


def test_a_file_that_is_gone_when_reopened_is_missing(tiled: Callable[..., Path]) -> None:
    path = tiled([[40, b"no jpeg"]])
    with OpenSlideReader(path) as reader:
        path.unlink()
        with pytest.raises(SlideError) as info:
            reader.read(0, corner=(64, 0), size=(64, 64))
    assert info.value.failure == FailureClass.MISSING_FILE


def test_only_a_region_without_any_scanned_pixel_is_transparent(
    tiled: Callable[..., Path],
) -> None:
    with OpenSlideReader(tiled([[40, None, None]])) as reader:
        cases = {(0, 0): False, (63, 0): False, (64, 0): True, (150, 0): True, (500, 500): True}
        for corner, transparent in cases.items():
            assert reader.read(0, corner=corner, size=(64, 64)).transparent == transparent
        pixels = reader.read(0, corner=(32, 0), size=(64, 64)).pixels
    assert (pixels[:, :32] == 40).all()
    assert (pixels[:, 32:] == 255).all()


def test_half_transparent_pixels_lie_on_the_background_colour(real_slides: Path) -> None:
    for path in (real_slides / "odd-opens").glob("rgba_geotiff.tiff"):
        with openslide.OpenSlide(path) as slide:
            rgba = slide.read_region((0, 0), 0, (600, 600))
        white = Image.new("RGBA", rgba.size, "white")
        expected = np.array(Image.alpha_composite(white, rgba).convert("RGB")).astype(int)
        with OpenSlideReader(path) as reader:
            read = reader.read(0, corner=(0, 0), size=(600, 600)).pixels.astype(int)
        assert np.abs(read - expected).max() <= 1  # Pillow rounds in its own way


def test_the_handle_is_closed_with_the_block(pyramid: Path) -> None:
    with OpenSlideReader(pyramid) as reader:
        reader.read(0, corner=(0, 0), size=(8, 8))
    assert reader._slide is None
