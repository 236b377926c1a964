"""Tiled JPEG BigTIFFs, tile by tile: as much of TIFF 6.0 as made-up slides need.

tifffile writes JPEG only where imagecodecs is installed, even tiles that are encoded already.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEADER = struct.Struct("<2sHHHQ")  # order, version, bytes of an offset, 0, first directory
BIGTIFF = 43
ASCII, SHORT, LONG, LONG8 = 2, 3, 4, 16
FORMS = {ASCII: "B", SHORT: "H", LONG: "I", LONG8: "Q"}
JPEG_COMPRESSION, YCBCR = 7, 6


class TiledJpegTiff:
    """Writes images one after the other; each is made of JPEG tiles of YCbCr 4:2:0.

    Parameters
    ----------
    file
        An empty file, open for writing bytes.
    tile
        Edge of a tile, in pixels.
    """

    def __init__(self, file: IO[bytes], *, tile: int) -> None:
        self._file = file
        self._tile = tile
        self._link = HEADER.size - 8  # where the offset of the next directory belongs
        file.write(HEADER.pack(b"II", BIGTIFF, 8, 0, 0))

    def add(self, tiles: Iterable[bytes], *, size: tuple[int, int], description: str) -> None:
        """Append an image of ``(width, height)`` pixels; its tiles come row by row."""
        offsets, lengths = [], []
        for tile in tiles:
            offsets.append(self._file.tell())
            lengths.append(len(tile))
            self._file.write(tile)
        self._add_directory(
            [
                (254, LONG, [0]),  # NewSubfileType
                (256, LONG, [size[0]]),
                (257, LONG, [size[1]]),
                (258, SHORT, [8, 8, 8]),  # BitsPerSample
                (259, SHORT, [JPEG_COMPRESSION]),
                (262, SHORT, [YCBCR]),
                (270, ASCII, description.encode("ascii") + b"\0"),
                (277, SHORT, [3]),  # SamplesPerPixel
                (284, SHORT, [1]),  # PlanarConfiguration: contiguous
                (322, LONG, [self._tile]),
                (323, LONG, [self._tile]),
                (324, LONG8, offsets),
                (325, LONG, lengths),
                (530, SHORT, [2, 2]),  # YCbCrSubSampling
            ]
        )

    def _add_directory(self, tags: Sequence[tuple[int, int, Sequence[int]]]) -> None:
        entries = [
            struct.pack("<HHQ", tag, kind, len(values)) + self._inline(kind, values)
            for tag, kind, values in tags
        ]
        start = self._aligned_end()
        self._file.write(struct.pack("<Q", len(entries)) + b"".join(entries))
        end_of_entries = self._file.tell()
        self._file.write(struct.pack("<Q", 0))
        self._file.seek(self._link)
        self._file.write(struct.pack("<Q", start))
        self._file.seek(0, 2)
        self._link = end_of_entries

    def _inline(self, kind: int, values: Sequence[int]) -> bytes:
        """Values themselves where 8 bytes hold them, else the offset to which they are written."""
        packed = struct.pack(f"<{len(values)}{FORMS[kind]}", *values)
        if len(packed) <= 8:
            return packed.ljust(8, b"\0")
        offset = self._aligned_end()
        self._file.write(packed)
        return struct.pack("<Q", offset)

    def _aligned_end(self) -> int:
        """End of the file, filled up to a multiple of 8."""
        self._file.write(b"\0" * (-self._file.tell() % 8))
        return self._file.tell()
