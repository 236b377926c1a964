"""Where the tiles of a slide's levels lie in a TIFF, and how they are encoded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tifffile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tifffile import TiffPage

    from slidearray.slides.reader import SlideHeader

#: Vendors whose levels are a plain grid of the tiles of one directory each. Others overlap tiles,
#: or lay several areas on one level.
VENDORS = ("aperio", "generic-tiff", "philips")

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, ZSTD = 1, 5, 7, 8, 32946, 50000
APERIO_JPEG2000_YCBCR, APERIO_JPEG2000_RGB = 33003, 33005
COMPRESSIONS = (NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, ZSTD, APERIO_JPEG2000_RGB)
BLACK_IS_ZERO, RGB, YCBCR = 1, 2, 6

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it cannot read is told below


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledLevel:
    """One level of a slide, as the file has it."""

    tile: tuple[int, int]  # (width, height) of its native tiles
    columns: int  # native tiles in a row
    offsets: tuple[int, ...]  # of the native tiles, row by row
    byte_counts: tuple[int, ...]  # 0: the tile was never scanned
    compression: int
    photometric: int
    samples: int  # a pixel: 1 or 3
    predictor: int  # 1: none, 2: differences along rows
    jpeg_tables: bytes | None


def read_tiled_levels(path: Path, header: SlideHeader) -> list[TiledLevel | str]:
    """Find the levels of a slide in its file.

    Returns
    -------
    list of TiledLevel or str
        One for each level of `header`; a text says why the level cannot be read tile by tile.
    """
    depth = len(header.level_dimensions)
    if header.vendor not in VENDORS:
        return [f"slides of vendor {header.vendor} are not read tile by tile"] * depth
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            return [_level(pages, header, level) for level in range(depth)]
    except Exception as error:  # of a library that parses what anybody may have written
        return [f"its TIFF directories cannot be read: {type(error).__name__}: {error}"] * depth


def _level(pages: Sequence[TiffPage], header: SlideHeader, level: int) -> TiledLevel | str:
    size = header.level_dimensions[level]
    padded = header.vendor == "philips"  # it fills its images up to whole tiles
    found = [page for page in pages if page.is_tiled and _holds(page, size, padded=padded)]
    if len(found) != 1:
        return f"{len(found) or 'no'} tiled images of the file have the size of level {level}"
    (page,) = found
    if why := _why_not(page):
        return f"level {level}: {why}"
    tiled = TiledLevel(
        tile=(page.tilewidth, page.tilelength),
        columns=-(-page.imagewidth // page.tilewidth),
        offsets=tuple(page.dataoffsets),
        byte_counts=tuple(page.databytecounts),
        compression=int(page.compression),
        photometric=int(page.photometric),
        samples=page.samplesperpixel,
        predictor=int(page.predictor),
        jpeg_tables=page.jpegtables,
    )
    if level and header.vendor == "aperio" and 0 in tiled.byte_counts:
        return f"level {level}: OpenSlide fills its missing tiles from the level above"
    return tiled


def _holds(page: TiffPage, size: tuple[int, int], *, padded: bool) -> bool:
    """Whether an image is of this size, or of so many whole tiles."""
    beyond = (page.imagewidth - size[0], page.imagelength - size[1])
    if not padded:
        return beyond == (0, 0)
    return 0 <= beyond[0] < page.tilewidth and 0 <= beyond[1] < page.tilelength


def _why_not(page: TiffPage) -> str | None:
    """Why the pixels of an image are not simply those of its tiles, 8 bits of red, green, blue."""
    compression, photometric = int(page.compression), int(page.photometric)
    if page.bitspersample != 8 or int(page.sampleformat or 1) != 1:
        return f"{page.bitspersample} bits a sample of format {page.sampleformat}, not 8 unsigned"
    if int(page.planarconfig or 1) != 1:
        return "its colours lie in separate planes"
    if (page.samplesperpixel, photometric) not in ((3, RGB), (3, YCBCR), (1, BLACK_IS_ZERO)):
        return f"photometric interpretation {photometric} of {page.samplesperpixel} samples"
    if compression == APERIO_JPEG2000_YCBCR:
        return "JPEG 2000 in YCbCr, which each decoder turns into RGB in its own way"
    if compression not in COMPRESSIONS:
        return f"compression {compression}"
    if photometric == YCBCR and compression != JPEG:
        return f"YCbCr with compression {compression}"
    if int(page.predictor or 1) not in (1, 2):
        return f"predictor {page.predictor}"
    if page.fillorder != 1 or page.tags.valueof(274, 1) != 1 or page.imagedepth != 1:
        return "an unusual order of bits, rows or planes"
    count = -(-page.imagewidth // page.tilewidth) * -(-page.imagelength // page.tilelength)
    if not len(page.dataoffsets) == len(page.databytecounts) == count:
        return f"{len(page.dataoffsets)} tiles where its size takes {count}"
    return None
