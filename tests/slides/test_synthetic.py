from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from slidearray.slides.reader import OpenSlideReader, read_header
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_slide(tmp_path / name, width=700, height=500, seed=seed, tissue=0.4)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((4100, 300), ((4100, 300), (1025, 75), (256, 18))),
        ((1030, 600), ((1030, 600), (257, 150))),
        ((300, 200), ((300, 200),)),
        ((1, 1), ((1, 1),)),
    ],
)
def test_openslide_reads_it_as_an_aperio_slide(
    tmp_path: Path, size: tuple[int, int], levels: tuple[tuple[int, int], ...]
) -> None:
    path = tmp_path / "made.svs"
    write_slide(path, width=size[0], height=size[1], seed=1, tissue=0.5, mpp="0.2525")
    header = read_header(path)
    assert header.level_dimensions == levels
    assert (header.vendor, header.mpp_x, header.mpp_y) == ("aperio", "0.2525", "0.2525")
    assert header.magnification is not None
    assert header.size_bytes == path.stat().st_size


def test_levels_show_the_same_picture(pyramid: Path) -> None:
    with OpenSlideReader(pyramid) as reader:
        grey = [
            reader.read(level, corner=(0, 0), size=size).pixels.mean(axis=2)
            for level, size in enumerate(reader.header.level_dimensions)
        ]
    for level in (1, 2):
        height, width = grey[level].shape
        above = grey[level - 1].reshape(height, 2, width, 2).mean((1, 3))
        error = np.abs(above - grey[level]).mean()
        for axis in (0, 1):
            assert error < 0.5 * np.abs(np.roll(above, 1, axis=axis) - grey[level]).mean()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
def test_tissue_has_the_share_that_was_asked_for(tmp_path: Path, share: float) -> None:
    path = tmp_path / "made.svs"
    write_slide(path, width=1600, height=1200, seed=4, tissue=share, levels=(1, 4))
    with OpenSlideReader(path) as reader:
        pixels = reader.read(1, corner=(0, 0), size=(400, 300)).pixels.astype(int)
    stained = (pixels.max(axis=2) - pixels.min(axis=2)) > 15
    assert stained.mean() == pytest.approx(share, abs=0.04)


def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    peaks = []
    for height in (1024, 6144):
        tracemalloc.start()
        write_slide(tmp_path / "made.svs", width=1024, height=height, seed=1, tissue=0.3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 2_000_000


def test_what_fails_half_way_leaves_no_slide(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mpp"):
        write_slide(tmp_path / "made.svs", width=64, height=64, seed=1, tissue=1, mpp="half mpp")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_has_two_cohorts_and_a_slide_of_glass(synthetic_slides: Path) -> None:
    paths = sorted(synthetic_slides.rglob("*.svs"))
    assert [path.relative_to(synthetic_slides).as_posix() for path in paths] == [
        "hospital-a/slide-001.svs",
        "hospital-a/slide-002.svs",
        "hospital-b/slide-003.svs",
        "hospital-b/slide-004-mostly-glass.svs",
    ]
    assert [read_header(path).mpp_x for path in paths] == ["0.5", "0.5", "0.25", "0.5"]
    assert all(read_header(path).downsamples == (1.0, 4.0, 16.0) for path in paths)
