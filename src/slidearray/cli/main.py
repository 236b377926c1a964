"""The command line: argv to a handler, an exception to an exit code. Imports nothing heavy."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import slidearray
from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError, StorageFullError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DESCRIPTION = "From a folder of whole-slide images to one verified feature store."
EXITS = (
    "exit codes: 0 complete, 1 an error to mend, 2 command line, 3 slides failed or are missing, "
    "74 storage full, 75 interrupted (resume it), 78 setup failed"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends in good order, as Ctrl-C
    try:
        code = _handle(args)
        if sys.stdout:  # None where the caller closed it
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # `slidearray ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.COMPLETE
    except (SlidearrayError, OSError) as error:
        return _refuse(args, error)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command of this version."""
    parser = argparse.ArgumentParser(prog="slidearray", description=DESCRIPTION, epilog=EXITS)
    parser.add_argument(
        "--version", action="version", version=f"slidearray {slidearray.__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _project_commands(commands)
    _manifest_commands(commands)
    _run_commands(commands)
    _watching_commands(commands)
    _result_commands(commands)
    _cluster_commands(commands)
    _hidden_commands(commands)
    return parser


def _handle(args: argparse.Namespace) -> int:
    module, _, function = args.handler.partition(":")
    handler = getattr(importlib.import_module(f"slidearray.cli.{module}"), function)
    return int(handler(args))


def _refuse(args: argparse.Namespace, error: SlidearrayError | OSError) -> int:
    full = isinstance(error, StorageFullError)
    if isinstance(error, OSError):
        from slidearray.storage.files import is_storage_full  # only once something went wrong

        full = is_storage_full(error)
        text = f"{error.filename or 'file system'}: {error.strerror or error}"
    else:
        text = str(error)
    if getattr(args, "json", False):
        print(json.dumps({"error": text}, ensure_ascii=False))
    print(f"error: {text}", file=sys.stderr)
    return ExitCode.STORAGE_FULL if full else ExitCode.USER_ERROR


def _add(commands: Subparsers, name: str, handler: str, *, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, epilog=EXITS)
    parser.set_defaults(handler=handler)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--project", metavar="DIR", help="where the project is now, if it moved")


def _project_commands(commands: Subparsers) -> None:
    init = _add(commands, "init", "projects:init", summary="make the skeleton of a project")
    init.add_argument("folder", metavar="DIR")
    demo = _add(commands, "demo", "projects:demo", summary="the whole way, on slides made here")
    demo.add_argument("folder", metavar="DIR", nargs="?", default="demo")
    demo.add_argument("--slides", metavar="FOLDER", help="your own slides instead")


def _manifest_commands(commands: Subparsers) -> None:
    summary = "build or check the list of slides"
    manifest = commands.add_parser("manifest", help=summary, description=summary)
    actions = manifest.add_subparsers(metavar="ACTION", required=True)
    build = _add(actions, "build", "manifests:build", summary="list the slides under folders")
    build.add_argument("folders", metavar="FOLDER", nargs="+")
    build.add_argument("-o", "--output", metavar="M", required=True, help="CSV to write")
    check = _add(actions, "check", "manifests:check", summary="name every problem of a manifest")
    check.add_argument("manifest", metavar="M")
    check.add_argument("--config", metavar="C", help="check for what this config needs")
    _json(check)
    build.add_argument(
        "--headers",
        action="store_true",
        help="also write what the slides' headers say, so that `plan` need not open them",
    )
    for parser in (build, check):
        parser.add_argument(
            "--root", metavar="DIR", help="folder that relative paths start from (default: here)"
        )


def _run_commands(commands: Subparsers) -> None:
    plan = _add(commands, "plan", "runs:plan", summary="freeze a run directory")
    go = _add(commands, "run", "runs:run", summary="plan, submit, wait, retry, reduce")
    for parser in (plan, go):
        parser.add_argument("config", metavar="CONFIG")
        parser.add_argument(
            "--profile", metavar="P", help="cluster profile (default: this machine)"
        )
        parser.add_argument("--run-dir", metavar="RUN", help="instead of the config's run_dir")
        parser.add_argument(
            "--reuse",
            metavar="OTHER",
            action="append",
            default=[],
            help="another run directory: its features are taken where they are current",
        )
    submit = _add(commands, "submit", "runs:submit", summary="submit a planned run")
    again = _add(commands, "resubmit", "runs:resubmit", summary="send what failed or is missing")
    again.add_argument(
        "--include",
        metavar="CLASS",
        action="append",
        default=[],
        help="also slides of this failure class, once they were mended",
    )
    for parser in (submit, again):
        _run(parser)
        parser.add_argument("--dry-run", action="store_true", help="print scripts and commands")
    for parser in (submit, again, go):
        parser.add_argument("--local", action="store_true", help="run the job scripts here")


def _watching_commands(commands: Subparsers) -> None:
    status = _add(commands, "status", "watching:status", summary="what became of every slide")
    _run(status)
    _json(status)
    status.add_argument(
        "--watch", action="store_true", help="show it again and again until nothing is at work"
    )
    cancel = _add(commands, "cancel", "runs:cancel", summary="take back what was submitted")
    _run(cancel)
    logs = _add(commands, "logs", "watching:logs", summary="show the log of a slide or a slot")
    _run(logs)
    logs.add_argument(
        "what", metavar="SLIDE|SLOT", help="slide_id, slot number, or `advance` for the chained job"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on while it is written")
    logs.add_argument("--attempt", metavar="N", type=int, help="of this attempt, not the newest")
    efficiency = _add(
        commands, "efficiency", "watching:efficiency", summary="what was asked for, and what used"
    )
    _run(efficiency)
    _json(efficiency)
    efficiency.add_argument(
        "-o", "--output", metavar="P", help="write a profile with the suggested values"
    )


def _result_commands(commands: Subparsers) -> None:
    reduce = _add(commands, "reduce", "results:reduce", summary="merge features into one store")
    _run(reduce)
    reduce.add_argument(
        "--allow-missing",
        action="store_true",
        help="write a partial store that lists what is not in it",
    )
    verify = _add(
        commands, "verify", "results:verify", summary="open and check feature files, stores"
    )
    verify.add_argument("paths", metavar="PATH", nargs="+", help="file, folder or run directory")
    _json(verify)
    info = _add(commands, "info", "results:info", summary="describe a slide")
    info.add_argument("path", metavar="PATH")
    _json(info)


def _cluster_commands(commands: Subparsers) -> None:
    summary = "check a cluster profile"
    profile = commands.add_parser("profile", help=summary, description=summary)
    actions = profile.add_subparsers(metavar="ACTION", required=True)
    check = _add(actions, "check", "clusters:check", summary="compare a profile with the cluster")
    check.add_argument("profile", metavar="P", help="name or file of a profile")
    doctor = _add(commands, "doctor", "clusters:doctor", summary="check what work here depends on")
    doctor.add_argument("--profile", metavar="P", help="cluster profile (default: this machine)")
    doctor.add_argument(
        "--submit", action="store_true", help="also check from a node, by one short job"
    )
    for parser in (check, doctor):
        parser.add_argument("--project", metavar="DIR", help="project folder (default: here)")
        _json(parser)


def _hidden_commands(commands: Subparsers) -> None:
    """What job scripts call; without help, so that it is not listed."""
    work = commands.add_parser("work")
    work.set_defaults(handler="work:work")
    work.add_argument("run", metavar="RUN")
    work.add_argument("attempt", metavar="ATTEMPT", type=int)
    work.add_argument("slot", metavar="SLOT", type=int)
    work.add_argument("--project", metavar="DIR")
    work.add_argument("--walltime", metavar="SECONDS", type=int, required=True)
    work.add_argument("--started", metavar="SECONDS", type=float, required=True)
    advance = commands.add_parser("advance")
    advance.set_defaults(handler="advance:advance")
    advance.add_argument("run", metavar="RUN")
    advance.add_argument("attempt", metavar="ATTEMPT", type=int)
    advance.add_argument("--project", metavar="DIR")
    probe = commands.add_parser("doctor-task")
    probe.set_defaults(handler="clusters:doctor_task")
    probe.add_argument("folder", metavar="FOLDER")
    probe.add_argument("slot", metavar="SLOT", type=int)
    probe.add_argument("--project", metavar="DIR")
    probe.add_argument("--walltime", metavar="SECONDS", type=int, required=True)
    probe.add_argument("--started", metavar="SECONDS", type=float, required=True)
