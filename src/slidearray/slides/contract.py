"""What the rest of the program asks of a slide: its header, and pixels of its levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from slidearray.slides.reader import OpenSlideReader, SlideHeader, TileRead


class Regions(Protocol):
    """Regions of one size that are read in an order of the reader's choice."""

    @property
    def order(self) -> NDArray[np.int64]:
        """(n,) int64: the regions, as they are to be read."""
        ...

    @property
    def threads(self) -> int:
        """How many may call `read` at once."""
        ...

    def read(self, index: int, out: NDArray[np.uint8]) -> bool:
        """Read a region into (height, width, 3) RGB.

        Returns
        -------
        bool
            Whether the slide has anything there; False: no pixel of it was ever scanned.

        Raises
        ------
        SlideError
            ``corrupt_slide``, when it cannot be read.
        """
        ...

    def read_until(self, place: int) -> None:
        """Say that nothing before this place in the order is asked for again."""
        ...


class SlideReader(Protocol):
    """Pixels of one slide; a context manager."""

    @property
    def header(self) -> SlideHeader:
        """What the slide says of itself."""
        ...

    @property
    def reference(self) -> OpenSlideReader:
        """OpenSlide on the same slide."""
        ...

    def why_not(self, level: int) -> str | None:
        """Why OpenSlide has to read a level; None where its native tiles are read."""
        ...

    def interpolates(self, level: int) -> bool:
        """Whether pixels of a level are moved by fractions of a pixel when they are read."""
        ...

    def read(self, level: int, *, corner: tuple[int, int], size: tuple[int, int]) -> TileRead:
        """Read a region of one level; what lies outside the level is white.

        Parameters
        ----------
        level
            Level of the slide.
        corner
            ``(x, y)`` of the region's top-left pixel, in pixels of that level.
        size
            ``(width, height)`` in pixels of that level.

        Raises
        ------
        SlideError
            ``corrupt_slide``, when the region cannot be read.
        """
        ...

    def regions(
        self, level: int, *, corners: NDArray[np.int64], size: tuple[int, int], threads: int
    ) -> Regions:
        """Prepare to read many regions of a level.

        Parameters
        ----------
        level
            Level of the slide.
        corners
            (n, 2) int64, ``(x, y)`` in pixels of that level, row by row.
        size
            ``(width, height)`` of every region.
        threads
            How many may read at once, where the reader can.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

    def __enter__(self) -> SlideReader:
        """Return itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Let go of the file."""
        ...
