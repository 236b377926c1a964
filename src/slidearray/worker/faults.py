"""Exceptions of a slide, as a failure class and one line of reason."""

from __future__ import annotations

import errno
import traceback
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.errors import SlidearrayError, SlideError, StorageFullError
from slidearray.storage.files import storage_fault

if TYPE_CHECKING:
    from pathlib import Path

MAX_REASON_CHARACTERS = 500
CV2_NO_MEMORY = "(-4:"  # cv2.Error.StsNoMem in the text: `code` belongs to the whole class


def classified(error: BaseException, *, writing: Path) -> tuple[FailureClass, str]:
    """Failure class and reason of what ended a slide.

    Parameters
    ----------
    error
        Whatever was raised.
    writing
        The file that was to be written, for errors that name none.
    """
    if isinstance(error, SlideError):
        return error.failure, one_line(error.reason)
    if full := error if isinstance(error, StorageFullError) else storage_fault(writing, error):
        return FailureClass.STORAGE_FULL, one_line(str(full))
    if _is_out_of_memory(error):
        return FailureClass.OUT_OF_MEMORY, described(error)
    return FailureClass.WORKER_ERROR, described(error)


def described(error: BaseException) -> str:
    """Type, text and the innermost line of code, in one line; our own errors say it all."""
    if isinstance(error, SlidearrayError):
        return one_line(str(error))
    kind = type(error).__qualname__
    text = f"{kind}: {error}" if str(error) else kind
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return one_line(text, keep=len(place)) + place


def one_line(text: str, *, keep: int = 0) -> str:
    """`text` without line breaks, cut so that `keep` more characters fit into a reason."""
    line = " ".join(text.split())
    room = MAX_REASON_CHARACTERS - keep
    return line if len(line) <= room else line[: room - 3] + "..."


def _is_out_of_memory(error: BaseException) -> bool:
    cv2_says_so = type(error).__module__ == "cv2" and CV2_NO_MEMORY in str(error)
    system_says_so = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or cv2_says_so or system_says_so
