"""info: what a slide says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slidearray.slides.reader import interpolates, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.slides.reader import SlideHeader


def describe_slide(path: Path) -> dict[str, Any]:
    """A slide's header as plain values, with what OpenSlide cannot read exactly.

    Raises
    ------
    SlideError
        When the slide cannot be used.
    """
    header = read_header(path)
    return {
        "path": str(path),
        "vendor": header.vendor,
        "width": header.width,
        "height": header.height,
        "mpp_x": header.mpp_x,
        "mpp_y": header.mpp_y,
        "magnification": header.magnification,
        "size_bytes": header.size_bytes,
        "reader": "openslide",
        "levels": [_level(header, level) for level in range(len(header.level_dimensions))],
    }


def _level(header: SlideHeader, level: int) -> dict[str, Any]:
    width, height = header.level_dimensions[level]
    return {
        "level": level,
        "width": width,
        "height": height,
        "downsample": header.downsamples[level],
        "interpolated": interpolates(header, level),
    }
