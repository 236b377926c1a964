"""Which reader a slide is read with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.reader import OpenSlideReader

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.slides.contract import SlideReader

AUTO, OPENSLIDE, FAST = "auto", "openslide", "fast"


def open_slide(path: Path, *, reader: str) -> SlideReader:
    """Open a slide.

    Parameters
    ----------
    path
        A slide file, or a folder of DICOM files.
    reader
        ``openslide`` for OpenSlide alone; else native tiles are read where they were proved.

    Raises
    ------
    SlideError
        As `read_header` does.
    """
    reference = OpenSlideReader(path)
    if reader == OPENSLIDE:
        return reference
    from slidearray.slides.fast import FastReader  # its codecs are of no use to OpenSlide alone

    return FastReader(reference)


def insist(slide: SlideReader, *, level: int, asked: str) -> None:
    """Refuse a level that the reader asked for does not read.

    Raises
    ------
    SlideError
        ``bad_parameters``, when ``fast`` was asked for and OpenSlide has to read the level.
    """
    if asked == FAST and (why := slide.why_not(level)):
        raise SlideError(
            FailureClass.BAD_PARAMETERS,
            f"reader: fast cannot read this slide: {why}; use reader: auto, or openslide",
        )
