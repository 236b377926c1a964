"""A user without privileges, and a Python that this user can reach."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slidearray
from slidearray.storage.builtin import builtin_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "nobody"
UMASK = 0o077
NOT_NEEDED = ("__pycache__", "hypothesis", "mypy", "mypyc", "pip", "ruff", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user, with a folder of their own and a Python in it."""

    name: str
    folder: Path
    python: Path

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess` that make a process this user's."""
        account = pwd.getpwnam(self.name)
        return {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "umask": UMASK,
        }


@contextmanager
def somebody(place: Path) -> Iterator[Person]:
    """A person whose folder is made in `place`, which everybody can reach, and removed at the end.

    The interpreter and the packages of the tests may lie where only root can look: what is shown
    to this person are hard links to them, and a copy of the package as a wheel would install it.
    """
    with tempfile.TemporaryDirectory(prefix="slidearray-person-", dir=place) as name:
        folder = Path(name)
        folder.chmod(0o755)
        python = _shown_python(folder)
        home = folder / "home"
        home.mkdir()
        shutil.chown(home, NAME)
        yield Person(name=NAME, folder=home, python=python)


def _shown_python(folder: Path) -> Path:
    base = Path(os.path.realpath(sys.executable))
    if not _is_reachable(base):
        _show(Path(sys.base_prefix), folder / "base", skip=(*NOT_NEEDED, "site-packages"))
        base = folder / "base" / base.relative_to(Path(sys.base_prefix).resolve())
    environment = folder / "env"
    subprocess.run([base, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = (environment / "lib").glob("python3.*/site-packages")
    for place in map(Path, sys.path):
        if place.name in ("site-packages", "dist-packages"):
            _show(place, site, skip=(*NOT_NEEDED, "slidearray"))
    _show(Path(slidearray.__file__).parent, site / "slidearray")
    for name in ("templates", "cluster_profiles"):
        _show(builtin_dir(name), site / "slidearray" / name)
    return environment / "bin" / "python"


def _is_reachable(path: Path) -> bool:
    """Whether everybody can enter all folders above a path."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def _show(source: Path, target: Path, *, skip: tuple[str, ...] = ()) -> None:
    """The tree of `source` again under `target`, readable for everybody."""
    for root, folders, files in os.walk(source):
        folders[:] = [each for each in folders if each not in skip]
        here = target / Path(root).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        here.chmod(0o755)
        for file in files:
            if not file.endswith(".pth"):  # of an editable install: it points to a checkout
                _show_file(Path(root) / file, here / file)


def _show_file(source: Path, target: Path) -> None:
    if target.exists():
        return
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    try:
        if not source.stat().st_mode & 0o004:
            raise PermissionError
        target.hardlink_to(source)
    except OSError:  # another file system, or links are not allowed
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode | 0o444)
