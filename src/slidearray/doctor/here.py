"""What can be looked at without a job: this machine, the project, the profile, the scheduler."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from slidearray.doctor.basics import basic_checks
from slidearray.doctor.checks import Check, fail, ok, tried
from slidearray.doctor.probe import check_resources
from slidearray.errors import SlidearrayError
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.limits import ControlGroups
from slidearray.schedulers.queue import Queue
from slidearray.storage.configs import load_config, load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.doctor.folder import ProbeFolder

CONFIG = "slidearray.yaml"


def local_checks(
    project: Path, *, folder: ProbeFolder, profile: Profile | SlidearrayError
) -> Iterator[Check]:
    """Everything that can be looked at from here.

    Parameters
    ----------
    project
        The project's folder.
    folder
        A folder of ours in it.
    profile
        The profile, or why there is none.
    """
    own = folder.root / "here"
    own.mkdir()
    yield from basic_checks(own, versions={})
    if (project / CONFIG).exists():
        yield tried("config", lambda: _check_config(project))
    if isinstance(profile, SlidearrayError):
        yield fail("profile", str(profile), advice="mend the profile, or name another one")
        return
    yield ok("profile", f"{profile.name}, for {profile.scheduler}")
    if dialect_for(profile).runs_here:
        yield tried("resources", lambda: check_resources(profile, ControlGroups()))
    else:
        yield tried("scheduler", lambda: _check_scheduler(profile))


def read_profile(name: str | None, *, project: Path) -> Profile | SlidearrayError:
    """The profile of that name, or why it cannot be used."""
    try:
        return load_profile(name, project=project)
    except SlidearrayError as error:
        return error


def work_folders(project: Path) -> list[Path]:
    """Folders that jobs write to: the project, and where its config wants the run directory."""
    folders = [project]
    with suppress(SlidearrayError, OSError):
        config, _ = load_config(project / CONFIG)
        run_dir = project / config.run_dir
        while not run_dir.is_dir():
            run_dir = run_dir.parent
        folders.append(run_dir)
    return list(dict.fromkeys(folders))


def _check_config(project: Path) -> Check:
    try:
        config, _ = load_config(project / CONFIG)
    except SlidearrayError as error:
        return fail("config", str(error), advice="mend the config")
    return ok("config", f"{project / CONFIG}: run_dir {config.run_dir}")


def _check_scheduler(profile: Profile) -> Check:
    """Whether the scheduler's commands are here, and answer."""
    queue = Queue(profile)
    if not queue.works_here:
        advice = "run this where jobs are submitted from: a login node"
        return fail("scheduler", f"no {profile.scheduler} commands on PATH", advice=advice)
    limits = queue.limits()
    if limits.fault:
        advice = "without an answer nothing can be submitted: is the scheduler up?"
        return fail("scheduler", limits.fault, advice=advice)
    told = {
        "max_array_size": limits.max_array_size,
        "max_array_tasks": limits.max_array_tasks,
        "most jobs at a time": limits.max_submit,
    }
    words = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
    return ok("scheduler", f"{profile.scheduler} answers: {words or 'it tells no limit'}")
