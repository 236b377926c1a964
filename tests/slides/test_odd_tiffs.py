"""TIFFs of kinds that scanners hardly write: the right pixels, or a named error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import tile_grid
from slidearray.core.recipe import TileSpec, TissueSpec
from slidearray.errors import SlideError
from slidearray.slides.choice import open_slide
from slidearray.slides.reader import slide_shape
from slidearray.slides.tiles import ahead, select_tiles, tile_batches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)


def image(samples: int, dtype: str = "uint8", *, edge: int = 200) -> NDArray[Any]:
    shape = (edge, edge) if samples == 1 else (edge, edge, samples)
    return RANDOM.integers(0, 256, shape).astype(dtype)


KINDS: dict[str, tuple[dict[str, Any], bool]] = {  # how it is written, and whether it is read fast
    "rgb": ({"data": image(3), "photometric": "rgb"}, True),
    "deflate": ({"data": image(3), "photometric": "rgb", "compression": "zlib"}, True),
    "differences": (
        {"data": image(3), "photometric": "rgb", "compression": "lzw", "predictor": True},
        True,
    ),
    "big endian": ({"data": image(3), "photometric": "rgb", "byteorder": ">"}, False),
    "jpeg": ({"data": image(3), "photometric": "ycbcr", "compression": "jpeg"}, True),
    "jpeg in rgb": (
        {
            "data": image(3),
            "photometric": "rgb",
            "compression": "jpeg",
            "compressionargs": {"level": 90, "outcolorspace": "rgb"},
        },
        True,
    ),
    "grey": ({"data": image(1), "photometric": "minisblack"}, True),
    "white is zero": ({"data": image(1), "photometric": "miniswhite"}, False),
    "planes": (
        {"data": image(3).transpose(2, 0, 1), "photometric": "rgb", "planarconfig": "separate"},
        False,
    ),
    "alpha": (
        {"data": image(4), "photometric": "rgb", "extrasamples": ["unassalpha"]},
        False,
    ),
    "cmyk": ({"data": image(4), "photometric": "separated"}, False),
    "16 bits": ({"data": image(3, "uint16"), "photometric": "rgb"}, False),
    "float": ({"data": image(3, "float32"), "photometric": "rgb"}, False),
}


def written(path: Path, how: dict[str, Any]) -> Path:
    options = {key: value for key, value in how.items() if key not in ("data", "byteorder")}
    with tifffile.TiffWriter(path, byteorder=how.get("byteorder", "<")) as tiff:
        tiff.write(how["data"], tile=(64, 64), metadata=None, **options)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_tiff_is_read_as_openslide_reads_it_or_refused(tmp_path: Path, kind: str) -> None:
    how, served = KINDS[kind]
    path = written(tmp_path / "odd.tif", how)
    try:
        reference = open_slide(path, reader="openslide")
    except SlideError as error:
        assert error.failure is FailureClass.UNSUPPORTED_SLIDE  # noqa: PT017
        assert not served
        return
    with reference, open_slide(path, reader="auto") as reader:
        assert (reader.why_not(0) is None) == served, reader.why_not(0)
        try:
            expected = reference.read(0, corner=(0, 0), size=(200, 200))
        except SlideError as error:
            assert error.failure is FailureClass.CORRUPT_SLIDE  # noqa: PT017
            with pytest.raises(SlideError):
                reader.read(0, corner=(0, 0), size=(200, 200))
        else:
            read = reader.read(0, corner=(0, 0), size=(200, 200))
            assert np.array_equal(read.pixels, expected.pixels)


@pytest.mark.parametrize("edge", [1, 2, 63, 64, 65])
def test_a_slide_of_hardly_any_pixels_is_read(tmp_path: Path, edge: int) -> None:
    data = image(3, edge=edge)
    path = written(tmp_path / "tiny.tif", {"data": data, "photometric": "rgb"})
    with open_slide(path, reader="fast") as reader:
        assert reader.why_not(0) is None
        assert np.array_equal(reader.read(0, corner=(0, 0), size=(edge, edge)).pixels, data)


def claiming(path: Path, edge: int) -> Path:
    """A TIFF of 16 tiles that says it is as large as this."""
    written(path, {"data": image(3), "photometric": "rgb"})
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages.first.tags[tag].overwrite(edge)
    return path


def test_tiles_that_are_claimed_and_not_there_were_never_scanned(tmp_path: Path) -> None:
    with open_slide(claiming(tmp_path / "vast.tif", 32_768), reader="auto") as reader:
        assert reader.why_not(0) == "level 0: 16 tiles where its size takes 262144"
        assert reader.read(0, corner=(32_000, 32_000), size=(64, 64)).transparent


def test_more_pixels_than_a_tiff_can_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError) as caught:
        open_slide(claiming(tmp_path / "vast.tif", 1_000_000_000), reader="auto")
    assert caught.value.failure is FailureClass.CORRUPT_SLIDE


def tiles_of(
    path: Path, *, allowed: float, threads: int = 1, reader: str = "auto"
) -> tuple[list[int], list[int], int]:
    """Rows that were read, rows that could not be, and how many have nothing there."""
    with open_slide(path, reader=reader) as slide:
        grid = tile_grid(
            slide_shape(slide.header, mpp_override=None),
            TileSpec(tile_size=64, stride=64, level=0),
        )
        selection = select_tiles(slide, grid, TissueSpec(method="none", min_coverage=0))
        batches = tile_batches(slide, selection, 3, threads=threads, max_invalid_fraction=allowed)
        rows, invalid, dropped = [], [], 0
        for batch in ahead(batches):
            rows += batch.rows.tolist()
            invalid += batch.invalid.tolist()
            dropped += batch.dropped
            values = batch.tiles.mean(axis=(1, 2, 3)).tolist()
            assert values == [10.0 * (row + 1) for row in batch.rows.tolist()]
    return rows, invalid, dropped


@pytest.mark.parametrize("reader", ["auto", "openslide"])
@pytest.mark.parametrize("threads", [1, 2])
def test_unreadable_tiles_are_counted_and_the_others_kept(
    tiled: Callable[..., Path], reader: str, threads: int
) -> None:
    path = tiled([[10, b"no jpeg", 30, None], [50, None, b"no jpeg", 80]])
    found = tiles_of(path, allowed=2 / 6, threads=threads, reader=reader)
    assert found == ([0, 2, 4, 7], [1, 6], 2)
    for allowed in (0.0, 2 / 6 - 0.001):
        with pytest.raises(SlideError, match=r"Not a JPEG|cannot be read") as caught:
            tiles_of(path, allowed=allowed, threads=threads, reader=reader)
        assert caught.value.failure is FailureClass.CORRUPT_SLIDE


def test_a_slide_that_is_gone_is_no_slide_with_unreadable_tiles(
    tiled: Callable[..., Path],
) -> None:
    path = tiled([[10, 20], [b"no jpeg", 40]])
    with open_slide(path, reader="auto") as slide:
        assert slide.why_not(0) is None
        path.unlink()
        with pytest.raises(SlideError) as caught:
            slide.read(0, corner=(0, 64), size=(64, 64))
    assert caught.value.failure is FailureClass.MISSING_FILE


def test_a_reader_that_reads_ahead_passes_on_what_goes_wrong(tiled: Callable[..., Path]) -> None:
    path = tiled([[10, 20, 30, 40, 50, b"no jpeg"]])
    with pytest.raises(SlideError, match="Not a JPEG"):
        tiles_of(path, allowed=0.0)
