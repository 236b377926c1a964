from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slidearray.errors import SlideError
from slidearray.slides import tissue
from slidearray.slides.reader import OpenSlideReader
from slidearray.slides.synthetic import write_slide
from slidearray.slides.tissue import TissueMask, otsu_mask, tissue_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def mask_of(path: Path, *, l0_tile_size: int = 256) -> TissueMask:
    with OpenSlideReader(path) as reader:
        return otsu_mask(reader, l0_tile_size=l0_tile_size)


@given(
    cells=arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 2), elements=st.integers(0, 1)),
    scale=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    short=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    corner=st.tuples(st.integers(-5, 30), st.integers(-5, 30)),
    extent=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_coverage_counts_level_0_pixels(
    cells: NDArray[np.uint8],
    scale: tuple[int, int],
    short: tuple[int, int],
    corner: tuple[int, int],
    extent: tuple[int, int],
) -> None:
    pixels = np.kron(cells, np.ones((scale[1], scale[0]), np.uint8))
    height = max(1, pixels.shape[0] - min(short[1], scale[1] - 1))
    width = max(1, pixels.shape[1] - min(short[0], scale[0] - 1))
    mask = TissueMask(mask=cells, scale=(scale[0], scale[1]), l0_size=(width, height))
    x0, y0 = max(corner[0], 0), max(corner[1], 0)
    x1, y1 = min(corner[0] + extent[0], width), min(corner[1] + extent[1], height)
    inside = pixels[y0 : max(y1, y0), x0 : max(x1, x0)].sum()
    found = mask.coverage(np.array([corner, corner], np.int32), extent)
    assert found == pytest.approx([inside / (extent[0] * extent[1])] * 2, abs=1e-12)


def test_bare_glass_holds_no_tissue(tmp_path: Path) -> None:
    path = tmp_path / "glass.svs"
    write_slide(path, width=1500, height=1100, seed=5, tissue=0.0)
    for l0_tile_size in (16, 256, 1024):
        assert not mask_of(path, l0_tile_size=l0_tile_size).mask.any()


def test_a_slide_full_of_tissue_is_not_cut_in_half(tmp_path: Path) -> None:
    path = tmp_path / "full.svs"
    write_slide(path, width=1500, height=1100, seed=5, tissue=1.0)
    assert mask_of(path).mask.mean() > 0.97


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_the_tissue_that_is_there_is_found(tmp_path: Path, share: float) -> None:
    path = tmp_path / "islands.svs"
    write_slide(path, width=4000, height=3000, seed=8, tissue=share)
    assert mask_of(path).mask.mean() == pytest.approx(share, rel=0.15)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


def test_glass_of_noisy_colour_holds_no_tissue_either(tiled: Callable[..., Path]) -> None:
    noise = np.random.default_rng(1).normal(240, 2, (64, 64, 3)).round().astype(np.uint8)
    mask = mask_of(tiled([[jpeg(noise)] * 3] * 2), l0_tile_size=16).mask
    assert mask.shape == (128, 192)
    assert not mask.any()


def test_near_black_is_no_tissue(tiled: Callable[..., Path]) -> None:
    dark_blue = np.full((64, 64, 3), (0, 0, 26), np.uint8)
    assert not mask_of(tiled([[jpeg(dark_blue), 245], [245, 8]])).mask.any()


def test_real_slides_show_as_much_tissue_as_they_hold(real_slides: Path) -> None:
    shares = {
        "CMU-1-Small-Region.svs": (0.32, 0.40),  # pale dermis counts: Otsu alone finds 0.28
        "CMU-0-small.tiff": (0.17, 0.22),
        "luna-1065626.svs": (0.002, 0.006),
        "tcga-cr-7395-01a-01-ts1.svs": (0.58, 0.66),
        "nearly-empty.svs": (0.005, 0.015),
    }
    checked = 0
    for name, (least, most) in shares.items():
        if (path := real_slides / "real" / name).exists():
            assert least <= mask_of(path).mask.mean() <= most, name
            checked += 1
    assert checked


def test_strips_make_the_same_mask_as_the_whole(
    pyramid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mask_of(pyramid, l0_tile_size=200)
    monkeypatch.setattr(tissue, "STRIP_PX", 1000)
    strips = mask_of(pyramid, l0_tile_size=200)
    assert np.array_equal(whole.mask, strips.mask)
    assert whole.mask.shape == (17, 25)


def test_a_tile_spans_about_16_mask_pixels(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_slide(path, width=2048, height=1024, seed=5, tissue=0.5, levels=(1, 4, 16))
    spans = {t: t / mask_of(path, l0_tile_size=t).scale[0] for t in (4, 32, 64, 256, 512, 1024)}
    assert spans == {4: 4, 32: 8, 64: 16, 256: 16, 512: 16, 1024: 16}


def test_the_mask_of_a_large_slide_stays_bounded(
    pyramid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tissue, "MAX_MASK_PX", 600)
    assert mask_of(pyramid, l0_tile_size=16).mask.size <= 700


def test_mask_pixels_cover_the_slide_whatever_its_size(tmp_path: Path) -> None:
    path = tmp_path / "odd.svs"
    write_slide(path, width=301, height=203, seed=5, tissue=1.0, levels=(1, 2))
    mask = mask_of(path, l0_tile_size=80)
    assert mask.coverage(np.zeros((1, 2), np.int32), (301, 203)) > 0.95
    assert mask.coverage(np.array([[200, 100]]), (202, 206))[0] == pytest.approx(0.25, abs=0.02)


def share_of(path: Path) -> float | None:
    with OpenSlideReader(path) as reader:
        return tissue_share(reader)


def test_the_share_of_tissue_is_about_that_of_the_mask(tmp_path: Path) -> None:
    for tissue_part in (0.0, 0.2, 0.6):
        path = tmp_path / f"{tissue_part}.svs"
        write_slide(path, width=4000, height=3000, seed=6, tissue=tissue_part)
        share = share_of(path)
        assert share == pytest.approx(mask_of(path).mask.mean(), abs=0.06)


def test_a_sample_of_a_large_level_tells_about_as_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.svs"
    write_slide(path, width=3000, height=2500, seed=7, tissue=0.5, levels=(1,))
    sample = share_of(path)
    monkeypatch.setattr(tissue, "SAMPLE_PX", 3000 * 2500)
    whole = share_of(path)
    assert sample == pytest.approx(whole, abs=0.1)
    assert sample != whole


def test_a_level_that_is_too_large_to_look_at_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.svs"
    write_slide(path, width=1000, height=800, seed=8, tissue=0.5, levels=(1,))
    monkeypatch.setattr(tissue, "SAMPLED_PX", 1000 * 800 - 1)
    assert share_of(path) is None


def test_a_level_of_a_few_pixels_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    write_slide(path, width=1024, height=512, seed=9, tissue=0.5, levels=(1, 2, 512))
    reference = tmp_path / "r.svs"
    write_slide(reference, width=1024, height=512, seed=9, tissue=0.5, levels=(1, 2))
    assert share_of(path) == share_of(reference)
    assert 0 < (share_of(path) or 0) < 1


def test_a_lowest_level_that_cannot_be_read_is_no_share(tiled: Callable[..., Path]) -> None:
    with pytest.raises(SlideError):
        share_of(tiled([[100, b"no JPEG"]]))
