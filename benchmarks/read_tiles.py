"""How fast tiles of 256 pixels are read: OpenSlide as others call it, libvips, ours, and the limit.

Everything is measured in turn within each round, so that a busy machine slows all of it alike; the
first round is not counted. Prints Markdown tables. libvips takes part where pyvips is installed.

    python benchmarks/read_tiles.py SLIDE [--tiles N] [--rounds N] [--threads N]

`large_slide.py` makes slides for it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import openslide
from PIL import Image

from slidearray.core.geometry import TileGrid, tile_grid
from slidearray.core.recipe import TileSpec
from slidearray.slides.choice import open_slide
from slidearray.slides.codecs import decoder
from slidearray.slides.fast import FastReader
from slidearray.slides.reader import slide_shape
from slidearray.slides.tiff_levels import TiledLevel, read_tiled_levels
from slidearray.slides.tiles import TileSelection, tile_batches

if TYPE_CHECKING:
    from collections.abc import Callable

TILE = 256
BATCH = 64
OFF = (37, 91)  # px by which no tile lies on a native one


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Tiles to read."""

    path: Path
    corners: list[tuple[int, int]]  # level-0 px, row by row
    extent: int  # level-0 px of a tile
    native: list[int]  # native tiles that they lie on
    level: TiledLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds a tile."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast tiles are read.")
    parser.add_argument("slide", type=Path)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for extent in (TILE, 2 * TILE):
        task = task_of(args.slide, count=args.tiles * TILE**2 // extent**2, extent=extent)
        measured = measure(methods(task, args.threads), args.rounds)
        area = len(task.native) * task.level.tile[0] * task.level.tile[1]
        print_table(task, measured, decoded=area / (len(task.corners) * extent**2))


def task_of(path: Path, *, count: int, extent: int) -> Task:
    """A window of tiles where the slide has most bytes."""
    with open_slide(path, reader="auto") as slide:
        if why := slide.why_not(0):
            raise SystemExit(f"{path}: {why}")
        (level, *_) = read_tiled_levels(path, slide.header)
        assert isinstance(level, TiledLevel)
        size = slide.header.level_dimensions[0]
    across = max(1, min(int(count**0.5), (size[0] - OFF[0]) // extent - 1))
    down = max(1, min(count // across, (size[1] - OFF[1]) // extent - 1))
    columns, rows = (n * extent // t + 2 for n, t in zip((across, down), level.tile, strict=True))
    counts = np.array(level.byte_counts).reshape(-1, level.columns)
    sums = np.pad(counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = min(rows, counts.shape[0]), min(columns, counts.shape[1])
    windows = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns]
    windows = windows + sums[:-rows, :-columns]
    row, column = np.unravel_index(int(windows.argmax()), windows.shape)
    left = min(int(column) * level.tile[0] + OFF[0], size[0] - across * extent)
    top = min(int(row) * level.tile[1] + OFF[1], size[1] - down * extent)
    corners = [(left + i * extent, top + j * extent) for j in range(down) for i in range(across)]
    native = [
        y * level.columns + x
        for y in range(top // level.tile[1], -(-(top + down * extent) // level.tile[1]))
        for x in range(left // level.tile[0], -(-(left + across * extent) // level.tile[0]))
    ]
    return Task(path=path, corners=corners, extent=extent, native=native, level=level)


def methods(task: Task, threads: int) -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {"OpenSlide": partial(by_openslide, task)}
    try:
        import pyvips  # noqa: F401
    except ImportError:
        pass
    else:
        found["libvips"] = partial(by_vips, task)
    reader = open_slide(task.path, reader="fast")
    assert isinstance(reader, FastReader)
    assert reader.why_not(0) is None  # proved once, as for a slide of many tiles
    for count in dict.fromkeys((1, threads)):
        found[f"slidearray, threads: {count}"] = partial(by_us, task, reader, count)
    for count in dict.fromkeys((1, threads)):
        found[f"decoder alone, threads: {count}"] = partial(by_decoder, task, count)
    return found


def by_openslide(task: Task) -> None:
    """As loaders of other programs do it."""
    with openslide.OpenSlide(task.path) as slide:
        for corner in task.corners:
            image = slide.read_region(corner, 0, (task.extent, task.extent)).convert("RGB")
            if task.extent != TILE:
                image = image.resize((TILE, TILE), Image.Resampling.BILINEAR)
            np.asarray(image)


def by_vips(task: Task) -> None:
    import pyvips

    image = pyvips.Image.new_from_file(str(task.path), access="random")
    region = pyvips.Region.new(image)
    for x, y in task.corners:
        fetched = region.fetch(x, y, task.extent, task.extent)
        pixels = np.frombuffer(fetched, np.uint8).reshape(task.extent, task.extent, 3)
        if task.extent != TILE:
            cv2.resize(pixels, (TILE, TILE), interpolation=cv2.INTER_AREA)


def by_us(task: Task, reader: FastReader, threads: int) -> None:
    corners = np.array(task.corners)
    selection = TileSelection(coords=corners.astype(np.int32), corners=corners, grid=grid_of(task))
    for batch in tile_batches(reader, selection, BATCH, threads=threads):
        assert len(batch.rows)


def grid_of(task: Task) -> TileGrid:
    """Tiles of 256 pixels, each of so many level-0 pixels."""
    with open_slide(task.path, reader="openslide") as slide:
        shape = slide_shape(slide.header, mpp_override=None)
    level0 = shape.mpp[0] if shape.mpp else None
    if level0 is None:
        raise SystemExit(f"{task.path}: its header has no mpp")
    spec = TileSpec(tile_size=TILE, stride=TILE, mpp=level0 * task.extent / TILE)
    grid = tile_grid(shape, spec)
    if grid.level:
        raise SystemExit(f"{task.path}: level {grid.level} would be read, not level 0")
    return grid


def by_decoder(task: Task, threads: int) -> None:
    """Each native tile once, into the same buffer: what no reader can do faster."""
    decode, descriptor = decoder(task.level), os.open(task.path, os.O_RDONLY)

    def some(part: list[int]) -> None:
        buffer = np.empty((task.level.tile[1], task.level.tile[0], 3), np.uint8)
        for index in part:
            count, offset = task.level.byte_counts[index], task.level.offsets[index]
            decode(os.pread(descriptor, count, offset), buffer)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, [task.native[k::threads] for k in range(threads)]))
    os.close(descriptor)


def measure(methods: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[Timing]]:
    """Timings of each method, one a round, but for the first round."""
    found: dict[str, list[Timing]] = {name: [] for name in methods}
    for counted in [False] + [True] * rounds:
        for name in random.sample(sorted(methods), len(methods)):
            wall, cpu = time.perf_counter(), time.process_time()
            methods[name]()
            timing = Timing(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
            found[name] += [timing] if counted else []
    return found


def print_table(task: Task, measured: dict[str, list[Timing]], *, decoded: float) -> None:
    """`decoded`: pixels decoded for a pixel read, at the least."""
    count = len(task.corners)
    print(
        f"\n{task.path.name}: {count} tiles of {task.extent} px of level 0, unaligned, native "
        f"tiles {task.level.tile[0]}x{task.level.tile[1]} px, {decoded:.2f} decoded px a px read\n"
    )
    print("| | tiles/s | tiles/s of CPU | times OpenSlide, wall | times OpenSlide, CPU |")
    print("|---|---|---|---|---|")
    base = measured["OpenSlide"]
    for name, timings in measured.items():
        wall, cpu = (
            statistics.median(getattr(t, kind) for t in timings) for kind in ("wall", "cpu")
        )
        ratios = [
            statistics.median(
                getattr(b, kind) / getattr(t, kind) for b, t in zip(base, timings, strict=True)
            )
            for kind in ("wall", "cpu")
        ]
        rates = f"{count / wall:.0f} | {count / cpu:.0f}"
        print(f"| {name} | {rates} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
