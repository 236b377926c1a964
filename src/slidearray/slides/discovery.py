"""Finding slides under folders: one find a slide, however many files it has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from slidearray.errors import ManifestError
from slidearray.slides.dicom import is_dicom, series_uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MRXS = ".mrxs"
DICOM = ".dcm"
#: Endings under which OpenSlide's formats come; DICOM files often have none at all.
SUFFIXES = (".bif", ".czi", DICOM, MRXS, ".ndpi", ".scn", ".svs", ".svslide", ".tif", ".tiff",
            ".vms", ".vmu")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSlide:
    """One slide, readable or not."""

    path: Path  # as a manifest has it: from the root where it lies inside, else absolute
    aliases: tuple[Path, ...]  # absolute paths by which a manifest may name the same slide
    name: str  # what an id can be made of
    cohort: str  # folder right below the one searched; empty for a slide directly in it


def find_slides(folders: Sequence[Path], *, root: Path) -> list[FoundSlide]:
    """Slides in folders and below, folder by folder and sorted by path.

    Names with a leading dot are passed over, and so are the folders that belong to MRXS files.
    DICOM files are told apart by their series. Links are followed, but not in circles.

    Parameters
    ----------
    folders
        Where to look; a slide found twice counts once.
    root
        Folder from which paths are written.

    Raises
    ------
    ManifestError
        Where a folder cannot be read, or a name is not UTF-8 and so cannot stand in a manifest.
    """
    found: dict[Path, FoundSlide] = {}
    for folder in folders:
        for here, files in _walk(_absolute(folder)):
            for slide in (*_single_files(here, files), *_dicom_series(here, files)):
                found.setdefault(slide.aliases[0], _placed(slide, folder=folder, root=root))
    if faults := [
        f"{str(slide.path).encode(errors='surrogateescape')!r}: the name is not UTF-8; rename it"
        for slide in found.values()
        if not _encodable(str(slide.path))
    ]:
        raise ManifestError(faults)
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slide:
    name: str
    container: Path  # the folder that the slide lies in
    aliases: tuple[Path, ...]  # the first is the path to write


def _walk(top: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Folders from `top` down, each with its files that may be slides, sorted."""
    for here, folders, names in os.walk(top, onerror=_refuse, followlinks=True):
        folder = Path(here)
        files = [folder / name for name in sorted(names) if _may_be_slide(folder / name)]
        companions = {file.stem for file in files if file.suffix.lower() == MRXS}
        folders[:] = [
            name
            for name in sorted(folders)
            if name[0] != "." and name not in companions and not _is_circle(folder / name)
        ]
        yield folder, files


def _refuse(error: OSError) -> NoReturn:
    raise ManifestError([f"{error.filename}: cannot be searched: {error.strerror}"])


def _is_circle(folder: Path) -> bool:
    """Whether a link leads back to a folder that it is in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _may_be_slide(file: Path) -> bool:
    if file.name[0] == "." or not (file.is_file() or file.is_symlink()):
        return False
    return file.suffix.lower() in SUFFIXES or _is_bare_dicom(file)


def _is_bare_dicom(file: Path) -> bool:
    """Whether it is DICOM without an ending, or named by a UID, whose end is a number."""
    bare = not file.suffix or file.suffix[1:].isdigit()
    return bare and file.name != "DICOMDIR" and is_dicom(file)


def _single_files(here: Path, files: Iterable[Path]) -> Iterator[_Slide]:
    for file in files:
        if file.suffix.lower() in SUFFIXES and file.suffix.lower() != DICOM:
            yield _Slide(name=file.stem, container=here, aliases=(file,))


def _dicom_series(here: Path, files: Sequence[Path]) -> Iterator[_Slide]:
    """One slide for each series; a folder with nothing but one series is the slide itself."""
    series: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() == DICOM or file.suffix.lower() not in SUFFIXES:
            series.setdefault(series_uid(file) or str(file), []).append(file)
    if len(series) == 1:
        (members,) = series.values()
        aliases = (here, *members) if len(members) == len(files) else (*members, here)
        yield _Slide(name=here.name, container=here.parent, aliases=aliases)
        return
    for members in series.values():
        yield _Slide(name=here.name, container=here, aliases=tuple(members))


def _placed(slide: _Slide, *, folder: Path, root: Path) -> FoundSlide:
    path, top, base = slide.aliases[0], _absolute(folder), _absolute(root)
    inside = slide.container.is_relative_to(top)
    below = slide.container.relative_to(top).parts if inside else ()
    return FoundSlide(
        path=path.relative_to(base) if path.is_relative_to(base) else path,
        aliases=slide.aliases,
        name=slide.name,
        cohort=below[0] if below else "",
    )


def _absolute(path: Path) -> Path:
    """Without ``..``, and without following links: users know slides by the names they gave."""
    return Path(os.path.abspath(path))  # noqa: PTH100 -- Path.absolute leaves `..` in place


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
