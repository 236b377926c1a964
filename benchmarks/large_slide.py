"""Grow a large slide out of a small real one: its texture, mirrored on and on, between glass.

The same arguments and library versions give the same bytes. Prints nothing.

    python benchmarks/large_slide.py SOURCE OUT [--jpeg 420|444|rgb] [--tile T]

`rgb` stores red, green and blue as they are, as Aperio's scanners do; the others store YCbCr.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tifffile

from slidearray.slides.choice import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

LEVELS = (1, 4, 16)
BAND = 8192  # level-0 px: so much tissue, then so much glass
QUALITY = 75
ENCODINGS: dict[str, dict[str, Any]] = {
    "420": {"photometric": "ycbcr", "subsampling": (2, 2)},
    "444": {"photometric": "ycbcr", "subsampling": (1, 1)},
    "rgb": {"photometric": "rgb"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Grow a large slide out of a small real one.")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=20_480)
    parser.add_argument("--height", type=int, default=20_480)
    parser.add_argument("--jpeg", choices=ENCODINGS, default="420")
    parser.add_argument("--tile", type=int, default=256)
    args = parser.parse_args()
    size = (args.width, args.height)
    write_slide(args.out, texture_of(args.source), size=size, tile=args.tile, jpeg=args.jpeg)


def texture_of(source: Path) -> Pixels:
    """All of a small slide, cut to whole pixels of the lowest level."""
    with open_slide(source, reader="auto") as slide:
        size = (slide.header.width, slide.header.height)
        pixels = slide.read(0, corner=(0, 0), size=size).pixels
    return pixels[: size[1] // LEVELS[-1] * LEVELS[-1], : size[0] // LEVELS[-1] * LEVELS[-1]]


def write_slide(
    path: Path, texture: Pixels, *, size: tuple[int, int], tile: int, jpeg: str
) -> None:
    options: dict[str, Any] = {
        "tile": (tile, tile),
        "dtype": np.uint8,
        "compression": "jpeg",
        "compressionargs": {"level": QUALITY},
        "metadata": None,
        **ENCODINGS[jpeg],
    }
    if jpeg == "rgb":
        options["compressionargs"]["outcolorspace"] = "rgb"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for d in LEVELS:
            width, height = size[0] // d, size[1] // d
            tiff.write(
                tiles(reduced(texture, d), size=(width, height), tile=tile, downsample=d),
                shape=(height, width, 3),
                description=f"Aperio Image Library\n{width}x{height}|AppMag = 40|MPP = 0.25",
                **options,
            )


def reduced(texture: Pixels, factor: int) -> Pixels:
    size = (texture.shape[1] // factor, texture.shape[0] // factor)
    return np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA), np.uint8)


def tiles(
    texture: Pixels, *, size: tuple[int, int], tile: int, downsample: int
) -> Iterator[Pixels]:
    """Yield the native tiles of a level, row by row."""
    glass = np.random.default_rng(0).integers(238, 246, (tile, tile, 3), np.uint8)
    for y in range(0, size[1], tile):
        rows = mirrored(y, tile, length=texture.shape[0])
        for x in range(0, size[0], tile):
            pixels = texture[np.ix_(rows, mirrored(x, tile, length=texture.shape[1]))]
            bands = np.arange(x, x + tile) * downsample // BAND % 2 == 1
            pixels[:, bands] = glass[:, bands]
            yield pixels


def mirrored(begin: int, count: int, *, length: int) -> NDArray[np.int64]:
    """Indices into a texture that is followed by its mirror image."""
    place = np.arange(begin, begin + count) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


if __name__ == "__main__":
    main()
