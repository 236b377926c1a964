"""Whether a slide can be used for what the config asks, judged from its header alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.geometry import TileGrid, tile_grid
from slidearray.errors import SlideError
from slidearray.slides.reader import SlideHeader, effective_override, read_header, slide_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from slidearray.core.recipe import TileSpec

#: Reading a header waits for the file system far longer than it computes.
HEADER_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """A slide that can be used, and how much of it there is."""

    header: SlideHeader
    grid: TileGrid

    @property
    def tiles(self) -> int:
        """Tiles of the whole grid; tissue detection leaves fewer."""
        return self.grid.counts[0] * self.grid.counts[1]

    @property
    def target_pixels(self) -> int:
        """Pixels of all tiles at the target resolution; where tiles overlap, each counts."""
        return self.tiles * self.grid.tile_size**2

    @property
    def read_pixels(self) -> int:
        """Pixels of all tiles at the level that is read."""
        return self.tiles * self.grid.extent[0] * self.grid.extent[1]


def preflight(path: Path, *, mpp: str, spec: TileSpec) -> Preflight:
    """Read a slide's header and lay the tile grid over it.

    Parameters
    ----------
    path
        The slide.
    mpp
        The manifest's cell, empty when there is none.
    spec
        Tiles the config asks for.

    Raises
    ------
    SlideError
        With the class and reason for which the slide cannot be used.
    """
    header = read_header(path)
    shape = slide_shape(header, mpp_override=effective_override(header, mpp))
    return Preflight(header=header, grid=tile_grid(shape, spec))


def preflight_all(
    slides: Sequence[tuple[Path, str]], *, spec: TileSpec
) -> Iterator[Preflight | SlideError]:
    """`preflight` of many slides at once, in their order; a slide's fault takes its place."""

    def one(slide: tuple[Path, str]) -> Preflight | SlideError:
        try:
            return preflight(slide[0], mpp=slide[1], spec=spec)
        except SlideError as error:
            return error

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        yield from pool.map(one, slides)
