"""The fast reader has OpenSlide's pixels, or leaves the level to OpenSlide."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.choice import insist, open_slide
from slidearray.slides.fast import FastReader, _NativeLevel
from slidearray.slides.proof import is_whole
from slidearray.slides.reader import OpenSlideReader
from slidearray.slides.tiff_writer import TiledJpegTiff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REGIONS = 12  # a level
EDGE = 300

# Real and odd slides: levels that are read by their native tiles, or why none is.
SERVED = {
    "CMU-0-small.tiff": 3,
    "CMU-1-Small-Region.svs": 1,
    "tcga-cr-7395-01a-01-ts1.svs": 2,
    "OPM-example_lm.tiff": 3,
    "boxes-old.tiff": 4,
    "boxes.tiff": 4,
    "eva-103S-mask.tif": 2,
    "hs2p-test-mask.tif": 2,
    "quad-tile.jpg.tiff": 1,
    "slaid-karolinska-mask.tif": 3,
    "slaid-patch-8-level.tif": 9,
    "small.svs": 1,
    "tiled-rect-rgb-u8.tif": 1,
    "wsi-service-mask_test.tif": 3,
    "yb10kx5k.zstd.tiff": 5,
}
DECLINED = {
    "luna-1065626.svs": "JPEG 2000 in YCbCr",
    "dicom-CMU-1-Small-Region": "vendor dicom",
    "dicom-camelyon-jpeg": "vendor dicom",
    "boxes-dicom": "vendor dicom",
    "dicom-highdicom-sm": "vendor dicom",
    "rgba_geotiff.tiff": "photometric interpretation 2 of 4 samples",
    "slaid-patch.tif": "photometric interpretation 2 of 4 samples",
    "small_la.tiff": "photometric interpretation 1 of 2 samples",
    "tiled-cmyk-i8.tif": "8 bits a sample of format 2",
    "tiled-oversize-gray-i8.tif": "8 bits a sample of format 2",
    "seq-1c-16b-tiled.tiff": "16 bits a sample",
    "seq-3c-8b-tiled.tiff": "OpenSlide reads no sample",
    "tiled-gray-i1.tif": "1 bits a sample",
    "unreadable.svs": "OpenSlide reads no sample",
    "Mirax2-Fluorescence-2.mrxs": "vendor mirax",
}


def fast(path: Path) -> FastReader:
    reader = open_slide(path, reader="auto")
    assert isinstance(reader, FastReader)
    return reader


def openable(folder: Path) -> Iterator[Path]:
    places = [folder / name for name in ("real", "odd-opens", "broken")]
    for path in sorted(path for place in places for path in place.iterdir()):
        entry = next(path.glob("*.mrxs"), path) if path.is_dir() else path
        try:
            OpenSlideReader(entry).close()
        except SlideError:
            continue
        yield entry


def regions(reader: FastReader, level: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Regions at whole-pixel corners of OpenSlide, over edges too where it reads exactly."""
    chance = random.Random(level)
    width, height = reader.header.level_dimensions[level]
    exact = reader.header.downsamples[level].is_integer()
    found = 0
    for _ in range(200_000):
        size = (chance.randint(1, min(EDGE, width)), chance.randint(1, min(EDGE, height)))
        if exact:
            corner = (chance.randint(-EDGE, width), chance.randint(-EDGE, height))
        else:
            corner = (chance.randint(0, width - size[0]), chance.randint(0, height - size[1]))
        if exact or is_whole(reader.reference, level, corner=corner, size=size):
            yield corner, size
            found += 1
        if found == REGIONS:
            return
    yield (0, 0), (min(EDGE, width), min(EDGE, height))


def test_every_slide_is_read_as_openslide_reads_it_or_left_to_it(real_slides: Path) -> None:
    checked = 0
    for path in openable(real_slides):
        with fast(path) as reader:
            depth = len(reader.header.level_dimensions)
            whys = [reader.why_not(level) for level in range(depth)]
            served = [level for level in range(depth) if whys[level] is None]
            if path.name in SERVED:
                assert len(served) == depth == SERVED[path.name], (path.name, whys)
            elif path.name in DECLINED:
                assert not served, path.name
                assert all(DECLINED[path.name] in str(why) for why in whys), (path.name, whys)
            for level in served:
                for corner, size in regions(reader, level):
                    expected = reader.reference.read(level, corner=corner, size=size)
                    read = reader.read(level, corner=corner, size=size)
                    assert read.transparent == expected.transparent, (path, level, corner, size)
                    assert np.array_equal(read.pixels, expected.pixels), (path, level, corner, size)
                checked += 1
    assert checked >= 5


def test_levels_that_openslide_interpolates_are_read_as_they_are(real_slides: Path) -> None:
    found = 0
    for path in openable(real_slides):
        with fast(path) as reader, open_slide(path, reader="openslide") as reference:
            for level, downsample in enumerate(reader.header.downsamples):
                fractional = not downsample.is_integer()
                assert reference.interpolates(level) == fractional
                declined = reader.why_not(level) is not None
                assert reader.interpolates(level) == (fractional and declined)
                found += 1
    assert found


