"""Slides through OpenSlide: headers, and pixels of one level as they are. The only import of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import openslide

from slidearray.core.classes import FailureClass
from slidearray.core.geometry import SlideShape, parse_mpp
from slidearray.errors import SlideError
from slidearray.slides.diagnosis import entry_file, not_readable, why_unsupported
from slidearray.slides.files import slide_files

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from slidearray.slides.contract import Regions

WHITE = (255, 255, 255)

# OpenSlide has one error type for what it cannot read and what is damaged; these words tell them
# apart ("Unsupported TIFF compression: 52479", "Attribute BitsAllocated value 16 != 8").
UNSUPPORTED_WORDS = re.compile(r"unsupported|not supported|unrecogni[sz]ed| != ", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideHeader:
    """What a slide says of itself, without reading a pixel."""

    vendor: str  # OpenSlide's word: aperio, mirax, dicom, generic-tiff, ...
    level_dimensions: tuple[tuple[int, int], ...]  # (width, height), level 0 first
    downsamples: tuple[float, ...]  # OpenSlide's, one a level
    mpp_x: str | None  # micrometres per level-0 pixel, as decimal text
    mpp_y: str | None
    magnification: str | None  # objective power, as text
    size_bytes: int  # of all files of the slide
    background: tuple[int, int, int]  # RGB behind transparent pixels

    @property
    def width(self) -> int:
        """Width of level 0, in pixels."""
        return self.level_dimensions[0][0]

    @property
    def height(self) -> int:
        """Height of level 0, in pixels."""
        return self.level_dimensions[0][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRead:
    """Pixels of one region of one level."""

    pixels: NDArray[np.uint8]  # (height, width, 3) RGB
    transparent: bool  # the slide has nothing here: no pixel of the region was ever scanned


def read_header(path: Path) -> SlideHeader:
    """Read a slide's header; a folder of DICOM files is one slide.

    Raises
    ------
    SlideError
        ``missing_file``, ``unsupported_slide`` or ``corrupt_slide``, naming the file and why.
    """
    with OpenSlideReader(path) as reader:
        return reader.header


def effective_override(header: SlideHeader, mpp_text: str) -> Fraction | None:
    """Resolution from the manifest's ``mpp`` cell, where it differs from the header's.

    Raises
    ------
    SlideError
        ``implausible_mpp``, when the cell is no decimal number.
    """
    if not mpp_text:
        return None
    mpp = parse_mpp(mpp_text)
    if mpp is None:
        raise SlideError(
            FailureClass.IMPLAUSIBLE_MPP,
            f"mpp {mpp_text!r} of the manifest is no number such as 0.25",
        )
    return None if header.mpp_x is not None and mpp == parse_mpp(header.mpp_x) else mpp


def slide_shape(header: SlideHeader, *, mpp_override: Fraction | None) -> SlideShape:
    """Levels and resolution of a slide, as the tile geometry takes them."""
    mpp = (mpp_override, mpp_override) if mpp_override is not None else _header_mpp(header)
    return SlideShape(level_dimensions=header.level_dimensions, mpp=mpp)


def interpolates(header: SlideHeader, level: int) -> bool:
    """Whether OpenSlide moves this level's pixels by fractions of a pixel when it reads them."""
    return not header.downsamples[level].is_integer()


