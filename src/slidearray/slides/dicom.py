"""As much of DICOM (PS3.5, PS3.10) as it takes to tell which series a file belongs to."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

PREAMBLE = 128
MAGIC = b"DICM"
META_GROUP = 0x0002  # always explicit little endian (PS3.10, 7.1)
TRANSFER_SYNTAX = (0x0002, 0x0010)
IMPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
SERIES_UID = (0x0020, 0x000E)
ITEM_GROUP = 0xFFFE  # items and delimiters have no value representation
SEQUENCE_END = 0xE0DD
LONG_FORMS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}
)
UNDEFINED = 0xFFFFFFFF
MAX_VALUE = 1024  # a UID has at most 64 bytes


def is_dicom(path: Path) -> bool:
    """Whether a regular file starts as DICOM files do."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except OSError:
        return False


def series_uid(path: Path) -> str | None:
    """Series Instance UID of a DICOM file, or None where it has none that can be read."""
    try:
        with path.open("rb") as file:
            file.seek(PREAMBLE)
            return _series_uid(file) if file.read(len(MAGIC)) == MAGIC else None
    except (OSError, struct.error):
        return None


def _series_uid(file: BinaryIO) -> str | None:
    explicit = True
    depth = 0  # of sequences of undefined length: a series named inside one is another's
    while True:
        tag, length = _element(file, explicit=explicit)
        if tag[0] == ITEM_GROUP:
            depth -= tag[1] == SEQUENCE_END
            file.seek(0 if length == UNDEFINED else length, 1)  # undefined: its elements follow
            continue
        if length == UNDEFINED:
            depth += 1
            continue
        if depth == 0 and tag > SERIES_UID:
            return None
        wanted = tag in (SERIES_UID, TRANSFER_SYNTAX) and depth == 0 and length <= MAX_VALUE
        if not wanted:
            file.seek(length, 1)
            continue
        value = file.read(length).rstrip(b"\0 ")
        if tag == SERIES_UID:
            return value.decode("ascii", errors="replace")
        explicit = value != IMPLICIT_LITTLE_ENDIAN


def _element(file: BinaryIO, *, explicit: bool) -> tuple[tuple[int, int], int]:
    """Tag and length of the next element; the file then stands at its value."""
    group, number = struct.unpack("<HH", file.read(4))
    if group == ITEM_GROUP or not (explicit or group == META_GROUP):
        return (group, number), struct.unpack("<I", file.read(4))[0]
    kind = file.read(2)
    if kind in LONG_FORMS:
        return (group, number), struct.unpack("<xxI", file.read(6))[0]
    return (group, number), struct.unpack("<H", file.read(2))[0]
