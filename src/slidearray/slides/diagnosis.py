"""Why a file is no slide: OpenSlide says the same of a truncated slide and of a shopping list."""

from __future__ import annotations

import errno
import stat
import struct
from typing import TYPE_CHECKING, BinaryIO

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError
from slidearray.slides.dicom import series_uid
from slidearray.slides.files import dicom_files

if TYPE_CHECKING:
    from pathlib import Path

#: What a file system says when it is in trouble itself, and not the file.
PASSING = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
LFS_POINTER = b"version https://git-lfs"
HTML_STARTS = (b"<!doctype html", b"<html")
TILE_WIDTH_TAG = 322
MAX_DIRECTORIES = 4096  # a chain longer than this runs in circles


def entry_file(path: Path) -> Path:
    """The file to open for a slide: itself, or the first file of a DICOM folder.

    Raises
    ------
    SlideError
        ``missing_file`` when there is nothing to read, ``worker_error`` when the file system is in
        trouble, ``unsupported_slide`` for what is neither a regular file nor a DICOM folder.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _first_dicom(path)
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise SlideError(FailureClass.UNSUPPORTED_SLIDE, f"{path}: not a regular file")
        with path.open("rb"):
            return path
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise not_readable(path, error) from None


def not_readable(path: Path, error: OSError | ValueError) -> SlideError:
    """The error for a file that the system does not give us; one that may pass is tried again."""
    if isinstance(error, OSError) and error.errno in PASSING:
        return SlideError(FailureClass.WORKER_ERROR, f"{path}: {error.strerror}")
    why = (isinstance(error, OSError) and error.strerror) or error
    return SlideError(FailureClass.MISSING_FILE, f"{path}: {why}")


def why_unsupported(path: Path) -> SlideError:
    """The error for a file that OpenSlide does not take for a slide."""
    try:
        return _why_unsupported(path)
    except OSError as error:  # it is gone since
        return not_readable(path, error)


def _why_unsupported(path: Path) -> SlideError:
    with path.open("rb") as file:
        head = file.read(1024)
        size = file.seek(0, 2)
        if path.suffix.lower() == ".mrxs":
            return _why_not_mrxs(path)
        if fault := _not_delivered(head):
            return SlideError(FailureClass.CORRUPT_SLIDE, f"{path}: {fault}")
        if head[:2] in (b"II", b"MM"):
            return _why_not_tiff(path, file, size)
    return SlideError(
        FailureClass.UNSUPPORTED_SLIDE,
        f"{path}: no slide format that OpenSlide knows; the file starts with {head[:8]!r}",
    )


def _first_dicom(folder: Path) -> Path:
    files = dicom_files(folder)
    named = ((series_uid(file), file.name) for file in reversed(files))
    series = {uid: name for uid, name in named if uid}
    if not files:
        raise SlideError(
            FailureClass.UNSUPPORTED_SLIDE, f"{folder}: a folder without DICOM files is no slide"
        )
    if len(series) > 1:
        raise SlideError(
            FailureClass.UNSUPPORTED_SLIDE,
            f"{folder}: holds {len(series)} DICOM series, so several slides: name one file of each "
            f"instead, such as {', '.join(sorted(series.values())[:3])}",
        )
    return files[0]


def _not_delivered(head: bytes) -> str | None:
    """What stands in the slide's place, when the slide itself never arrived."""
    if not head:
        return "the file is empty: copy it again"
    if head.startswith(LFS_POINTER):
        return "a Git LFS pointer, not the slide: fetch it with `git lfs pull`"
    if head.lstrip().lower().startswith(HTML_STARTS):
        return "an HTML page, not a slide: download it again"
    if not any(head):
        return "the file starts with zeros only, as an unfinished copy does: copy it again"
    return None


def _why_not_mrxs(path: Path) -> SlideError:
    folder = path.with_suffix("")
    if not (folder / "Slidedat.ini").is_file():
        missing = folder / "Slidedat.ini" if folder.is_dir() else folder
        return SlideError(
            FailureClass.MISSING_FILE,
            f"{path}: an MRXS slide needs its folder beside it, and {missing.name} is missing",
        )
    return SlideError(FailureClass.CORRUPT_SLIDE, f"{path}: an MRXS slide whose index is damaged")


def _why_not_tiff(path: Path, file: BinaryIO, size: int) -> SlideError:
    try:
        fault, tiled = _directories(file, size)
    except struct.error:
        fault, tiled = "a TIFF cut off within a directory: copy it again", False
    if fault:
        return SlideError(FailureClass.CORRUPT_SLIDE, f"{path}: {fault}")
    why = "a TIFF of a kind that OpenSlide does not read"
    if not tiled:
        why = "a TIFF in strips; OpenSlide reads tiled ones: convert it to a tiled pyramid"
    return SlideError(FailureClass.UNSUPPORTED_SLIDE, f"{path}: {why}")


def _directories(file: BinaryIO, size: int) -> tuple[str | None, bool]:
    """Walk a TIFF's image directories: what is wrong with the chain, and whether any has tiles.

    Raises
    ------
    struct.error
        When the file ends within a directory.
    """
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    (version,) = struct.unpack(order + "H", file.read(2))
    if version not in (42, 43):
        return f"a damaged TIFF header (version {version} instead of 42 or 43)", False
    big = version == 43
    if big and struct.unpack(order + "HH", file.read(4)) != (8, 0):
        return "a damaged BigTIFF header", False
    offset_form, count_form, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    tiled = False
    for _ in range(MAX_DIRECTORIES):
        (offset,) = _unpack(file, order + offset_form)
        if offset == 0:
            return None, tiled
        if offset >= size:
            return f"a directory is said to be at byte {offset} of {size}: copy it again", tiled
        file.seek(offset)
        (count,) = _unpack(file, order + count_form)
        if file.tell() + count * entry_bytes > size:
            return "a TIFF cut off within a directory: copy it again", tiled
        entries = file.read(count * entry_bytes)
        tags = struct.iter_unpack(order + f"H{entry_bytes - 2}x", entries)
        tiled = tiled or any(tag == TILE_WIDTH_TAG for (tag,) in tags)
    return "a TIFF whose directories run in circles", tiled


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))
