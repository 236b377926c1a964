"""Slides whose colour tells their number: an encoder sees pixels, and nothing else of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from slidearray.slides.tiff_writer import TiledJpegTiff

if TYPE_CHECKING:
    from pathlib import Path

TILE = 256
TILES = (3, 2)  # across and down
STEP, FIRST = 16, 8  # of red for 16 numbers, of green for each; JPEG loses less than half a step
DESCRIPTION = "Aperio Image Library (coded)\n768x512 (256x256) JPEG Q=95|AppMag = 20|MPP = 0.5"


def write_coded(path: Path, number: int, *, corrupt: bool = False) -> None:
    """Write a slide of six tiles that is `number`, 0 to 255.

    Parameters
    ----------
    corrupt
        Whether the pixels of its last tile cannot be decoded; its header is sound.
    """
    tiles = [_jpeg(number, k) for k in range(TILES[0] * TILES[1])]
    if corrupt:
        tiles[-1] = tiles[-1][:2] + b"\0" * (len(tiles[-1]) - 2)
    size = (TILES[0] * TILE, TILES[1] * TILE)
    with path.open("wb") as file:
        TiledJpegTiff(file, tile=TILE).add(tiles, size=size, description=DESCRIPTION)


def _jpeg(number: int, place: int) -> bytes:
    tile = np.empty((TILE, TILE, 3), np.uint8)
    tile[..., 0] = FIRST + STEP * (number // 16)
    tile[..., 1] = FIRST + STEP * (number % 16)
    tile[..., 2] = np.linspace(20 * place, 20 * place + 100, TILE)  # each tile its own features
    bgr = cv2.cvtColor(tile, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
