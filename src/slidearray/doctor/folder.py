"""The doctor's own folder in a project, and the files by which two machines meet in it."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slidearray.errors import RunError
from slidearray.storage.files import execution_token, make_folder, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: A job that ends just now may still hold its log: then an NFS folder is not empty at once.
REMOVALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFolder:
    """What one visit of the doctor leaves on disk, for as long as it lasts."""

    root: Path

    @property
    def script(self) -> Path:
        """The job script."""
        return self.root / "probe.sh"

    @property
    def log(self) -> Path:
        """The log of the job, a plain one."""
        return self.root / "0.log"

    @property
    def question(self) -> Path:
        """What the node has to know; there before the job is submitted."""
        return self.root / "question.json"

    @property
    def arrival(self) -> Path:
        """Written by the node once it runs."""
        return self.root / "arrival.json"

    @property
    def reply(self) -> Path:
        """Written by the submitting side once it sees the arrival."""
        return self.root / "reply.json"

    @property
    def features(self) -> Path:
        """A feature file that the node writes and the submitting side reads."""
        return self.root / "from-the-node.h5"

    @property
    def report(self) -> Path:
        """What the node found."""
        return self.root / "probe.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the submitting side has, for the node to compare itself with."""

    name: str  # of the job
    profile: dict[str, Any]
    versions: dict[str, str]
    umask: int
    paths: tuple[str, ...]  # folders that jobs have to see and write to


def write_question(folder: ProbeFolder, question: Question) -> None:
    """Leave a question for the node."""
    write_text(folder.question, json.dumps(asdict(question)) + "\n")


def read_question(folder: ProbeFolder) -> Question:
    """The question of the submitting side.

    Raises
    ------
    RunError
        When it cannot be seen from here, or is damaged.
    """
    try:
        raw = json.loads(folder.question.read_bytes())
        return Question(**{**raw, "paths": tuple(raw["paths"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{folder.question}: cannot be read on this node: {error}; is the project's folder the "
            "same here as where the job was submitted?"
        ) from None


@contextmanager
def own_folder(project: Path, *, wait: Callable[[float], None]) -> Iterator[ProbeFolder]:
    """A new folder in the project, removed with all that is in it.

    Raises
    ------
    StorageFullError
        The project's folder cannot be written to.
    """
    root = project / f".slidearray-doctor-{execution_token()}"
    make_folder(root)
    try:
        yield ProbeFolder(root=root)
    finally:
        for _ in range(REMOVALS):
            shutil.rmtree(root, ignore_errors=True)
            if not root.exists():
                break
            wait(1.0)
