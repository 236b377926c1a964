from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.reader import (
    OpenSlideReader,
    SlideHeader,
    effective_override,
    interpolates,
    read_header,
    slide_shape,
)

if TYPE_CHECKING:
    from pathlib import Path

SENSIBLE = {
    FailureClass.MISSING_FILE,
    FailureClass.UNSUPPORTED_SLIDE,
    FailureClass.CORRUPT_SLIDE,
}

EXPECTED = {
    "CMU-1-Saved-1_16.mrxs": (FailureClass.MISSING_FILE, "CMU-1-Saved-1_16 is missing"),
    "histolab-broken-html.svs": (FailureClass.CORRUPT_SLIDE, "HTML page"),
    "lfs-pointer.svs": (FailureClass.CORRUPT_SLIDE, "git lfs pull"),
    "luna-fake_slide.svs": (FailureClass.UNSUPPORTED_SLIDE, "no slide format"),
    "kather1.tif": (FailureClass.UNSUPPORTED_SLIDE, "in strips"),
    "tifftools-bad_ifd_offset.tif": (FailureClass.CORRUPT_SLIDE, "of 453"),
    "tifftools-bad_header1.tif": (FailureClass.CORRUPT_SLIDE, "version 298"),
    "unopenable.tiff": (FailureClass.UNSUPPORTED_SLIDE, "compression: 52479"),
    "dicom-jpegls": (FailureClass.UNSUPPORTED_SLIDE, "transfer syntax"),
    "not-a-slide.svs": (FailureClass.UNSUPPORTED_SLIDE, "This is"),
    "truncated.svs": (FailureClass.CORRUPT_SLIDE, "copy it again"),
}


def header(**changes: object) -> SlideHeader:
    values: dict[str, Any] = {
        "vendor": "aperio",
        "level_dimensions": ((1000, 800), (250, 200)),
        "downsamples": (1.0, 4.0),
        "mpp_x": "0.5",
        "mpp_y": "0.5",
        "magnification": "20",
        "size_bytes": 1,
        "background": (255, 255, 255),
    }
    return SlideHeader(**(values | changes))


def entries(folder: Path) -> list[Path]:
    """Slides of a folder: files and DICOM folders, companions of an MRXS left out."""
    return [
        path if path.is_file() or any(path.glob("*.dcm")) else next(path.glob("*.mrxs"))
        for path in sorted(folder.iterdir())
    ]


def attempt(path: Path) -> SlideError | None:
    """What keeps a slide from being opened."""
    try:
        with OpenSlideReader(path) as reader:
            assert reader.header.width > 0
    except SlideError as error:
        return error
    return None


def test_every_file_gives_a_header_or_a_reason(
    real_slides: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refusals: dict[str, SlideError] = {}
    for folder in ("real", "odd-opens", "broken"):
        for path in entries(real_slides / folder):
            refusal = attempt(path)
            if refusal is None:
                continue
            assert folder == "broken", path
            assert str(path) in refusal.reason
            assert refusal.failure in SENSIBLE
            refusals[path.name] = refusal
    assert refusals
    for name in EXPECTED.keys() & refusals.keys():
        failure, words = EXPECTED[name]
        assert refusals[name].failure == failure, refusals[name]
        assert words in refusals[name].reason
    assert capfd.readouterr() == ("", "")


def test_a_dicom_folder_is_one_slide_of_all_its_files(real_slides: Path) -> None:
    for folder in sorted((real_slides / "real").glob("dicom-*")):
        files = sorted(folder.iterdir())
        assert read_header(folder) == read_header(files[0])
        assert read_header(folder).size_bytes == sum(file.stat().st_size for file in files)


def refused(path: Path) -> SlideError:
    with pytest.raises(SlideError) as info:
        read_header(path)
    return info.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\n<!DOCTYPE HTML><title>Sign in</title>", "HTML"),
        (bytes(5000), "zeros"),
        (b"II*\0\xff\xff\xff\x7f", "at byte 2147483647 of 8"),
        (b"II*\0\x08\0\0\0\x02", "cut off"),
        (b"MM\0+\0\x08", "cut off"),
        (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "circles"),
    ],
)
def test_what_never_arrived_whole_is_corrupt_and_says_so(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(content)
    error = refused(path)
    assert error.failure == FailureClass.CORRUPT_SLIDE
    assert words in error.reason
    assert str(path) in error.reason


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "dangling.svs").symlink_to(tmp_path / "gone.svs")
    for name in ("no.svs", "dangling.svs", "x" * 300, "nul\0.svs"):
        assert refused(tmp_path / name).failure == FailureClass.MISSING_FILE


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    (tmp_path / "folder.svs").mkdir()
    for name in ("pipe.svs", "folder.svs"):
        assert refused(tmp_path / name).failure == FailureClass.UNSUPPORTED_SLIDE


