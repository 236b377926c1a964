"""Native tiles of a TIFF, from bytes to pixels. Damaged bytes raise; they never become grey."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import imagecodecs
import numpy as np
import simplejpeg

from slidearray.slides.tiff_levels import (
    APERIO_JPEG2000_RGB,
    DEFLATE,
    JPEG,
    LZW,
    NONE,
    OLD_DEFLATE,
    ZSTD,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from slidearray.slides.tiff_levels import TiledLevel

START, SCAN, JFIF, ADOBE = b"\xff\xd8", 0xDA, 0xE0, 0xEE
#: Says what the colours are, to a decoder that would guess from markers: TIFF has a tag for it.
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
ADOBE_YCBCR = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01"
RGB = 2


class DamagedTileError(Exception):
    """The bytes of a native tile are not what its level says."""


class Decoder(Protocol):
    """Makes pixels of the bytes of a native tile."""

    def __call__(self, data: bytes, out: NDArray[np.uint8]) -> None:
        """Decode into (height, width, 3) RGB.

        Raises
        ------
        DamagedTileError
            When `data` is damaged, or is a tile of another size.
        """
        ...


def decoder(level: TiledLevel) -> Decoder:
    """The decoder of a level's native tiles."""
    return _Jpeg(level) if level.compression == JPEG else _Plain(level)


class _Jpeg:
    """JPEG by libjpeg-turbo, which stops at what libjpeg only warns of, as OpenSlide does."""

    def __init__(self, level: TiledLevel) -> None:
        adobe = ADOBE_RGB if level.photometric == RGB else ADOBE_YCBCR
        tables = level.jpeg_tables[2:-2] if level.jpeg_tables else b""
        self._head = START + adobe + tables
        self._grey = level.samples == 1

    def __call__(self, data: bytes, out: NDArray[np.uint8]) -> None:
        buffer = np.empty((*out.shape[:2], 1), np.uint8) if self._grey else out
        try:
            stream = self._head + _without_colour_marks(data)
            colours = "GRAY" if self._grey else "RGB"
            decoded = simplejpeg.decode_jpeg(stream, colours, buffer=buffer)
        except ValueError as error:
            raise DamagedTileError(str(error)) from None
        if decoded.shape != buffer.shape:
            raise DamagedTileError(f"a tile of {decoded.shape[1]}x{decoded.shape[0]} px")
        if self._grey:
            out[...] = buffer


def _without_colour_marks(data: bytes) -> bytes:
    """A JPEG without its first marker, and without the segments of JFIF and Adobe."""
    if data[:2] != START:
        raise DamagedTileError(f"not a JPEG: it starts with {data[:2]!r}")
    kept, begin, position = [], 2, 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != SCAN:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] in (JFIF, ADOBE):
            kept.append(data[begin:position])
            begin = end
        position = end
    return b"".join([*kept, data[begin:]])


class _Plain:
    """Whatever is decompressed to the samples of a tile."""

    def __init__(self, level: TiledLevel) -> None:
        self._decompress = DECOMPRESS[level.compression]
        self._samples = level.samples
        self._differences = level.predictor == 2

    def __call__(self, data: bytes, out: NDArray[np.uint8]) -> None:
        shape = (*out.shape[:2], self._samples)
        try:
            samples = self._decompress(data)
        except (RuntimeError, ValueError, zlib.error) as error:
            raise DamagedTileError(str(error)) from None
        if samples.size != shape[0] * shape[1] * shape[2]:
            raise DamagedTileError(f"{samples.size} samples where a tile has {shape}")
        pixels = samples.reshape(shape)
        if self._differences:
            pixels = np.cumsum(pixels, axis=1, dtype=np.uint8)
        out[...] = pixels


def _bytes(
    decompress: Callable[[bytes], bytes | bytearray],
) -> Callable[[bytes], NDArray[np.uint8]]:
    return lambda data: np.frombuffer(decompress(data), np.uint8)


def _jpeg2000(data: bytes) -> NDArray[np.uint8]:
    pixels = np.asarray(imagecodecs.jpeg2k_decode(data))
    if pixels.dtype != np.uint8:
        raise DamagedTileError(f"pixels of {pixels.dtype}")
    return pixels


DECOMPRESS: dict[int, Callable[[bytes], NDArray[np.uint8]]] = {
    NONE: lambda data: np.frombuffer(data, np.uint8),
    LZW: _bytes(lambda data: imagecodecs.lzw_decode(data)),  # each codec is loaded when it is named
    DEFLATE: _bytes(zlib.decompress),
    OLD_DEFLATE: _bytes(zlib.decompress),
    ZSTD: _bytes(lambda data: imagecodecs.zstd_decode(data)),
    APERIO_JPEG2000_RGB: _jpeg2000,
}
