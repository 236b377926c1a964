"""The node's side: what a job of the profile really gets, written down for the submitting side."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray import command
from slidearray.core.profile import parse_profile
from slidearray.doctor.basics import basic_checks, umask_found, write_probe_features
from slidearray.doctor.checks import Check, fail, ok, tried, warn
from slidearray.doctor.folder import read_question
from slidearray.errors import SlidearrayError
from slidearray.schedulers.environment import job_identity
from slidearray.schedulers.limits import GPU_VARIABLES, ControlGroups, gpu_grant, limits_here
from slidearray.schedulers.queue import Queue
from slidearray.storage.files import host_name, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slidearray.core.profile import Profile
    from slidearray.doctor.folder import ProbeFolder, Question

LOOK_S = 0.1
#: A file that the other side wrote is seen within this, or never.
MEETING_S = 60.0
#: Records are waited for longer than this; a person may wonder earlier.
SLOW_MEETING_S = 15.0
#: Beside the meeting, for all other checks.
OTHER_CHECKS_S = 30.0
COMMAND_S = 30.0
CONTAINER_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
#: What control groups round away of the memory that was asked for.
ROUNDING = 0.98


def run_probe(folder: ProbeFolder, *, seconds: float, wait: Callable[[float], None]) -> None:
    """Look at everything and write the report.

    Parameters
    ----------
    folder
        Where the question is, and the report goes.
    seconds
        Time that is left to this job.
    wait
        Sleeps.

    Raises
    ------
    RunError
        The submitting side's question cannot be read.
    """
    question = read_question(folder)
    node = _node()
    checks = [
        tried("shared folder", lambda: _meet(folder, node=node, seconds=seconds, wait=wait)),
        *_node_checks(folder, question),
    ]
    report = {"node": node, "checks": [check.to_json() for check in checks]}
    write_text(folder.report, json.dumps(report) + "\n")


def _node() -> str:
    identity = job_identity(os.environ)
    return (identity.node if identity else "") or host_name()


def _node_checks(folder: ProbeFolder, question: Question) -> Iterator[Check]:
    own = folder.root / "node"
    own.mkdir(exist_ok=True)
    yield from basic_checks(own, versions=question.versions)
    yield tried("paths", lambda: check_paths(question.paths))
    yield tried("umask", lambda: check_umask(question.umask))
    yield tried("results", lambda: _write_results(folder))
    profile = parse_profile(question.profile, source=str(folder.question), name="")
    yield tried("resources", lambda: check_resources(profile, ControlGroups()))
    if profile.gpus:
        yield tried("gpu", lambda: check_gpus(profile, os.environ))
    if profile.container:
        yield tried("container", lambda: check_container(os.environ))
    if profile.scheduler != "local":
        yield tried("job", lambda: check_job(os.environ))
        yield tried("jobs from jobs", lambda: check_submitting(folder, question, profile=profile))


def _meet(
    folder: ProbeFolder, *, node: str, seconds: float, wait: Callable[[float], None]
) -> Check:
    """Show a file to the submitting side, and see the one that it writes then."""
    write_text(folder.arrival, json.dumps({"node": node}) + "\n")
    began = time.monotonic()
    patience = min(MEETING_S, max(seconds - OTHER_CHECKS_S, LOOK_S))
    while not _listed(folder.reply):
        if time.monotonic() - began > patience:
            return fail(
                "shared folder",
                f"{folder.root}: no file of the submitting side was seen for {patience:.0f} s",
                advice="the project has to lie on a file system that nodes and login nodes share",
            )
        wait(LOOK_S)
    took = time.monotonic() - began
    found = f"a file went there and one came back within {took:.1f} s"
    if took > SLOW_MEETING_S:
        advice = "records are waited for 90 s; steps that follow a job may take that long"
        return warn("shared folder", found, advice=advice)
    return ok("shared folder", found)


def _listed(path: Path) -> bool:
    """Whether a file is there; NFS learns of a new one by reading its folder anew."""
    return path in path.parent.iterdir()


def check_paths(paths: tuple[str, ...]) -> Check:
    """Whether the folders that jobs use are there, and can be written to."""
    missing = [path for path in paths if not Path(path).is_dir()]
    closed = [path for path in paths if path not in missing and not os.access(path, os.W_OK)]
    if missing or closed:
        faults = [f"{path}: not there" for path in missing]
        faults += [f"{path}: cannot be written to" for path in closed]
        advice = "nodes need the same paths as the machine that submits; a container, its `binds`"
        return fail("paths", "; ".join(faults), advice=advice)
    return ok("paths", ", ".join(paths))


def check_umask(expected: int) -> Check:
    """Whether files of jobs have the rights that the submitting side's have."""
    here = umask_found()
    if here != expected:
        found = f"{here:04o}, and {expected:04o} where the job was submitted"
        advice = f"for files with the same rights: `umask {expected:04o}` in the profile's setup"
        return warn("umask", found, advice=advice)
    return ok("umask", f"{here:04o}")


