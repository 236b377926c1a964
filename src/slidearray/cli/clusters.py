"""`profile check`, `doctor`: whether a cluster, and the machines here, have what work needs."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from slidearray.doctor.checks import Check
    from slidearray.doctor.folder import ProbeFolder


def check(args: argparse.Namespace) -> int:
    """Compare a profile with the cluster that it is for."""
    from slidearray.cli.display import console, print_json, table
    from slidearray.profile_check import check_profile
    from slidearray.storage.configs import load_profile
    from slidearray.submitter.scripts import probe_script

    project = _project(args)
    profile = load_profile(args.profile, project=project)
    report = check_profile(
        profile,
        project=project,
        script=lambda folder: probe_script(
            profile,
            project=project,
            folder=folder,
            name="slidearray-check",
            words=["doctor-task", str(folder)],
        ),
    )
    if args.json:
        print_json(report.to_json())
        return ExitCode.COMPLETE if report.sound else ExitCode.USER_ERROR
    console().print(f"profile {report.profile}: {report.where}")
    if report.problems:
        rows = [(each.key, each.found, each.accepted) for each in report.problems]
        console().print(table(("key", "found", "accepted"), rows))
    else:
        console().print("it fits: nothing to change")
    for warning in report.warnings:
        console().print(f"warning: {warning}")
    console().print("what could be set:")
    console().print(table(("key", "value"), report.offers))
    return ExitCode.COMPLETE if report.sound else ExitCode.USER_ERROR


def doctor(args: argparse.Namespace) -> int:
    """Check what work depends on, here and, with one short job, on a node."""
    from slidearray.cli.display import console, counted, print_json
    from slidearray.doctor.checks import Result
    from slidearray.doctor.folder import own_folder

    project, checks = _project(args), []
    with own_folder(project, wait=time.sleep) as folder:
        for check in _checks(args, project=project, folder=folder):
            checks.append(check)
            if not args.json:
                _print_check(check)
    bad = sum(check.result is Result.FAIL for check in checks)
    if args.json:
        print_json({"sound": not bad, "checks": [check.to_json() for check in checks]})
    else:
        console().print(f"{counted(len(checks), 'check')}, {bad} failed")
    return ExitCode.USER_ERROR if bad else ExitCode.COMPLETE


def _project(args: argparse.Namespace) -> Path:
    project = Path(args.project or ".").absolute()
    if not project.is_dir():
        raise SlidearrayError(f"--project {project}: no such folder")
    return project


def _checks(args: argparse.Namespace, *, project: Path, folder: ProbeFolder) -> Iterator[Check]:
    from slidearray.doctor.here import local_checks, read_profile, work_folders
    from slidearray.doctor.visit import Visit, visit_node
    from slidearray.submitter.scripts import probe_script

    profile = read_profile(args.profile, project=project)
    yield from local_checks(project, folder=folder, profile=profile)
    if not args.submit or isinstance(profile, SlidearrayError):
        return

    def render(name: str) -> str:
        words = ["doctor-task", str(folder.root)]
        return probe_script(profile, project=project, folder=folder.root, name=name, words=words)

    visit = Visit(
        profile=profile,
        folder=folder,
        paths=work_folders(project),
        render=render,
        news=partial(print, file=sys.stderr, flush=True),
        wait=time.sleep,
    )
    yield from visit_node(visit)


def _print_check(check: Check) -> None:
    """A line of what was found; below it what to do, where something is to be done."""
    from slidearray.cli.display import console
    from slidearray.core.ids import printable

    where = f" on {check.where}" if check.where else ""
    found = "\n        ".join(printable(line) for line in check.found.splitlines())
    console().print(f"{check.result:<5} {check.name}{where}: {found}")
    if check.advice:
        console().print(f"      -> {check.advice}")


def doctor_task(args: argparse.Namespace) -> int:
    """What the doctor's job does on a node."""
    from slidearray.doctor.folder import ProbeFolder
    from slidearray.doctor.probe import run_probe

    seconds = args.walltime - (time.time() - args.started)
    run_probe(ProbeFolder(root=Path(args.folder)), seconds=seconds, wait=time.sleep)
    return ExitCode.COMPLETE