def test_an_mrxs_without_its_index_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8jpeg")
    (tmp_path / "a").mkdir()
    error = refused(tmp_path / "a.mrxs")
    assert error.failure == FailureClass.MISSING_FILE
    assert "Slidedat.ini is missing" in error.reason
    (tmp_path / "a" / "Slidedat.ini").write_text("[GENERAL]\n")
    assert refused(tmp_path / "a.mrxs").failure == FailureClass.CORRUPT_SLIDE


@pytest.mark.parametrize(
    "name", ["a b.svs", "quo'te\".svs", "$(touch x).svs", "-n.svs", "😐\n.svs"]
)
def test_a_slide_may_have_any_name(tmp_path: Path, pyramid: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pyramid.read_bytes())
    assert read_header(path) == read_header(pyramid)


@given(cut=st.integers(0, 40_000))
def test_a_slide_cut_off_anywhere_never_gives_another_error(
    tmp_path_factory: pytest.TempPathFactory, pyramid: Path, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.svs"
    whole = pyramid.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    with suppress(SlideError), OpenSlideReader(path) as reader:
        for level, size in enumerate(reader.header.level_dimensions):
            reader.read(level, corner=(0, 0), size=size)


def test_the_manifests_mpp_counts_only_where_it_differs() -> None:
    scanned = header(mpp_x="0.50000")
    assert effective_override(scanned, "") is None
    assert effective_override(scanned, "0.5") is None
    assert effective_override(scanned, "0.25") == Fraction(1, 4)
    assert effective_override(header(mpp_x=None), "0.5") == Fraction(1, 2)
    with pytest.raises(SlideError, match="'half'") as info:
        effective_override(scanned, "half")
    assert info.value.failure == FailureClass.IMPLAUSIBLE_MPP


@pytest.mark.parametrize(
    ("mpp_x", "mpp_y", "expected"),
    [
        ("0.1", "0.2", (Fraction(1, 10), Fraction(1, 5))),
        ("0.1", None, (Fraction(1, 10), Fraction(1, 10))),
        (None, "0.2", (Fraction(1, 5), Fraction(1, 5))),
        (None, None, None),
        ("nan", "nan", None),
        ("0", "0", (Fraction(0), Fraction(0))),
    ],
)
def test_resolution_is_the_exact_fraction_of_its_text(
    mpp_x: str | None, mpp_y: str | None, expected: tuple[Fraction, Fraction] | None
) -> None:
    scanned = header(mpp_x=mpp_x, mpp_y=mpp_y)
    assert slide_shape(scanned, mpp_override=None).mpp == expected
    override = Fraction(1, 3)
    assert slide_shape(scanned, mpp_override=override).mpp == (override, override)


def test_only_a_fractional_downsample_interpolates() -> None:
    scanned = header(downsamples=(1.0, 4.0002))
    assert [interpolates(scanned, level) for level in (0, 1)] == [False, True]


def test_trouble_of_the_file_system_is_not_the_slides_fault(tmp_path: Path) -> None:
    slide = tmp_path / "slide.svs"
    slide.symlink_to("/proc/self/mem")  # a regular file whose first page cannot be read: EIO
    with pytest.raises(SlideError, match=r"slide\.svs: Input/output error") as caught:
        read_header(slide)
    assert caught.value.failure is FailureClass.WORKER_ERROR
