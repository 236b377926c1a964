"""Small slides, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from slidearray.slides.synthetic import write_slide
from slidearray.slides.tiff_writer import TiledJpegTiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILE = 64


@pytest.fixture(scope="session")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 x 200 px, all tissue, levels of downsample 1, 2 and 4 exactly."""
    path = tmp_path_factory.mktemp("pyramid") / "pyramid.svs"
    write_slide(path, width=300, height=200, seed=3, tissue=1.0, levels=(1, 2, 4))
    return path


@pytest.fixture
def tiled(tmp_path: Path) -> Callable[..., Path]:
    """Make a slide of one level, in grey: rows of values, a tile of 64 px each.

    None is a tile of no bytes, bytes are written as they are.
    """

    def make(rows: list[list[int | bytes | None]], *, name: str = "tiled.svs") -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            size = (len(rows[0]) * TILE, len(rows) * TILE)
            TiledJpegTiff(file, tile=TILE).add(
                [_tile(value) for row in rows for value in row],
                size=size,
                description=f"Aperio\n{size[0]}x{size[1]}|AppMag = 20|MPP = 0.5",
            )
        return path

    return make


def _tile(value: int | bytes | None) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    return cv2.imencode(".jpg", np.full((TILE, TILE, 3), value, np.uint8))[1].tobytes()
