"""Feature files of other runs, taken where they are current."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.differences import differences
from slidearray.core.geometry import too_many_invalid
from slidearray.errors import StoreError
from slidearray.storage.feature_file import read_facts
from slidearray.storage.files import make_folder, published
from slidearray.storage.manifest import read_manifest
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from slidearray.storage.manifest import Manifest
    from slidearray.storage.rundir import Output, RunDir

#: Where a hard link cannot be made and a copy can: another file system, one without links, somebody
#: else's file, a file with too many links.
NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A feature file of another run for a slide of this one."""

    index: int  # of the slide
    path: Path
    slide_key: str  # that it was made for


@dataclass(slots=True, kw_only=True)
class Reuse:
    """What one other run has for this one."""

    run: RunDir
    taken: dict[int, Path] = field(default_factory=dict)  # its files, by index of the slide
    refused: Counter[str] = field(default_factory=Counter)  # its other files, by what is wrong
    differs: str = ""  # in what its recipe is another one

    def judge(self, file: Candidate, *, key: str | None) -> None:
        """Take a file if it was made for the slide as it is now; `key` None: it cannot be read."""
        if key == file.slide_key:
            self.taken[file.index] = file.path
        elif key is None:
            self.refused["of slides that cannot be read now"] += 1
        else:
            self.refused["of slides that changed, or whose mpp did"] += 1

    def text(self) -> str:
        """What was taken and what was not, in one line."""
        if self.differs:
            return f"{self.run.root}: nothing taken, its recipe is another one: {self.differs}"
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.refused.items()))
        refused = f"; not taken: {why}" if why else ""
        files = "1 feature file" if len(self.taken) == 1 else f"{len(self.taken)} feature files"
        return f"{self.run.root}: {files} taken{refused}"


def candidates(
    reuse: Reuse, manifest: Manifest, *, output: Output, wanted: Sequence[int], invalid: float
) -> Iterator[Candidate]:
    """Feature files that another run has under the ids of slides, if it has the same recipe.

    Parameters
    ----------
    reuse
        The other run; what cannot be taken is counted in it.
    manifest, output
        Of the new run.
    wanted
        Indices of the slides that still have no features.
    invalid
        Share of a slide's tiles that may be unreadable.

    Raises
    ------
    RunError, ManifestError
        The other run is none, or is damaged.
    """
    (theirs,) = read_document(reuse.run).outputs
    if theirs.recipe_digest != output.recipe_digest:
        found = differences(theirs.recipe, output.recipe)
        reuse.differs = ", ".join(f"{key} ({old!r} there, {new!r} now)" for key, old, new in found)
        return
    table = read_manifest(reuse.run.manifest)
    cohorts = dict(zip(table.column("slide_id"), table.column("cohort"), strict=True))
    ids = manifest.column("slide_id")
    for index in wanted:
        if (cohort := cohorts.get(ids[index])) is None:
            continue
        path = reuse.run.feature_file(theirs.label, cohort, ids[index])
        try:
            facts = read_facts(path)
        except StoreError:
            if path.exists():
                reuse.refused["damaged"] += 1
            continue
        if facts.recipe_digest != output.recipe_digest:
            reuse.refused["of another recipe"] += 1
        elif too_many_invalid(facts.num_invalid, tiles=facts.num_tiles, allowed=invalid):
            reuse.refused["with more unreadable tiles than max_invalid_fraction"] += 1
        else:
            yield Candidate(index=index, path=path, slide_key=facts.slide_key)


def take(source: Path, target: Path) -> None:
    """Put a feature file of another run under a new name, by a hard link where that can be made.

    Nothing ever writes into a feature file that is there: one that is made anew replaces the name
    and leaves the other run's file as it is.
    """
    make_folder(target.parent)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        with published(target) as partial:
            shutil.copyfile(source, partial)
