from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from slidearray.errors import ManifestError
from slidearray.slides.discovery import FoundSlide, find_slides


def touch(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"not read here")


def dicom(file: Path, *, series: str) -> None:
    """A DICOM file of nothing but its series (PS3.10, explicit little endian)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    uid = series.encode() + b"\0" * (len(series) % 2)
    element = struct.pack("<HH2sH", 0x0020, 0x000E, b"UI", len(uid)) + uid
    file.write_bytes(b"\0" * 128 + b"DICM" + element)


def find(root: Path, *folders: str) -> list[FoundSlide]:
    return find_slides([root / folder for folder in folders or ("raw",)], root=root)


def paths(found: list[FoundSlide]) -> list[str]:
    return [str(slide.path) for slide in found]


def test_slides_of_every_format_are_found_and_nothing_else(tmp_path: Path) -> None:
    slides = ["a.svs", "b.SVS", "c.ndpi", "d.tiff", "e.vms", "f.scn", "g.bif", "h.czi"]
    touch(tmp_path / "raw", *slides, "notes.txt", "thumb.png", "noending", ".hidden.svs")
    touch(tmp_path / "raw", "._a.svs", ".cache/x.svs", "table.csv")
    assert sorted(paths(find(tmp_path))) == [f"raw/{name}" for name in sorted(slides)]


def test_the_folder_below_the_one_given_is_the_cohort(tmp_path: Path) -> None:
    touch(tmp_path / "raw", "top.svs", "one/a.svs", "one/deep/b.svs", "two/c.svs")
    assert [(slide.name, slide.cohort) for slide in find(tmp_path)] == [
        ("top", ""),
        ("a", "one"),
        ("b", "one"),
        ("c", "two"),
    ]


def test_folders_are_searched_in_the_order_given_and_no_slide_counts_twice(tmp_path: Path) -> None:
    touch(tmp_path, "raw/one/a.svs", "more/b.svs")
    found = find(tmp_path, "more", "raw/one", "raw")
    assert [(str(slide.path), slide.cohort) for slide in found] == [
        ("more/b.svs", ""),
        ("raw/one/a.svs", ""),
    ]


def test_paths_are_relative_inside_the_root_and_absolute_outside(tmp_path: Path) -> None:
    touch(tmp_path, "project/raw/a.svs", "elsewhere/b.svs")
    found = find_slides(
        [tmp_path / "project/../project/raw", tmp_path / "elsewhere"], root=tmp_path / "project"
    )
    assert paths(found) == ["raw/a.svs", str(tmp_path / "elsewhere/b.svs")]


def test_the_companions_of_an_mrxs_slide_are_no_slides(tmp_path: Path) -> None:
    touch(tmp_path / "raw", "a.mrxs", "a/Data0001.dat", "a/thumb.tif", "b/c.tif")
    assert paths(find(tmp_path)) == ["raw/a.mrxs", "raw/b/c.tif"]


def test_a_folder_of_one_dicom_series_is_one_slide(tmp_path: Path) -> None:
    for name in ("1.dcm", "2.dcm", "IM0003"):
        dicom(tmp_path / "raw" / "one" / "case" / name, series="1.2.3")
    (slide,) = find(tmp_path)
    assert (str(slide.path), slide.name, slide.cohort) == ("raw/one/case", "case", "one")
    assert tmp_path / "raw/one/case/2.dcm" in slide.aliases


def test_several_series_in_a_folder_are_one_slide_each(tmp_path: Path) -> None:
    case = tmp_path / "raw" / "case"
    dicom(case / "1.dcm", series="1.2.3")
    dicom(case / "2.dcm", series="1.2.4")
    dicom(case / "3.dcm", series="1.2.3")
    found = find(tmp_path)
    assert [(str(slide.path), slide.name, slide.cohort) for slide in found] == [
        ("raw/case/1.dcm", "case", "case"),
        ("raw/case/2.dcm", "case", "case"),
    ]
    assert found[0].aliases == (case / "1.dcm", case / "3.dcm")


def test_a_series_beside_other_slides_is_named_by_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "raw", "a.svs")
    dicom(tmp_path / "raw" / "1.dcm", series="1.2.3")
    dicom(tmp_path / "raw" / "DICOMDIR", series="1.2.4")
    assert paths(find(tmp_path)) == ["raw/a.svs", "raw/1.dcm"]


def test_a_dicom_file_that_is_damaged_is_a_slide_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path / "raw", "case/1.dcm", "case/2.dcm")
    assert paths(find(tmp_path)) == ["raw/case/1.dcm", "raw/case/2.dcm"]


def test_real_scans_are_found_one_row_a_slide(real_slides: Path) -> None:
    found = find_slides([real_slides / "real"], root=real_slides)
    assert len({slide.name for slide in found}) == len(found) >= 4
    for slide in found:
        assert (real_slides / slide.path).exists()
        assert slide.cohort == ""


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "store/a.svs", "raw/b.svs")
    (tmp_path / "raw/linked").symlink_to(tmp_path / "store")
    (tmp_path / "raw/circle").symlink_to(tmp_path / "raw")
    (tmp_path / "raw/one.svs").symlink_to(tmp_path / "store/a.svs")
    assert paths(find(tmp_path)) == ["raw/b.svs", "raw/one.svs", "raw/linked/a.svs"]


def test_a_link_to_a_slide_that_is_gone_is_still_a_slide(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/gone.svs").symlink_to(tmp_path / "nowhere.svs")
    assert paths(find(tmp_path)) == ["raw/gone.svs"]


def test_a_pipe_that_is_named_like_a_slide_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    os.mkfifo(tmp_path / "raw/a.svs")
    assert find(tmp_path) == []


@pytest.mark.parametrize("name", ["a b", "-rf", "$(touch x)", "a;b", "100%", "a\nb", "h\u00e9"])
def test_hostile_names_are_found_as_they_are(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "raw", f"{name}/{name}.svs")
    (slide,) = find(tmp_path)
    assert (slide.name, slide.cohort) == (name, name)
    assert str(slide.path) == f"raw/{name}/{name}.svs"


def test_names_that_are_not_utf8_are_refused_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in (b"a\xff.svs", b"b\xfe.svs"):
        Path(os.fsdecode(os.fsencode(tmp_path / "raw") + b"/" + name)).touch()
    with pytest.raises(ManifestError) as caught:
        find(tmp_path)
    assert len(caught.value.faults) == 2
    assert "raw/a\\xff.svs': the name is not UTF-8" in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "file.svs"])
def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "file.svs")
    with pytest.raises(ManifestError, match=f"{name}: cannot be searched"):
        find(tmp_path, name)
