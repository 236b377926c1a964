"""Made-up H&E slides: pyramids of JPEG tiles in Aperio's style, for the demo and for tests."""

from __future__ import annotations

import struct
import tempfile
from contextlib import ExitStack
from itertools import pairwise
from typing import IO, TYPE_CHECKING

import cv2
import numpy as np

from slidearray.core.geometry import MPP_AT_1X
from slidearray.slides.synthetic_section import SyntheticSection
from slidearray.slides.tiff_writer import TiledJpegTiff

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 256
JPEG_QUALITY = 85
LEVELS = (1, 4, 16)  # as Aperio's scanners write them
SPOOL_BYTES = 16_000_000  # encoded tiles of a lower level beyond it wait on disk
JPEG_OPTIONS = (
    *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
)


def write_slide(
    path: Path,
    *,
    width: int,
    height: int,
    seed: int,
    tissue: float,
    mpp: str = "0.5",
    levels: Sequence[int] | None = None,
) -> None:
    """Write a slide of smooth tissue islands with nuclei, on slightly noisy glass.

    The same arguments and library versions give the same bytes. No more than a few rows of tiles
    are in memory, and the file appears under its name only when it is complete.

    Parameters
    ----------
    path
        A file to write; by its suffix, usually ``.svs``.
    width, height
        Of level 0, in pixels.
    seed
        Of everything that is random.
    tissue
        Share of the slide's area that is tissue, 0 to 1.
    mpp
        Micrometres per pixel of level 0, as decimal text.
    levels
        Downsamples, 1 first, each a multiple of the one before. By default 1, 4 and 16, as far
        as the level is at least a tile long.
    """
    if levels is None:
        levels = [d for d in LEVELS if d == 1 or max(width, height) // d >= TILE]
    section = SyntheticSection(width=width, height=height, seed=seed, tissue=tissue, mpp=float(mpp))
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            _write_pyramid(file, section, levels=levels, mpp=mpp)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_demo_slides(folder: Path) -> list[Path]:
    """Write four slides of two cohorts, one of them mostly glass, one of twice the resolution."""
    slides = [
        ("hospital-a/slide-001.svs", (6144, 4608), 0.45, "0.5"),
        ("hospital-a/slide-002.svs", (4096, 5120), 0.30, "0.5"),
        ("hospital-b/slide-003.svs", (6144, 6144), 0.35, "0.25"),
        ("hospital-b/slide-004-mostly-glass.svs", (5120, 4096), 0.02, "0.5"),
    ]
    paths = []
    for seed, (name, (width, height), tissue, mpp) in enumerate(slides, start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_slide(path, width=width, height=height, seed=seed, tissue=tissue, mpp=mpp)
        paths.append(path)
    return paths


class _LowerLevel:
    """A level that is made from the one above it, row by row.

    Parameters
    ----------
    size
        ``(width, height)`` of the level.
    factor
        Pixels of the level above per pixel of this one.
    spool
        Where its encoded tiles wait until the levels above are written.
    """

    def __init__(self, size: tuple[int, int], *, factor: int, spool: IO[bytes]) -> None:
        self.size = size
        self._factor = factor
        self._spool = spool
        self._above = np.empty((0, size[0] * factor, 3), np.uint8)  # not yet reduced
        self._rows = np.empty((0, size[0], 3), np.uint8)  # not yet encoded

    def take(self, above: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take rows of the level above, and return the rows of this one that they complete."""
        self._above = np.concatenate([self._above, above[:, : self._above.shape[1]]])
        count = len(self._above) // self._factor
        rows = _reduced(self._above[: count * self._factor], size=(self.size[0], count))
        self._above = self._above[count * self._factor :]
        self._rows = np.concatenate([self._rows, rows])
        while len(self._rows) >= TILE:
            self._encode()
        return rows

    def tiles(self) -> Iterator[bytes]:
        """Yield the encoded tiles, row by row."""
        if len(self._rows):
            self._encode()
        self._spool.seek(0)
        while length := self._spool.read(4):
            yield self._spool.read(struct.unpack("<I", length)[0])

    def _encode(self) -> None:
        for tile in _encoded(self._rows[:TILE]):
            self._spool.write(struct.pack("<I", len(tile)) + tile)
        self._rows = self._rows[TILE:]


def _write_pyramid(
    file: IO[bytes], section: SyntheticSection, *, levels: Sequence[int], mpp: str
) -> None:
    tiff = TiledJpegTiff(file, tile=TILE)
    size = (section.width, section.height)
    with ExitStack() as stack:
        lower = [
            _LowerLevel(
                (max(1, size[0] // d), max(1, size[1] // d)),
                factor=d // above,
                spool=stack.enter_context(tempfile.SpooledTemporaryFile(SPOOL_BYTES)),
            )
            for above, d in pairwise(levels)
        ]
        tiff.add(_base_tiles(section, lower), size=size, description=_description(size, size, mpp))
        for level in lower:
            text = _description(size, level.size, mpp)
            tiff.add(level.tiles(), size=level.size, description=text)


def _base_tiles(section: SyntheticSection, lower: Sequence[_LowerLevel]) -> Iterator[bytes]:
    """Yield the tiles of level 0; the levels below it take their rows on the way."""
    for top in range(0, section.height, TILE):
        rows = section.rows(top, min(TILE, section.height - top))
        yield from _encoded(rows)
        for level in lower:
            rows = level.take(rows)


def _encoded(rows: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield the JPEGs of a row of tiles; edge tiles are filled up with their last pixels."""
    height, width = rows.shape[:2]
    whole = cv2.copyMakeBorder(rows, 0, TILE - height, 0, -width % TILE, cv2.BORDER_REPLICATE)
    for x in range(0, width, TILE):
        bgr = cv2.cvtColor(whole[:, x : x + TILE], cv2.COLOR_RGB2BGR)
        yield cv2.imencode(".jpg", bgr, JPEG_OPTIONS)[1].tobytes()


def _reduced(rows: NDArray[np.uint8], *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Rows averaged down by area to ``(width, height)``."""
    if not size[1]:
        return np.empty((0, size[0], 3), np.uint8)
    return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.uint8)


def _description(l0_size: tuple[int, int], size: tuple[int, int], mpp: str) -> str:
    """What Aperio's scanners write, as far as readers look at it."""
    text = f"Aperio Image Library (synthetic)\n{l0_size[0]}x{l0_size[1]} ({TILE}x{TILE}) "
    if size != l0_size:
        text += f"-> {size[0]}x{size[1]} "
    return f"{text}JPEG Q={JPEG_QUALITY}|AppMag = {MPP_AT_1X / float(mpp):g}|MPP = {mpp}"