def white(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A white image of ``(width, height)``."""
    return np.full((size[1], size[0], 3), 255, np.uint8)


class OpenSlideReader:
    """Pixels of one slide; a context manager.

    Parameters
    ----------
    path
        A slide file, or a folder of DICOM files.

    Raises
    ------
    SlideError
        As `read_header` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = entry_file(path)
        self._slide: openslide.OpenSlide | None = self._open()
        try:
            size_bytes = sum(file.stat().st_size for file in slide_files(path))
            self.header = _header(self._slide, size_bytes)
        except OSError as error:
            self.close()
            raise not_readable(path, error) from None
        except openslide.OpenSlideError as error:
            self.close()
            raise self._corrupt(f"its header cannot be read: {error}") from None

    def __enter__(self) -> OpenSlideReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def reference(self) -> OpenSlideReader:
        """Itself."""
        return self

    def why_not(self, level: int) -> str | None:
        """Why OpenSlide has to read a level."""
        return "OpenSlide was asked for"

    def interpolates(self, level: int) -> bool:
        """Whether pixels of a level are moved by fractions of a pixel when they are read."""
        return interpolates(self.header, level)

    def close(self) -> None:
        """Let go of the file."""
        if self._slide is not None:
            self._slide.close()
            self._slide = None

    def read(self, level: int, *, corner: tuple[int, int], size: tuple[int, int]) -> TileRead:
        """Read a region of one level; what lies outside the level is white.

        Parameters
        ----------
        level
            Level of the slide.
        corner
            ``(x, y)`` of the region's top-left pixel, in pixels of that level.
        size
            ``(width, height)`` in pixels of that level.

        Raises
        ------
        SlideError
            ``corrupt_slide``, when the region cannot be read from a newly opened slide either.
        """
        level_size = self.header.level_dimensions[level]
        begin = (max(corner[0], 0), max(corner[1], 0))
        end = tuple(min(corner[i] + size[i], level_size[i]) for i in (0, 1))
        inside = (end[0] - begin[0], end[1] - begin[1])
        if min(inside) <= 0:
            return TileRead(pixels=white(size), transparent=True)
        read = _composited(self._region(level, begin, inside), self.header.background)
        if inside == size:
            return read
        pixels = white(size)
        x, y = begin[0] - corner[0], begin[1] - corner[1]
        pixels[y : y + inside[1], x : x + inside[0]] = read.pixels
        return TileRead(pixels=pixels, transparent=read.transparent)

    def regions(
        self, level: int, *, corners: NDArray[np.int64], size: tuple[int, int], threads: int
    ) -> Regions:
        """Prepare to read many regions of a level, one after the other."""
        return _OneByOne(self, level, corners, size=size)

    def l0_position(
        self, level: int, *, corner: tuple[int, int], size: tuple[int, int]
    ) -> tuple[int, int]:
        """The level-0 pixel to ask OpenSlide for, of a region that lies inside the level."""
        level_size, downsample = self.header.level_dimensions[level], self.header.downsamples[level]
        x, y = (
            _l0_position(corner[i], last=level_size[i] - size[i], downsample=downsample)
            for i in (0, 1)
        )
        return x, y

    def _region(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> Image:
        """Read a region that lies inside the level."""
        position = self.l0_position(level, corner=corner, size=size)
        try:
            return self._read_once(position, level, size)
        except openslide.OpenSlideError:
            self.close()  # OpenSlide answers every call with the first error from here on
        try:
            return self._read_once(position, level, size)
        except openslide.OpenSlideError as error:
            self.close()
            raise self._corrupt(
                f"level {level}, {size[0]}x{size[1]} px at {corner[0]},{corner[1]}: {error}"
            ) from None

    def _read_once(self, position: tuple[int, int], level: int, size: tuple[int, int]) -> Image:
        if self._slide is None:
            self._slide = self._open()
        return self._slide.read_region(position, level, size)

    def _open(self) -> openslide.OpenSlide:
        try:
            return openslide.OpenSlide(self._file)
        except openslide.OpenSlideUnsupportedFormatError:
            raise why_unsupported(self.path) from None
        except openslide.OpenSlideError as error:
            if UNSUPPORTED_WORDS.search(str(error)):
                raise SlideError(FailureClass.UNSUPPORTED_SLIDE, f"{self.path}: {error}") from None
            raise self._corrupt(f"OpenSlide cannot open it: {error}") from None

    def _corrupt(self, why: str) -> SlideError:
        return SlideError(FailureClass.CORRUPT_SLIDE, f"{self.path}: {why}")


class _OneByOne:
    """Regions in their own order; one handle is reopened after an error, so it is not shared."""

    threads = 1

    def __init__(
        self,
        reader: OpenSlideReader,
        level: int,
        corners: NDArray[np.int64],
        *,
        size: tuple[int, int],
    ) -> None:
        self.order = np.arange(len(corners), dtype=np.int64)
        self._reader, self._level, self._size = reader, level, size
        self._corners: list[tuple[int, int]] = [(x, y) for x, y in corners.tolist()]

    def read(self, index: int, out: NDArray[np.uint8]) -> bool:
        read = self._reader.read(self._level, corner=self._corners[index], size=self._size)
        out[...] = read.pixels
        return not read.transparent

    def read_until(self, place: int) -> None:
        """Nothing is kept."""


def _header(slide: openslide.OpenSlide, size_bytes: int) -> SlideHeader:
    properties = slide.properties
    return SlideHeader(
        vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
        level_dimensions=slide.level_dimensions,
        downsamples=slide.level_downsamples,
        mpp_x=_shortest(properties.get(openslide.PROPERTY_NAME_MPP_X)),
        mpp_y=_shortest(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
        magnification=properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER),
        size_bytes=size_bytes,
        background=_rgb(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR)),
    )


def _header_mpp(header: SlideHeader) -> tuple[Fraction, Fraction] | None:
    """Resolution of both axes; an axis that the header leaves out is like the other one."""
    mpp_x = parse_mpp(header.mpp_x or header.mpp_y or "")
    mpp_y = parse_mpp(header.mpp_y or header.mpp_x or "")
    return None if mpp_x is None or mpp_y is None else (mpp_x, mpp_y)


def _shortest(decimal: str | None) -> str | None:
    """The shortest decimal of the same double: OpenSlide prints 0.5026 as 0.50260000000000005."""
    if decimal is None or parse_mpp(decimal) is None:
        return decimal
    return repr(float(decimal))


def _rgb(hexadecimal: str | None) -> tuple[int, int, int]:
    """Colour of OpenSlide's ``RRGGBB``; white when the slide names none."""
    if hexadecimal is None:
        return WHITE
    red, green, blue = bytes.fromhex(hexadecimal)
    return red, green, blue


def _l0_position(corner: int, *, last: int, downsample: float) -> int:
    """Level-0 pixel to ask for, so that reading starts at this pixel of the level.

    OpenSlide divides it by `downsample` again. `last` is the last corner from which the region
    fits into the level: a position beyond it would blend the outside into the far edge.
    """
    return min(math.floor(corner * downsample + 0.5), math.floor(last * downsample))


def _composited(image: Image, background: tuple[int, int, int]) -> TileRead:
    """Lay an RGBA image over a colour, rounding to the nearest value."""
    lowest, highest = image.getchannel("A").getextrema()
    if lowest == 255:
        return TileRead(pixels=np.array(image.convert("RGB")), transparent=False)
    rgba = np.asarray(image).astype(np.uint32)
    alpha = rgba[..., 3:]
    mixed = rgba[..., :3] * alpha + np.array(background, np.uint32) * (255 - alpha)
    return TileRead(pixels=((mixed + 127) // 255).astype(np.uint8), transparent=highest == 0)
