"""Options of sbatch: those that a profile's keys make, and those that it passes through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slidearray.core.rendering import sbatch_value
from slidearray.core.schema import without_control_characters as plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slidearray.core.profile import Profile

LONG = re.compile(r"--([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?")
SHORT = re.compile(r"-([A-Za-z]).*")
GPU = re.compile(r"(^|[,/])gpu(:|=|,|$)", re.IGNORECASE)

_EVERY_JOB = "slidearray sets it for every job"
_ONE_TASK = "each slot is one task on one node"
_READ = "slidearray reads what sbatch prints"
_NOT_SENT = "nothing would be submitted"
_ELSEWHERE = "jobs on another cluster cannot be followed"
_ENDINGS = "slots have to be begun again after a node failed, and their logs to go on"


def _key(name: str) -> str:
    return f"the key {name} does that"


#: Options that a profile cannot pass through, and why (slurm, src/common/slurm_opt.c).
REFUSED = {
    "account": _key("account"),
    "array": _EVERY_JOB,
    "chdir": "jobs run in the project's folder",
    "cluster": _ELSEWHERE,
    "clusters": _ELSEWHERE,
    "container": _key("container"),
    "constraint": _key("constraint"),
    "cpus-per-gpu": _key("cpus_per_task"),
    "cpus-per-task": _key("cpus_per_task"),
    "dependency": _EVERY_JOB,
    "error": "one log takes all that a slot prints",
    "exclude": _key("exclude"),
    "export": _key("environment"),
    "export-file": _key("environment"),
    "gpus": _key("gpus"),
    "gpus-per-node": _key("gpus"),
    "gpus-per-socket": _key("gpus"),
    "gpus-per-task": _key("gpus"),
    "help": _NOT_SENT,
    "hold": _EVERY_JOB,
    "job-name": "slidearray finds its jobs by their names",
    "mail-type": _key("mail"),
    "mail-user": _key("mail"),
    "mem": _key("memory"),
    "mem-per-cpu": _key("memory"),
    "mem-per-gpu": _key("memory"),
    "nice": _key("nice"),
    "no-requeue": _ENDINGS,
    "nodefile": _key("nodelist"),
    "nodelist": _key("nodelist"),
    "nodes": _ONE_TASK,
    "ntasks": _ONE_TASK,
    "ntasks-per-core": _ONE_TASK,
    "ntasks-per-gpu": _ONE_TASK,
    "ntasks-per-node": _ONE_TASK,
    "ntasks-per-socket": _ONE_TASK,
    "ntasks-per-tres": _ONE_TASK,
    "open-mode": _ENDINGS,
    "output": _EVERY_JOB,
    "parsable": _READ,
    "partition": _key("partition"),
    "qos": _key("qos"),
    "quiet": _READ,
    "requeue": _ENDINGS,
    "reservation": _key("reservation"),
    "signal": _EVERY_JOB,
    "tasks-per-node": _ONE_TASK,
    "test-only": _NOT_SENT,
    "time": _key("walltime"),
    "time-min": "a job could get less time than its worker counts with",
    "tres-per-task": "the keys cpus_per_task and gpus do that",
    "usage": _NOT_SENT,
    "version": _NOT_SENT,
    "wait": "sbatch would not return before the job ended",
    "wrap": "the job script is slidearray's",
}
SHORT_FORMS = {
    "A": "account", "C": "constraint", "D": "chdir", "F": "nodefile", "G": "gpus", "H": "hold",
    "J": "job-name", "M": "clusters", "N": "nodes", "Q": "quiet", "V": "version", "W": "wait",
    "a": "array", "c": "cpus-per-task", "d": "dependency", "e": "error", "h": "help",
    "n": "ntasks", "o": "output", "p": "partition", "q": "qos", "t": "time", "w": "nodelist",
    "x": "exclude",
}  # fmt: skip


def checked_directive(text: str) -> str:
    """`text`, which may stand in a job script behind ``#SBATCH``.

    Raises
    ------
    ValueError
        With the reason why not.
    """
    plain(text)
    if short := SHORT.fullmatch(text):
        name = SHORT_FORMS.get(short[1])
        raise ValueError(f"it is --{name}: {REFUSED[name]}" if name else "write the long form")
    if not (long := LONG.fullmatch(text)):
        raise ValueError
    name, value = long[1], long[2] or ""
    if name in REFUSED:
        raise ValueError(REFUSED[name])
    if full := next((each for each in REFUSED if each.startswith(name)), None):  # getopt_long(3)
        raise ValueError(f"sbatch may read it as --{full}: {REFUSED[full]}")
    if "gres".startswith(name) and GPU.search(value):
        raise ValueError(_key("gpus"))
    if re.fullmatch(r"""(["']).*\1""", value):
        raise ValueError("write the value without quotes; they are added where SLURM needs them")
    return text


def replaces_gpus(directives: Iterable[str]) -> bool:
    """Whether one of `directives` would stand in for the ``--gres`` that a key makes."""
    return any(each.partition("=")[0] == "--gres" for each in directives)


def array_options(profile: Profile, *, exclude: Sequence[str] = ()) -> list[str]:
    """Options of an array that follow from a profile, quoted for ``#SBATCH`` lines.

    Parameters
    ----------
    profile
        The profile.
    exclude
        Nodes that must not be used, beside those of the profile.
    """
    nodes = dict.fromkeys([*([profile.exclude] if profile.exclude else []), *exclude])
    gpus = "gres=gpu:{}" if profile.gpu_directive == "gres" else "gpus={}"
    return [
        *_where(partition=profile.partition, account=profile.account, qos=profile.qos),
        *_where(reservation=profile.reservation, constraint=profile.constraint),
        *_where(nodelist=profile.nodelist, exclude=",".join(nodes) or None),
        *([f"--{gpus.format(profile.gpus)}"] if profile.gpus else []),
        *_where(nice=profile.nice),
        *_passed_through(profile.directives),
    ]


def advance_options(profile: Profile) -> list[str]:
    """Options of the job that follows the arrays, quoted for ``#SBATCH`` lines.

    What it does not say itself about whose it is and where it runs, is the profile's; never what
    arrays need of a node.
    """
    own = profile.advance_job
    mail = profile.mail
    return [
        *_where(partition=own.partition or profile.partition),
        *_where(account=own.account or profile.account),
        *_where(qos=own.qos or profile.qos),
        *_where(reservation=own.reservation or profile.reservation),
        *_where(constraint=own.constraint),
        *(_where(**{"mail-user": mail.to, "mail-type": ",".join(mail.on)}) if mail else []),
        *_passed_through(own.directives),
    ]


def _where(**values: object) -> Iterator[str]:
    for name, value in values.items():
        if value is not None:
            yield f"--{name}={sbatch_value(value)}"


def _passed_through(directives: Iterable[str]) -> Iterator[str]:
    for text in directives:
        name, equals, value = text.partition("=")
        yield f"{name}={sbatch_value(value)}" if equals else name
