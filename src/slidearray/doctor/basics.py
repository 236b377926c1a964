"""What every machine that does work needs: Python, libraries, a folder that keeps its promises."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import slidearray
from slidearray.doctor.checks import Check, fail, ok, tried, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Distribution and module of every library that slidearray needs.
LIBRARIES = (
    ("filelock", "filelock"),
    ("h5py", "h5py"),
    ("imagecodecs", "imagecodecs"),
    ("jinja2", "jinja2"),
    ("numpy", "numpy"),
    ("opencv-python-headless", "cv2"),
    ("openslide-bin", "openslide_bin"),
    ("openslide-python", "openslide"),
    ("pandas", "pandas"),
    ("pydantic", "pydantic"),
    ("pyyaml", "yaml"),
    ("rich", "rich"),
    ("simplejpeg", "simplejpeg"),
    ("submitit", "submitit"),
    ("tifffile", "tifffile"),
)
#: Less than this is used up by a few slides.
LITTLE_BYTES = 5_000_000_000
#: A run needs some inodes a slide.
FEW_INODES = 10_000


def basic_checks(folder: Path, *, versions: Mapping[str, str]) -> Iterator[Check]:
    """Look at Python, libraries and a folder.

    Parameters
    ----------
    folder
        A folder that is ours, on the project's file system; test files are left in it.
    versions
        Versions, by name, that the libraries should have; empty where anything will do.
    """
    yield tried("python", check_python)
    yield tried("libraries", lambda: check_libraries(versions))
    yield tried("openslide", lambda: check_openslide(folder))
    yield tried("hdf5", lambda: check_hdf5(folder))
    yield tried("files", lambda: check_files(folder))
    yield tried("space", lambda: check_space(folder))
    yield tried("temporary files", check_temporary_files)


def check_python() -> Check:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    return ok("python", f"{version}, {sys.executable}; slidearray {slidearray.__version__}")


def found_versions() -> dict[str, str]:
    """The version of slidearray and of every library that is installed here."""
    versions = {"slidearray": slidearray.__version__}
    for distribution, _ in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[distribution] = importlib.metadata.version(distribution)
    return versions


def check_libraries(versions: Mapping[str, str]) -> Check:
    """Whether every library can be imported, and has the version in `versions`."""
    broken = {name: why for name, module in LIBRARIES if (why := _import_fault(module))}
    if broken:
        return fail(
            "libraries",
            "; ".join(f"{name}: {why}" for name, why in broken.items()),
            advice=f"install them for this Python: {sys.executable} -m pip install slidearray",
        )
    here = found_versions()
    other = [
        f"{name} {here.get(name, 'of no version')} instead of {version}"
        for name, version in versions.items()
        if here.get(name) != version
    ]
    if other:
        # Another slidearray may write other files; another library gives other pixels at most.
        judge = fail if here["slidearray"] != versions.get("slidearray") else warn
        advice = "let jobs use the environment that submits: `python:` or `setup:` of the profile"
        return judge("libraries", ", ".join(other), advice=advice)
    if versions:
        return ok("libraries", "the same as where the job was submitted")
    return ok("libraries", ", ".join(f"{name} {version}" for name, version in here.items()))


def check_openslide(folder: Path) -> Check:
    """Whether a slide that is made here can be read."""
    from slidearray.slides.reader import OpenSlideReader
    from slidearray.slides.synthetic import write_slide

    path = folder / "doctor.svs"
    write_slide(path, width=512, height=512, seed=1, tissue=0.5)
    with OpenSlideReader(path) as reader:
        pixels = reader.read(0, corner=(0, 0), size=(256, 256)).pixels
    if pixels.min() == pixels.max():
        return fail(
            "openslide",
            "a slide of many colours was read as one of one colour",
            advice="install openslide-bin again: its library is not sound",
        )
    return ok("openslide", "a slide was made and read back")


def check_hdf5(folder: Path) -> Check:
    """Whether a feature file can be written to a folder and read back whole."""
    size = write_probe_features(folder / "doctor.h5")
    return ok("hdf5", f"a feature file of {size} bytes was written and read back")


def write_probe_features(path: Path) -> int:
    """Write a small feature file, which is read back; its size in bytes."""
    import numpy as np

    from slidearray.storage.feature_file import FeatureData, write_feature_file

    data = FeatureData(
        features=np.linspace(0, 1, 64 * 32, dtype=np.float32).reshape(64, 32),
        coords=np.arange(128, dtype=np.int32).reshape(64, 2),
        slide_id="doctor",
        model="doctor",
        mpp=0.5,
        mpp_level0=0.5,
        recipe_digest="0" * 64,
        slide_key="0" * 64,
        patch_size=1,
        patch_size_level0=1,
        level0_width=128,
        level0_height=128,
        level0_magnification=None,
        target_magnification=None,
        overlap=0,
    )
    return write_feature_file(path, data).size


def check_files(folder: Path) -> Check:
    """Whether what a run directory is built on works in a folder: fsync, rename, hard links."""
    first, second, linked = (folder / f"doctor.{name}" for name in ("new", "old", "linked"))
    step = "create a file"
    try:
        descriptor = os.open(first, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            os.write(descriptor, b"doctor")
            step = "fsync a file"
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        step = "rename a file over another"
        second.write_bytes(b"old")
        first.replace(second)
        if second.read_bytes() != b"doctor":
            raise OSError(0, "the old content is still there")
    except OSError as error:
        advice = "put the project on a file system where jobs may write"
        return fail("files", f"{folder}: cannot {step}: {error.strerror}", advice=advice)
    try:
        linked.hardlink_to(second)
    except OSError as error:
        advice = "all works, and `plan --reuse` needs the room of a copy"
        return warn("files", f"{folder}: no hard links: {error.strerror}", advice=advice)
    return ok("files", f"create, fsync, rename and hard link; umask {umask_found():04o}")


def umask_found() -> int:
    """The umask of this process."""
    mask = os.umask(0o077)  # it can be read only by setting it
    os.umask(mask)
    return mask


def check_space(folder: Path) -> Check:
    """How much room a folder has."""
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize
    inodes = facts.f_favail if facts.f_files else None  # some file systems count none
    found = f"{_gigabytes(free)} free"
    found += "" if inodes is None else f", {inodes} inodes free"
    if free < LITTLE_BYTES or (inodes is not None and inodes < FEW_INODES):
        advice = "`slidearray plan` says what a run will write; a quota may leave less than this"
        return warn("space", found, advice=advice)
    return ok("space", f"{found}; a quota may leave less")


def check_temporary_files() -> Check:
    """Whether the folder of temporary files can be written to."""
    name, advice = "temporary files", "set TMPDIR with `export TMPDIR=...` in the profile's setup"
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return fail(name, str(error), advice=advice)
    asked = os.environ.get("TMPDIR")
    facts = os.statvfs(folder)
    found = f"{folder}: {_gigabytes(facts.f_bavail * facts.f_frsize)} free"
    if asked and Path(asked) != folder:
        return warn(name, f"TMPDIR is {asked}, which cannot be written to; {found}", advice=advice)
    return ok(name, found)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _import_fault(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # a library that breaks while it loads can raise anything
        return f"{type(error).__name__}: {error}"
    return ""
