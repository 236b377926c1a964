"""info: what a slide says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slidearray.slides.choice import AUTO, open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.slides.contract import SlideReader


def describe_slide(path: Path) -> dict[str, Any]:
    """A slide's header as plain values, with the reader of each level, and why not the faster one.

    Raises
    ------
    SlideError
        When the slide cannot be used.
    """
    with open_slide(path, reader=AUTO) as slide:
        header = slide.header
        levels = [_level(slide, level) for level in range(len(header.level_dimensions))]
    readers = {level["reader"] for level in levels}
    return {
        "path": str(path),
        "vendor": header.vendor,
        "width": header.width,
        "height": header.height,
        "mpp_x": header.mpp_x,
        "mpp_y": header.mpp_y,
        "magnification": header.magnification,
        "size_bytes": header.size_bytes,
        "reader": readers.pop() if len(readers) == 1 else "fast and openslide",
        "levels": levels,
    }


def _level(slide: SlideReader, level: int) -> dict[str, Any]:
    width, height = slide.header.level_dimensions[level]
    why_not_fast = slide.why_not(level)
    return {
        "level": level,
        "width": width,
        "height": height,
        "downsample": slide.header.downsamples[level],
        "reader": "openslide" if why_not_fast else "fast",
        "why_not_fast": why_not_fast,
        "interpolated": slide.interpolates(level),
    }
