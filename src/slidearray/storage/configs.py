"""Find and read a config and a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.core.config import parse_config
from slidearray.core.profile import parse_profile
from slidearray.errors import ProfileError
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.rundir import read_document
from slidearray.storage.yamls import read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.core.profile import Profile
    from slidearray.storage.rundir import RunDir


def load_config(path: Path) -> tuple[Config, Path]:
    """Read a config.

    Returns
    -------
    tuple[Config, Path]
        The config, and its folder: the project, from which its relative paths start.

    Raises
    ------
    ConfigError
        Naming every fault, with its key.
    """
    return parse_config(read_yaml(path), source=str(path)), path.absolute().parent


def load_profile(name: str | None, *, project: Path) -> Profile:
    """Read a profile by path, or by name from the project's or our own `cluster_profiles/`.

    Without a name it is `local`.

    Raises
    ------
    ProfileError
        Naming every fault, with its key; or the profiles there are.
    """
    name = name or "local"
    folders = (project / "cluster_profiles", builtin_dir("cluster_profiles"))
    candidates = [project / name, *(folder / f"{name}.yaml" for folder in folders)]
    for path in candidates:
        if path.is_file():
            return parse_profile(read_yaml(path), source=str(path), name=path.stem)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise ProfileError(
        f"--profile {name}: no such file, nor a profile of that name in {folders[0]}; "
        f"known are {', '.join(known)}"
    )


def run_config(run: RunDir) -> Config:
    """The config that a run was planned with."""
    return parse_config(read_document(run).config, source=str(run.document))


def run_profile(run: RunDir) -> Profile:
    """The profile that a run was planned with."""
    document = read_document(run)
    name = str(document.profile.get("name", ""))
    return parse_profile(document.profile, source=str(run.document), name=name)
