"""init and demo: a project's folders, its config and profiles, and slides to try them on."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.errors import SlidearrayError
from slidearray.slides.synthetic import write_demo_slides
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG_NAME = "slidearray.yaml"
MANIFEST_NAME = "metadata/slide_manifest.csv"
SLIDES_FOLDER = "raw_slides"

_RUN_DIR = "runs/first"
_DEMO_RUN_DIR = "runs/demo"

#: One line for each folder: what goes there, and what writes it.
FOLDERS = {
    SLIDES_FOLDER: "Whole-slide images, one sub-folder a cohort. You put them here; "
    "`slidearray` only reads them.",
    "processed": "Slides that you converted, cropped or stained anew. Your own tools write them; "
    "`slidearray` writes nothing here.",
    "features": "Feature stores that you keep. Copy them from `runs/*/stores/` when a run is "
    "complete; `slidearray` writes nothing here.",
    "models": "Trained models. Your own training code writes them.",
    "results": "Tables and figures. Your own analysis writes them.",
    "metadata": "`slide_manifest.csv`, written by `slidearray manifest build`, and clinical "
    "tables, which you put here.",
    "runs": "One run directory a plan: scripts, logs, features and the store. "
    "`slidearray plan` and `slidearray run` write them.",
}

_GITIGNORE = """\
# Slides, features and models are too large for git; the README of each folder is kept.
# metadata/ is not ignored: look that it names no patient before you publish it.
/raw_slides/*
/processed/*
/features/*
/models/*
/runs/*
!/*/README.md
"""

_CONFIG = """\
# What to do with the slides. Paths are relative to this file's folder.
version: 1

manifest: metadata/slide_manifest.csv   # made by `slidearray manifest build`
run_dir: runs/first                     # made by `slidearray plan`; another plan, another folder

tiles:
  tile_size: 256        # pixels at the resolution below
  stride: 256           # pixels from tile to tile; smaller than tile_size, and tiles overlap
  mpp: 0.5              # micrometres per pixel; or `magnification: 20`, or `level: 1`
  pad: false            # true: tiles reach over the right and lower edge, filled with white

tissue:
  method: otsu          # otsu, or none for every tile of the slide
  min_coverage: 0.5     # a tile is kept when at least this part of it is tissue

encoder:
  name: color-texture   # or python:MODULE_OR_FILE:FACTORY for an encoder of your own
  # label: color-texture  # names the folder of the features; default: made from the name
  batch_size: 64        # tiles in one call of the encoder
  options: {}           # passed to the encoder's factory

save:
  features: true

shards:
  target_minutes: 30    # how long an array task may take; the last ones are shorter
  slides_per_task: auto # a number wins over target_minutes
  max_tasks: 1000       # never more array tasks than this

retry:
  max_attempts: 3       # for out of memory, timeouts and crashes
  auto: true            # what may go again is sent by itself
  memory_factor: 2.0    # after out of memory
  walltime_factor: 1.5  # after a slide that was alone ran out of time

reduce:
  layout: stacked       # all tiles of all slides in one array
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitReport:
    """What `init` made, and what was there and is as it was; paths relative to the project."""

    made: tuple[Path, ...]
    kept: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProject:
    """A project that is ready for `manifest build` and `run`."""

    folder: Path
    config: Path
    manifest: Path  # where the config expects it
    slides: Path  # the folder that it is built from


def init_project(folder: Path) -> InitReport:
    """Make the skeleton of a project in `folder`; a file that is there is never touched.

    Folders that are links, such as ``raw_slides`` into an archive, get no README.

    Raises
    ------
    SlidearrayError
        When a folder or a file cannot be made.
    """
    made: list[Path] = []
    kept: list[Path] = []
    for relative, text in _skeleton(folder):
        (made if _make_file(folder / relative, text) else kept).append(relative)
    return InitReport(made=tuple(made), kept=tuple(kept))


def make_demo(folder: Path, *, slides: Path | None = None) -> DemoProject:
    """Make a project to try everything on; a project that is there stays as it is.

    Parameters
    ----------
    folder
        The project's folder.
    slides
        Folder of slides to use where they lie; without it, four synthetic slides are made.

    Raises
    ------
    SlidearrayError
        When `slides` is no folder, or something cannot be made.
    """
    if slides is not None and not slides.is_dir():
        raise SlidearrayError(f"{slides}: not a folder; --slides takes a folder of slides")
    config = folder / CONFIG_NAME
    if not os.path.lexists(config):
        if slides is None:
            _make_slides(folder / SLIDES_FOLDER)
        # After the slides: a demo that was stopped half-way is made whole by the next one.
        _make_file(config, _CONFIG.replace(_RUN_DIR, _DEMO_RUN_DIR))
    init_project(folder)
    return DemoProject(
        folder=folder,
        config=config,
        manifest=folder / MANIFEST_NAME,
        slides=slides or folder / SLIDES_FOLDER,
    )


def _skeleton(folder: Path) -> Iterator[tuple[Path, str]]:
    """Paths relative to `folder`, with what belongs in them."""
    yield Path(CONFIG_NAME), _CONFIG
    yield Path(".gitignore"), _GITIGNORE
    for name, line in FOLDERS.items():
        if not (folder / name).is_symlink():
            yield Path(name, "README.md"), f"# {name}\n\n{line}\n"
    for profile in sorted(builtin_dir("cluster_profiles").glob("*.yaml")):
        yield Path("cluster_profiles", profile.name), profile.read_text(encoding="utf-8")


def _make_file(path: Path, text: str) -> bool:
    """Write `text` to `path` unless something is there; whether it was written."""
    _make_folder(path.parent)
    if os.path.lexists(path):
        return False
    try:
        write_text(path, text)
    except OSError as error:
        raise SlidearrayError(f"{path}: cannot be written: {error.strerror}") from error
    return True


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SlidearrayError(
            f"{path}: cannot be made: {error.strerror}; "
            "give a folder that you may write to, or move what is in the way"
        ) from error


def _make_slides(folder: Path) -> None:
    """The demo's slides under `folder`, each whole; one that is there is kept."""
    _make_folder(folder)
    try:
        # Beside `folder`, not in it: what a kill leaves there is never taken for slides.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as scratch:
            for slide in write_demo_slides(Path(scratch)):
                _move_in(slide, folder / slide.relative_to(scratch))
    except OSError as error:
        raise SlidearrayError(
            f"{folder}: the demo's slides cannot be written: {error.strerror or error}"
        ) from error


def _move_in(slide: Path, final: Path) -> None:
    _make_folder(final.parent)
    if not os.path.lexists(final):
        shutil.move(slide, final)