def _write_results(folder: ProbeFolder) -> Check:
    size = write_probe_features(folder.features)
    return ok("results", f"a feature file of {size} bytes was written for the submitting side")


def check_resources(profile: Profile, groups: ControlGroups) -> Check:
    """Whether the job has the CPUs and the memory that its profile asks for."""
    here = limits_here(groups, affinity=os.sched_getaffinity(0), environ=os.environ)
    memory = groups.memory_mb()
    found = f"{here.cpus} CPUs, " + (
        f"{memory} MB of memory" if memory else "memory without a limit by control group"
    )
    asked = f"asked: {profile.cpus_per_task} CPUs, {profile.memory_mb} MB"
    if here.cpus < profile.cpus_per_task:
        advice = "nobody may ask for more CPUs than a node has; `slidearray profile check` compares"
        return fail("resources", f"{found}; {asked}", advice=advice)
    if memory is not None and memory < ROUNDING * profile.memory_mb:
        advice = "another limit than the job's own holds here: ask those who run the cluster"
        return fail("resources", f"{found}; {asked}", advice=advice)
    if memory is None and profile.scheduler != "local":
        advice = "a task that takes more memory may be killed without a word of why"
        return warn("resources", f"{found}; {asked}", advice=advice)
    return ok("resources", f"{found}; {asked}")


def check_job(environ: Mapping[str, str]) -> Check:
    """Whether the scheduler's variables tell which job this is, and of which array."""
    identity = job_identity(environ)
    if identity is None:
        advice = (
            "a container that begins with a clean environment hides them: hand them on; without "
            "them a job that is in the queue twice works twice"
        )
        return warn("job", "no variable tells which job this is", advice=advice)
    task = "" if identity.task is None else f", task {identity.task}"
    return ok("job", f"{identity.scheduler} job {identity.job_id}{task}")


def check_gpus(profile: Profile, environ: Mapping[str, str]) -> Check:
    """Whether the job was given the GPUs that its profile asks for, and a driver for them."""
    asked = int(str(profile.gpus).rpartition(":")[2])
    given = {name: environ[name] for name in GPU_VARIABLES if environ.get(name)}
    found = ", ".join(f"{name}={value}" for name, value in given.items()) or "no GPU variable set"
    visible = next(iter(given.values()), "")
    grant = gpu_grant(profile.scheduler)
    told = bool(given) or grant.always_told
    if told and len([each for each in visible.split(",") if each]) != asked:
        return fail("gpu", f"{found}; asked: {asked}", advice=grant.advice)
    if shutil.which("nvidia-smi") is None:
        advice = "in a container: `--nv` among its options; else ask for a driver on the nodes"
        return warn("gpu", f"{found}; no nvidia-smi, so no driver was seen", advice=advice)
    listed = command.run(["nvidia-smi", "-L"], timeout_s=COMMAND_S)
    cards = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    if listed.code != 0 or len(cards) < asked:
        words = (listed.stderr or listed.stdout).strip()
        advice = "the driver does not show them: ask those who run the cluster"
        return fail("gpu", f"{found}; nvidia-smi -L: {words}", advice=advice)
    if not told:
        advice = (
            "jobs side by side may use the same ones: ask those who run the cluster to hand them "
            "out one by one"
        )
        return warn("gpu", f"{found}; {len(cards)} GPUs are seen, asked: {asked}", advice=advice)
    return ok("gpu", f"{found}; {'; '.join(cards)}")


def check_container(environ: Mapping[str, str]) -> Check:
    """Whether this runs inside the profile's container."""
    image = next((environ[name] for name in CONTAINER_VARIABLES if environ.get(name)), "")
    if not image:
        advice = "a template of your own has to begin its last line with `exec {{ command | sh }}`"
        return fail("container", "this does not run in a container", advice=advice)
    return ok("container", image)


def check_submitting(folder: ProbeFolder, question: Question, *, profile: Profile) -> Check:
    """Whether a job may submit jobs: one that stays held, and is taken back at once."""
    queue = Queue(profile)
    name = held_name(question.name)
    if profile.container and not queue.works_here:
        advice = "where a run cannot go on by itself, it says which command to type"
        found = "not tried: the scheduler's commands are not in the container"
        return warn("jobs from jobs", found, advice=advice)
    try:
        job_id = queue.submit(folder.script, name=name, held=True)
        queue.cancel([job_id])
    except SlidearrayError as error:
        advice = (
            "runs do not go on by themselves here: `slidearray resubmit RUN` after each attempt"
        )
        return warn("jobs from jobs", str(error), advice=advice)
    return ok("jobs from jobs", f"job {job_id} was submitted, held, and taken back")


def held_name(name: str) -> str:
    """The name of the job that the job `name` submits."""
    return f"{name}h"
