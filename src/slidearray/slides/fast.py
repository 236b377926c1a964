"""Tiled TIFFs, native tile by native tile: OpenSlide's pixels without its compositing."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.core.native_tiles import NativeGrid, reading_order
from slidearray.errors import SlideError
from slidearray.slides.codecs import DamagedTileError, decoder
from slidearray.slides.diagnosis import not_readable
from slidearray.slides.proof import why_unequal
from slidearray.slides.reader import TileRead, interpolates, white
from slidearray.slides.tiff_levels import read_tiled_levels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from slidearray.slides.contract import Regions
    from slidearray.slides.reader import OpenSlideReader, SlideHeader
    from slidearray.slides.tiff_levels import TiledLevel

    Pixels = NDArray[np.uint8]

#: Decoded native tiles that are kept for the next row of regions. A row of a level 128 000 pixels
#: wide takes as much, in tiles of 256.
BUDGET_BYTES = 100_000_000
RECENT_TILES = 64  # kept between single reads


class FastReader:
    """Pixels of a slide from its native tiles, where they were proved to be OpenSlide's.

    A level that was not proved is read by OpenSlide, as is a region that this reader finds damaged.

    Parameters
    ----------
    reference
        OpenSlide on the same slide; it is closed with this reader.
    """

    def __init__(self, reference: OpenSlideReader) -> None:
        self.reference = reference
        self._levels: dict[int, _NativeLevel | str] = {}
        self._file = _File(reference.path)
        self._lock = Lock()

    def __enter__(self) -> FastReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self.reference.close()

    @property
    def header(self) -> SlideHeader:
        """What the slide says of itself."""
        return self.reference.header

    def why_not(self, level: int) -> str | None:
        """Why OpenSlide has to read a level; None where its native tiles are read."""
        found = self._level(level)
        return found if isinstance(found, str) else None

    def interpolates(self, level: int) -> bool:
        """Whether pixels of a level are moved by fractions of a pixel when they are read."""
        return interpolates(self.header, level) and self.why_not(level) is not None

    def read(self, level: int, *, corner: tuple[int, int], size: tuple[int, int]) -> TileRead:
        """Read a region of one level; what lies outside the level is white.

        Raises
        ------
        SlideError
            ``corrupt_slide``, when OpenSlide cannot read it either.
        """
        native = self._level(level)
        if isinstance(native, str):
            return self.reference.read(level, corner=corner, size=size)
        out = white(size)
        scanned = self.filled(native, out, corner=corner, tile=native.recent)
        return TileRead(pixels=out, transparent=not scanned)

    def regions(
        self, level: int, *, corners: NDArray[np.int64], size: tuple[int, int], threads: int
    ) -> Regions:
        """Prepare to read many regions of a level, so that each native tile is decoded once."""
        native = self._level(level)
        if isinstance(native, str):
            return self.reference.regions(level, corners=corners, size=size, threads=threads)
        return _NativeRegions(self, native, corners, size=size, threads=threads)

    def filled(
        self,
        native: _NativeLevel,
        out: Pixels,
        *,
        corner: tuple[int, int],
        tile: Callable[[int], Pixels | None],
    ) -> bool:
        """Fill a region; OpenSlide has the last word on damaged tiles, unless it interpolates."""
        try:
            return native.fill(out, corner, tile)
        except (DamagedTileError, OSError) as error:
            damage = error
        if interpolates(self.header, native.level):
            raise self._damaged(native.level, corner, damage)
        with self._lock:
            size = (out.shape[1], out.shape[0])
            read = self.reference.read(native.level, corner=corner, size=size)
        out[...] = read.pixels
        return not read.transparent

    def _damaged(self, level: int, corner: tuple[int, int], damage: Exception) -> SlideError:
        if isinstance(damage, OSError):
            return not_readable(self.reference.path, damage)
        where = f"level {level} at {corner[0]},{corner[1]}"
        return SlideError(FailureClass.CORRUPT_SLIDE, f"{self.reference.path}: {where}: {damage}")

    def _level(self, level: int) -> _NativeLevel | str:
        """A level that was proved, or why it was not."""
        if level not in self._levels:
            tiled = self._tiled[level]
            self._levels[level] = tiled if isinstance(tiled, str) else self._proved(level, tiled)
        return self._levels[level]

    @cached_property
    def _tiled(self) -> list[TiledLevel | str]:
        return read_tiled_levels(self.reference.path, self.header)

    def _proved(self, level: int, tiled: TiledLevel) -> _NativeLevel | str:
        native = _NativeLevel(self._file, self.header, tiled=tiled, level=level)

        def read(corner: tuple[int, int], size: tuple[int, int]) -> TileRead:
            out = white(size)
            try:
                scanned = native.fill(out, corner, native.decoded)
            except (DamagedTileError, OSError) as error:
                raise self._damaged(level, corner, error) from None
            return TileRead(pixels=out, transparent=not scanned)

        return why_unequal(tiled, level=level, read=read, reference=self.reference) or native


class _File:
    """Bytes of a file at offsets, for any number of threads; opened when first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._lock = Lock()

    def read(self, offset: int, count: int) -> bytes:
        with self._lock:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return _whole(os.pread(self._descriptor, count, offset), count)

    def read_anew(self, offset: int, count: int) -> bytes:
        """Read by a handle of its own: others may be reading by the one that failed."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _whole(os.pread(descriptor, count, offset), count)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1


def _whole(data: bytes, count: int) -> bytes:
    if len(data) != count:
        raise DamagedTileError(f"the file ends within a tile: {len(data)} of {count} bytes")
    return data


class _NativeLevel:
    """One level: its native tiles, and regions made of them."""

    def __init__(self, file: _File, header: SlideHeader, *, tiled: TiledLevel, level: int) -> None:
        self.level = level
        self.grid = NativeGrid(
            level_size=header.level_dimensions[level], tile=tiled.tile, columns=tiled.columns
        )
        self._file = file
        self._background = np.array(header.background, np.uint8)
        self._tiled = tiled
        self._decode = decoder(tiled)
        self._recent: OrderedDict[int, Pixels | None] = OrderedDict()

    def decoded(self, index: int, buffer: Pixels | None = None) -> Pixels | None:
        """Pixels of a native tile; None when it was never scanned.

        Raises
        ------
        DamagedTileError, OSError
            When it cannot be read.
        """
        count = self._tiled.byte_counts[index]
        if not count:
            return None
        if buffer is None:
            buffer = np.empty((self.grid.tile[1], self.grid.tile[0], 3), np.uint8)
        offset = self._tiled.offsets[index]
        try:
            self._decode(self._file.read(offset, count), buffer)
        except (DamagedTileError, OSError):  # of a file system that had its troubles, perhaps
            self._decode(self._file.read_anew(offset, count), buffer)
        return buffer

    def recent(self, index: int) -> Pixels | None:
        """`decoded`, with the last ones kept; for one thread."""
        if index in self._recent:
            self._recent.move_to_end(index)
            return self._recent[index]
        self._recent[index] = pixels = self.decoded(index)
        if len(self._recent) > RECENT_TILES:
            self._recent.popitem(last=False)
        return pixels

    def fill(
        self, out: Pixels, corner: tuple[int, int], tile: Callable[[int], Pixels | None]
    ) -> bool:
        """Fill `out` with the region at a corner, and say whether any of it was scanned."""
        grid, (height, width) = self.grid, out.shape[:2]
        left, top = corner
        right, bottom = left + width, top + height
        if left < 0 or top < 0 or right > grid.level_size[0] or bottom > grid.level_size[1]:
            out[...] = 255
            right, bottom = min(right, grid.level_size[0]), min(bottom, grid.level_size[1])
        columns, rows = grid.covered(corner, (width, height))
        scanned = False
        for row in rows:
            y = row * grid.tile[1]
            y0, y1 = max(y, top), min(y + grid.tile[1], bottom)
            for column in columns:
                x = column * grid.tile[0]
                x0, x1 = max(x, left), min(x + grid.tile[0], right)
                pixels = tile(row * grid.columns + column)
                target = out[y0 - top : y1 - top, x0 - left : x1 - left]
                if pixels is None:
                    target[...] = self._background
                else:
                    target[...] = pixels[y0 - y : y1 - y, x0 - x : x1 - x]
                    scanned = True
        return scanned


class _NativeRegions:
    """Regions of a level, with the native tiles that the next ones need again."""

    def __init__(
        self,
        reader: FastReader,
        native: _NativeLevel,
        corners: NDArray[np.int64],
        *,
        size: tuple[int, int],
        threads: int,
    ) -> None:
        self.threads = threads
        plan = reading_order(native.grid, corners=corners, size=size, budget_bytes=BUDGET_BYTES)
        self.order = plan.order
        self._leaving = plan.leaving.tolist()
        self._needed_until = plan.needed_until
        self._gone = 0
        self._corners: list[tuple[int, int]] = [(x, y) for x, y in corners.tolist()]
        self._reader, self._native = reader, native
        self._held: dict[int, Pixels | None] = {}
        self._free: deque[Pixels] = deque()

    def read(self, index: int, out: Pixels) -> bool:
        return self._reader.filled(self._native, out, corner=self._corners[index], tile=self._tile)

    def read_until(self, place: int) -> None:
        end = int(np.searchsorted(self._needed_until, place))
        for index in self._leaving[self._gone : end]:
            pixels = self._held.pop(index, None)
            if pixels is not None:
                self._free.append(pixels)
        self._gone = end

    def _tile(self, index: int) -> Pixels | None:
        """A native tile; two threads that miss the same one both decode it."""
        try:
            return self._held[index]
        except KeyError:
            pass
        try:
            buffer = self._free.popleft()
        except IndexError:
            buffer = None
        pixels = self._held[index] = self._native.decoded(index, buffer)
        return pixels
