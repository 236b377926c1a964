"""Which files make up one slide: most formats have one, MRXS, VMS and DICOM have several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.slides.dicom import is_dicom, series_uid

if TYPE_CHECKING:
    from pathlib import Path

VMS_SUFFIXES = (".vms", ".vmu")
VMS_KEYS = ("ImageFile", "MapFile", "OptimisationFile", "MacroImage")  # of Hamamatsu's index


def slide_files(path: Path) -> list[Path]:
    """List every file of a slide, sorted: MRXS companions, parts of a VMS, a DICOM series.

    Parameters
    ----------
    path
        A slide file, or a folder of DICOM files, which all belong to the slide.

    Raises
    ------
    OSError
        When `path` cannot be read.
    """
    if path.is_dir():
        return dicom_files(path)
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        companions = (file for file in path.with_suffix("").rglob("*") if file.is_file())
        return sorted([path, *companions])
    if suffix in VMS_SUFFIXES:
        return sorted({path, *_vms_parts(path)})
    return _series_of(path) if is_dicom(path) else [path]


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files directly in a folder, sorted."""
    return sorted(file for file in folder.iterdir() if is_dicom(file))


def _series_of(path: Path) -> list[Path]:
    """Files beside a DICOM file that belong to its series, itself included."""
    uid = series_uid(path)
    if uid is None:
        return [path]
    return [file for file in dicom_files(path.parent) if series_uid(file) == uid]


def _vms_parts(path: Path) -> list[Path]:
    """Files that a Hamamatsu index names and that are there."""
    text = path.read_text("utf-8-sig", errors="surrogateescape")
    pairs = (line.partition("=") for line in text.splitlines())
    named = (value.strip() for key, _, value in pairs if key.strip().startswith(VMS_KEYS))
    parts = (path.parent / name for name in named if name and "/" not in name and "\0" not in name)
    return [part for part in parts if part.is_file()]
