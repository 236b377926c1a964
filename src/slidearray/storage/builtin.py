"""Where the templates and cluster profiles that come with slidearray are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal


def builtin_dir(name: Literal["templates", "cluster_profiles"]) -> Path:
    """A folder that comes with slidearray: inside a wheel, or at the root of a checkout."""
    packaged = Path(str(files("slidearray"))) / name
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / name
