"""The keys of slides as they are now, as the worker will find them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from slidearray.core.geometry import tile_grid
from slidearray.core.recipe import slide_key
from slidearray.errors import SlideError
from slidearray.slides.choice import open_slide
from slidearray.slides.fingerprint import fingerprint
from slidearray.slides.preflight import HEADER_THREADS
from slidearray.slides.reader import effective_override, slide_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from slidearray.core.recipe import TileSpec


def current_key(path: Path, *, mpp: str, spec: TileSpec, reader: str) -> str:
    """The key of a slide.

    Parameters
    ----------
    path
        The slide.
    mpp
        The manifest's cell, empty for what the header says.
    spec
        Tiles asked for: they decide the level that is read, and so whether it is interpolated.
    reader
        The config's key: native tiles are never interpolated.

    Raises
    ------
    SlideError
        It cannot be read, or not be used for such tiles.
    """
    with open_slide(path, reader=reader) as slide:
        override = effective_override(slide.header, mpp)
        grid = tile_grid(slide_shape(slide.header, mpp_override=override), spec)
        return slide_key(
            fingerprint=fingerprint(path),
            mpp_override=override,
            interpolated=slide.interpolates(grid.level),
        )


def current_keys(
    slides: Iterable[tuple[Path, str]], *, spec: TileSpec, reader: str
) -> Iterator[str | SlideError]:
    """`current_key` of many slides (path, mpp) at once, in their order; a fault takes its place."""

    def one(slide: tuple[Path, str]) -> str | SlideError:
        try:
            return current_key(slide[0], mpp=slide[1], spec=spec, reader=reader)
        except SlideError as error:
            return error

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        yield from pool.map(one, slides)
