"""profile check: a profile against the cluster it is for, or against this machine."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slidearray.errors import SlidearrayError
from slidearray.schedulers.cluster import Problem
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.environment import with_defaults
from slidearray.schedulers.limits import ControlGroups, limits_here
from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slidearray.core.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReport:
    """What is wrong with a profile, and what could be set."""

    profile: str
    scheduler: str
    where: str  # which cluster, or this machine
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    offers: tuple[tuple[str, str], ...]  # key of a profile, and what it could be

    @property
    def sound(self) -> bool:
        """Whether jobs of this profile can run."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "profile": self.profile,
            "scheduler": self.scheduler,
            "where": self.where,
            "sound": self.sound,
            "problems": [problem.to_json() for problem in self.problems],
            "warnings": list(self.warnings),
            "offers": [{"key": key, "value": value} for key, value in self.offers],
        }


def check_profile(
    profile: Profile, *, project: Path, script: Callable[[Path], str]
) -> ProfileReport:
    """Compare a profile with what there is.

    Parameters
    ----------
    profile
        The profile.
    project
        Where its relative paths start.
    script
        Renders a job script of the profile that writes to a folder.

    Raises
    ------
    SchedulerError
        The scheduler does not answer.
    """
    files = list(_missing_files(profile, project))
    if dialect_for(profile).runs_here:
        return _report_here(profile, files)
    queue = Queue(profile)
    cluster = queue.survey()
    asked = with_defaults(profile, os.environ)
    return ProfileReport(
        profile=profile.name,
        scheduler=profile.scheduler,
        where=f"cluster {cluster.name} ({profile.scheduler} {cluster.version})",
        problems=(*cluster.problems(asked), *files),
        warnings=(*_rehearsed(queue, script), *cluster.unchecked()),
        offers=tuple(cluster.offers(asked)),
    )


def _report_here(profile: Profile, files: list[Problem]) -> ProfileReport:
    here = limits_here(ControlGroups(), affinity=os.sched_getaffinity(0), environ=os.environ)
    found = []
    if profile.cpus_per_task > here.cpus:
        found.append(
            Problem(
                key="cpus_per_task",
                found=str(profile.cpus_per_task),
                accepted=f"at most {here.cpus}",
            )
        )
    if here.memory_mb is not None and profile.memory_mb > here.memory_mb:
        accepted = f"at most {here.memory_mb}M"
        found.append(Problem(key="memory", found=f"{profile.memory_mb}M", accepted=accepted))
    window = max(1, here.cpus // profile.cpus_per_task)
    memory = "nobody limits it" if here.memory_mb is None else f"up to {here.memory_mb}M"
    return ProfileReport(
        profile=profile.name,
        scheduler=profile.scheduler,
        where=f"this machine, without a scheduler: {window} slots at the same time",
        problems=(*found, *files),
        warnings=(),
        offers=(("cpus_per_task", f"up to {here.cpus}"), ("memory", memory)),
    )


def _missing_files(profile: Profile, project: Path) -> Iterator[Problem]:
    """Paths that are not there: nodes see what this machine sees, or nothing would work."""
    inside = profile.container is not None  # then the interpreter is in the image
    paths = {
        "template": profile.template,
        "python": None if inside else profile.python,
        "container.image": profile.container.image if profile.container else None,
    }
    for key, text in paths.items():
        is_path = text is not None and "/" in text and "://" not in text
        if text is not None and (is_path or key == "template") and not (project / text).exists():
            yield Problem(
                key=key, found=f"{project / text}: not there", accepted="an existing path"
            )
    for bind in profile.container.binds if profile.container else ():
        if not Path(bind.partition(":")[0]).exists():
            yield Problem(key="container.binds", found=f"{bind}: not there", accepted="a folder")


def _rehearsed(queue: Queue, script: Callable[[Path], str]) -> Iterator[str]:
    """What the scheduler itself says of a script of the profile, if it would refuse it."""
    with tempfile.TemporaryDirectory(prefix="slidearray-check-") as name:
        path = Path(name) / "script.sh"
        try:
            path.write_text(script(Path(name)), encoding="utf-8")
        except SlidearrayError as error:
            yield f"no job script can be made: {error}"
            return
        if words := queue.rehearse(path):
            yield f"the scheduler would refuse a job now: {words}"