@pytest.mark.parametrize("threads", [1, 3])
def test_many_regions_are_those_read_one_by_one(pyramid: Path, threads: int) -> None:
    corners = np.array([(x, y) for y in range(-5, 190, 23) for x in range(3, 290, 31)])
    with fast(pyramid) as reader:
        read = reader.regions(0, corners=corners, size=(40, 50), threads=threads)
        assert read.threads == threads
        for place, index in enumerate(read.order.tolist()):
            out = np.zeros((50, 40, 3), np.uint8)
            assert read.read(index, out)
            x, y = corners[index].tolist()
            alone = reader.reference.read(0, corner=(x, y), size=(40, 50))
            assert np.array_equal(out, alone.pixels)
            read.read_until(place + 1)


def test_missing_tiles_are_transparent(tiled: Callable[..., Path]) -> None:
    with fast(tiled([[40, None, None], [80, 90, None]])) as reader:
        assert reader.why_not(0) is None
        cases = {(0, 0): False, (63, 0): False, (64, 0): True, (128, 64): True, (500, 500): True}
        for corner, transparent in cases.items():
            read = reader.read(0, corner=corner, size=(64, 64))
            expected = reader.reference.read(0, corner=corner, size=(64, 64))
            assert read.transparent == expected.transparent == transparent
            assert np.array_equal(read.pixels, expected.pixels)


def test_a_damaged_tile_is_never_a_picture(tiled: Callable[..., Path]) -> None:
    jpeg = tiled([[40]], name="good.svs").read_bytes()
    start = jpeg.index(b"\xff\xd8")
    cut = jpeg[start : start + 500]  # its header, and hardly any of its scan
    for k, damage in enumerate((b"no jpeg", cut)):
        with fast(tiled([[40, 80], [damage, 120]], name=f"{k}.svs")) as reader:
            assert reader.why_not(0) is None
            for _ in range(2):
                with pytest.raises(SlideError) as caught:
                    reader.read(0, corner=(0, 64), size=(64, 64))
                assert caught.value.failure is FailureClass.CORRUPT_SLIDE
                assert reader.read(0, corner=(64, 64), size=(64, 64)).pixels.mean() == 120


def test_a_file_that_ends_within_a_tile_is_no_picture(tiled: Callable[..., Path]) -> None:
    path = tiled([[40 + 5 * row + column for column in range(5)] for row in range(5)])
    with fast(path) as reader:
        assert reader.why_not(0) is None
        with path.open("r+b") as file:
            file.truncate(100)
        with pytest.raises(SlideError) as caught:
            reader.read(0, corner=(0, 0), size=(320, 320))
    assert caught.value.failure in (FailureClass.CORRUPT_SLIDE, FailureClass.UNSUPPORTED_SLIDE)


def test_fast_refuses_what_it_cannot_read_and_says_why(
    pyramid: Path, tiled: Callable[..., Path]
) -> None:
    with open_slide(pyramid, reader="fast") as reader:
        insist(reader, level=0, asked="fast")
    with open_slide(tiled([[b"no jpeg"]]), reader="fast") as reader:
        insist(reader, level=0, asked="auto")
        with pytest.raises(SlideError, match="reader: fast cannot read this slide: level 0: Open"):
            insist(reader, level=0, asked="fast")


def test_tissue_is_the_same_whichever_reader_serves_the_tiles(tmp_path: Path) -> None:
    from slidearray.slides.synthetic import write_slide
    from slidearray.slides.tissue import otsu_mask

    path = tmp_path / "odd.svs"
    write_slide(path, width=3001, height=2003, seed=4, tissue=0.5, levels=(1, 4))
    with fast(path) as reader, open_slide(path, reader="openslide") as reference:
        assert not reader.interpolates(1)
        assert reference.interpolates(1)
        mask = otsu_mask(reader, l0_tile_size=256).mask
        assert np.array_equal(mask, otsu_mask(reference, l0_tile_size=256).mask)


def test_missing_tiles_that_openslide_fills_in_are_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "holes.svs"
    jpeg = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    with path.open("wb") as file:
        tiff = TiledJpegTiff(file, tile=64)
        tiff.add([jpeg] * 16, size=(256, 256), description="Aperio\n256x256|AppMag = 20")
        tiff.add([jpeg, b"", jpeg, jpeg], size=(128, 128), description="Aperio\n128x128")
    with fast(path) as reader:
        assert reader.why_not(0) is None
        assert reader.why_not(1) == (
            "level 1: OpenSlide fills its missing tiles from the level above"
        )
        assert reader.read(1, corner=(64, 0), size=(64, 64)).pixels.mean() == 90


def test_each_native_tile_is_decoded_once(pyramid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    plain = _NativeLevel.decoded

    def counted(self: _NativeLevel, index: int, buffer: Any = None) -> Any:
        decoded.append(index)
        return plain(self, index, buffer)

    with fast(pyramid) as reader:
        assert reader.why_not(0) is None
        monkeypatch.setattr(_NativeLevel, "decoded", counted)
        corners = np.array([(x, y) for y in range(0, 150, 20) for x in range(0, 250, 20)])
        read = reader.regions(0, corners=corners, size=(50, 50), threads=1)
        out = np.empty((50, 50, 3), np.uint8)
        for place, index in enumerate(read.order.tolist()):
            read.read(index, out)
            read.read_until(place + 1)
    assert sorted(decoded) == [0, 1]
