"""The job scripts of an attempt: which template, and what goes into it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from slidearray.core.container import container_words
from slidearray.core.ids import control_character
from slidearray.core.rendering import render, template_names
from slidearray.core.scheduler_keys import OPTION_KEYS, WRITTEN_KEYS
from slidearray.errors import RunError, TemplateError
from slidearray.schedulers.arrays import ArrayJob
from slidearray.schedulers.dialect import dialect_for
from slidearray.storage.builtin import builtin_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.storage.rundir import RunDir

#: What `probe_script` asks for: long enough for one look at a node.
PROBE_WALLTIME_S = 120


def array_script(
    run: RunDir, profile: Profile, job: ArrayJob, *, number: int, exclude: Sequence[str] = ()
) -> str:
    """The script of one split of attempt `number`.

    Parameters
    ----------
    run
        The run.
    profile
        The run's profile.
    job
        The split.
    number
        The attempt.
    exclude
        Nodes that failed before: they are excluded with those of the profile.

    Raises
    ------
    TemplateError
        When the profile's own template cannot be read or rendered, or leaves out what the profile
        says.
    RunError
        When the scheduler or apptainer cannot work with the path of the project or the run, when
        the script cannot hold a variable, or when the scheduler would refuse it.
    """
    words = ["work", str(run.root), str(number)]
    values = {
        **_array_values(profile, job, exclude=exclude),
        "command": _command(profile, words, folders=(run.project, run.root)),
        "log": dialect_for(profile).log_pattern(run.attempt(number).logs_dir(job.index), job),
        "project": str(run.project),
        "run_dir": str(run.root),
        "attempt": number,
        "cache_dir": str(run.cache_dir),
    }
    return _from_array_template(profile, values, project=run.project)


def advance_script(run: RunDir, profile: Profile, *, number: int, name: str) -> str:
    """The script of the job that follows attempt `number`; `name` is its job name.

    It goes on with the run, so it has the Python of the submitting side, outside of any container.

    Raises
    ------
    TemplateError
        When a path cannot be written into a script.
    RunError
        When the script cannot hold a variable, or when the scheduler would refuse it.
    """
    python = sys.executable if profile.container else profile.python or sys.executable
    template = builtin_dir("templates") / f"{profile.scheduler}-advance.sh.j2"
    values = {
        "job_name": name,
        "options": dialect_for(profile).advance_options(profile),
        "shape": profile.advance_job.shape(),
        "log": str(run.attempt(number).advance_log),
        "profile": profile,
        "project": str(run.project),
        "cache_dir": str(run.cache_dir),
        "command": [*_python(python), "-m", "slidearray", "advance", str(run.root), str(number)],
        **_of_the_submitter(profile),
    }
    text = render(_read(template), values, source=str(template))
    dialect_for(profile).check_script(text, profile=profile, array=None, source=str(template))
    return text


def probe_script(
    profile: Profile, *, project: Path, folder: Path, name: str, words: Sequence[str]
) -> str:
    """The profile's array script as one plain job of two minutes, with a command of ours in it.

    Parameters
    ----------
    profile
        The profile.
    project
        Where the job goes.
    folder
        Where the job may write; its log is ``0.log`` there, caches are in ``cache``.
    name
        The job's name.
    words
        The command line of slidearray up to the slot, which is 0.

    Raises
    ------
    TemplateError, RunError
        As `array_script`; and when the profile's own template starts something else.
    """
    shape = replace(profile.shape(), walltime_s=PROBE_WALLTIME_S)
    job = ArrayJob(index=0, name=name, offset=0, count=1, shape=shape)
    values = {
        **_array_values(profile, job),
        "command": _command(profile, words, folders=(project, folder)),
        "log": dialect_for(profile).log_pattern(folder, job),
        "project": str(project),
        "run_dir": str(folder),
        "attempt": 1,
        "cache_dir": str(folder / "cache"),
    }
    return _from_array_template(profile, values, project=project, needed={"command"})


def _array_values(
    profile: Profile, job: ArrayJob, *, exclude: Sequence[str] = ()
) -> dict[str, object]:
    """The variables of an array's template that do not depend on where its run is."""
    return {
        "job_name": job.name,
        "array": job.array,
        "offset": job.offset,
        "slot": job.offset if job.array is None else None,
        "shape": job.shape,
        "options": dialect_for(profile).array_options(profile, job.shape, exclude=exclude),
        "profile": profile,
        "python": _python(_worker_python(profile)),
        **_of_the_submitter(profile),
    }


def _of_the_submitter(profile: Profile) -> dict[str, object]:
    """What jobs take over from whoever submits, where the script itself has to hold it."""
    mask = os.umask(0o077)  # it can be read only by setting it
    os.umask(mask)
    written = "environment" in WRITTEN_KEYS.get(profile.scheduler, ())
    names = profile.environment if written else ()
    environment = [(name, os.environ[name]) for name in names if name in os.environ]
    for name, value in environment:
        if control := control_character(value):
            raise RunError(
                f"profile {profile.name}: environment: the value of {name} holds {control!a}, "
                "which cannot be written into a job script; take it out, and let a setup line set "
                f"{name}"
            )
    return {"umask": f"{mask:04o}", "environment": environment}


def _command(profile: Profile, words: Sequence[str], *, folders: Sequence[Path]) -> list[str]:
    """What takes a slot: arguments up to its number."""
    command = [*_python(_worker_python(profile)), "-m", "slidearray", *words]
    if profile.container is None:
        return command
    inside = container_words(profile.container, folders=[str(folder) for folder in folders])
    return [*inside, *command]


def _worker_python(profile: Profile) -> str:
    return profile.python or ("python" if profile.container else sys.executable)


def _python(interpreter: str) -> list[str]:
    # -P: no stray `random.py` of the project stands in for the real one
    return [interpreter, "-P"]


def _from_array_template(
    profile: Profile,
    values: Mapping[str, object],
    *,
    project: Path,
    needed: set[str] | None = None,
) -> str:
    if profile.template is None:
        path = builtin_dir("templates") / dialect_for(profile).template
    else:
        path = project / profile.template
    template = _read(path)
    text = render(template, values, source=str(path))
    names = template_names(template)
    needed = (needed or set()) | ({"command"} if profile.container else set())
    if lacking := sorted(needed - names):
        raise TemplateError(
            f"{path}: does not use {', '.join(lacking)}: begin its last line with "
            "`exec {{ command | sh }}`, as our own templates do"
        )
    _check_nothing_is_ignored(profile, names, source=str(path))
    array = values["array"]
    dialect_for(profile).check_script(
        text, profile=profile, array=None if array is None else str(array), source=str(path)
    )
    return text


def _check_nothing_is_ignored(profile: Profile, names: frozenset[str], *, source: str) -> None:
    """Refuse a template that leaves out what its profile says."""
    for key in profile.given(WRITTEN_KEYS.get(profile.scheduler, ())):
        if key not in names:
            raise TemplateError(
                f"{source}: does not use {key}, so what the profile says there would be ignored: "
                f"write {key} out, as our own templates do"
            )
    given = [f"profile.{key}" for key in profile.given(OPTION_KEYS[profile.scheduler])]
    if "options" not in names and (ignored := [name for name in given if name not in names]):
        raise TemplateError(
            f"{source}: uses neither {ignored[0]} nor options, so what the profile says there "
            "would be ignored: write options out, as our own templates do"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: the job template cannot be read: {error}") from error
