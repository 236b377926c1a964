from __future__ import annotations

import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.dicom import series_uid
from slidearray.slides.files import slide_files
from slidearray.slides.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

UNDEFINED = 0xFFFFFFFF


def element(group: int, number: int, kind: bytes, value: bytes, *, length: int = -1) -> bytes:
    """An explicit little-endian DICOM element."""
    length = len(value) if length < 0 else length
    if kind in (b"SQ", b"OB", b"UN"):
        return struct.pack("<HH2sxxI", group, number, kind, length) + value
    return struct.pack("<HH2sH", group, number, kind, length) + value


def dicom(*elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    return bytes(128) + b"DICM" + element(2, 0x10, b"UI", syntax) + b"".join(elements)


ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, end, 0) for end in (0xE00D, 0xE0DD))
OTHERS_UID = element(0x20, 0xE, b"UI", b"9.9.9\0")
NESTED = ITEM + element(8, 0x1115, b"SQ", ITEM + ITEM_END + SEQUENCE_END, length=UNDEFINED)
REFERENCED = element(
    8, 0x1115, b"SQ", NESTED + OTHERS_UID + ITEM_END + SEQUENCE_END, length=UNDEFINED
)


@pytest.mark.parametrize(
    "content",
    [
        dicom(OTHERS_UID.replace(b"9.9.9", b"1.2.3")),
        dicom(REFERENCED, element(0x20, 0xE, b"UI", b"1.2.3\0")),
        dicom(element(8, 0x1115, b"SQ", OTHERS_UID), element(0x20, 0xE, b"UI", b"1.2.3\0")),
        dicom(struct.pack("<HHI", 0x20, 0xE, 6) + b"1.2.3\0", syntax=b"1.2.840.10008.1.2\0"),
    ],
)
def test_the_series_is_the_files_own_not_one_it_refers_to(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert series_uid(tmp_path / "a") == "1.2.3"


@pytest.mark.parametrize("length", range(0, 200, 3))
def test_a_dicom_file_cut_off_anywhere_has_no_series(tmp_path: Path, length: int) -> None:
    (tmp_path / "a").write_bytes(dicom(REFERENCED)[:length])
    assert series_uid(tmp_path / "a") is None


def test_a_series_is_told_from_another_in_the_same_folder(tmp_path: Path) -> None:
    for name, uid in (("b.dcm", b"1.1\0"), ("a", b"1.1\0"), ("c.dcm", b"2.2\0")):
        (tmp_path / name).write_bytes(dicom(element(0x20, 0xE, b"UI", uid)))
    (tmp_path / "notes.txt").write_text("none of them")
    assert slide_files(tmp_path / "b.dcm") == [tmp_path / "a", tmp_path / "b.dcm"]
    assert slide_files(tmp_path / "c.dcm") == [tmp_path / "c.dcm"]


def test_companions_of_mrxs_and_vms_belong_to_the_slide(tmp_path: Path) -> None:
    for name in ("m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "v-1.jpg", "v.opt", "other.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "v.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile(0,1)=v-1.jpg\nImageFile=gone.jpg\n"
        "OptimisationFile = v.opt\nMapFile=../other.jpg\nNoLayers=other.jpg\n"
    )
    mirax = ["m/Data0000.dat", "m/Slidedat.ini", "m.mrxs"]
    assert slide_files(tmp_path / "m.mrxs") == [tmp_path / name for name in mirax]
    vms = ["v-1.jpg", "v.opt", "v.vms"]
    assert slide_files(tmp_path / "v.vms") == [tmp_path / name for name in vms]


def test_copies_renames_and_touches_keep_the_fingerprint(tmp_path: Path) -> None:
    slide = tmp_path / "a.mrxs"
    (tmp_path / "a").mkdir()
    slide.write_bytes(b"slide")
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"data")
    before = fingerprint(slide)
    shutil.copytree(tmp_path / "a", tmp_path / "z")
    shutil.copy(slide, tmp_path / "z.mrxs")
    os.utime(tmp_path / "z.mrxs", (1, 1))
    assert fingerprint(tmp_path / "z.mrxs") == before
    (tmp_path / "z" / "Data0000.dat").write_bytes(b"dat4")
    assert fingerprint(tmp_path / "z.mrxs") != before


def test_the_order_of_names_does_not_count(tmp_path: Path) -> None:
    contents = [dicom(element(0x20, 0xE, b"UI", b"1.1\0"), bytes([k])) for k in range(2)]
    prints = set()
    for folder, order in (("as-scanned", contents), ("renamed", contents[::-1])):
        (tmp_path / folder).mkdir()
        for name, content in zip(("a", "b"), order, strict=True):
            (tmp_path / folder / name).write_bytes(content)
        prints.add(fingerprint(tmp_path / folder))
    assert len(prints) == 1


@pytest.mark.parametrize("place", [0, 65535, -1, 2**20 // 2, -65536])
def test_a_changed_byte_in_a_sampled_block_changes_the_fingerprint(
    tmp_path: Path, place: int
) -> None:
    content = bytearray(2**20 + 12345 if place in (0, -1, 65535, -65536) else 2**20)
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    before = fingerprint(path)
    content[place] = 1
    path.write_bytes(content)
    assert fingerprint(path) != before


def test_another_size_is_another_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for size in (0, 1, 2**20, 2**20 + 1, 2**21):
        (tmp_path / "a.svs").write_bytes(bytes(size))
        prints.add(fingerprint(tmp_path / "a.svs"))
    assert len(prints) == 5


def test_a_missing_file_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"gone\.svs: No such file") as info:
        fingerprint(tmp_path / "gone.svs")
    assert info.value.failure == FailureClass.MISSING_FILE
