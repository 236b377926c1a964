"""What qsub of OpenPBS accepts, and its words for what it refuses.

The words and codes are those of OpenPBS 23.06 (``src/cmds/qsub.c``, ``pbs_messages.c``): a server's
error number modulo 256 is the exit code.
"""

from __future__ import annotations

import getopt
import grp
import os
import pwd
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
USAGE = "usage: qsub [-a date_time] [-A account_string] [-c interval]\n       qsub --version"
LONGEST_NAME = 230
UNKNOWN_ATTRIBUTE, BAD_VALUE, UNKNOWN_QUEUE = 15002, 15014, 15018
UNKNOWN_RESOURCE, TOO_LARGE, BESIDE_SELECT = 15035, 15107, 15109
PLACE_ALONE, BAD_GROUP = 15111, 15045
SIZES, TIMES = ("mem", "vmem", "pmem", "pvmem", "file"), ("walltime", "cput", "pcput")
COUNTS = ("ncpus", "ngpus", "mpiprocs", "ompthreads", "nodect")
WORDS = ("arch", "host", "nodes", "place", "select", "software", "vnode")
#: What every server knows; ngpus is there only where a site defined it.
RESOURCES = (*SIZES, *TIMES, *(name for name in COUNTS if name != "ngpus"), *WORDS)
ATTRIBUTES = ("block", "depend", "group_list", "max_run_subjobs", "sandbox", "umask")
DEPENDENCIES = ("after", "afterany", "afternotok", "afterok")


class RefusedError(Exception):
    """What a program prints, and its exit code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code % 256


@dataclass(kw_only=True)
class Request:
    """All that a job asks for; what the command line says counts more than the script."""

    options: dict[str, str] = field(default_factory=dict)  # of one letter, without -l and -W
    resources: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)  # of -W

    @property
    def indices(self) -> list[int] | None:
        """Numbers of the subjobs; None for a plain job."""
        if "J" not in self.options:
            return None
        first, last, step = _range(self.options["J"].partition("%")[0])
        return list(range(first, last + 1, step))

    @property
    def most_running(self) -> str:
        """The text behind `%`, or of `max_run_subjobs`; empty when there is none."""
        behind = self.options.get("J", "").partition("%")[2]
        return behind or self.attributes.get("max_run_subjobs", "")

    @property
    def after(self) -> list[tuple[str, str]]:
        """Kind and job of each dependency, jobs without their server."""
        found = []
        for clause in filter(None, self.attributes.get("depend", "").split(",")):
            kind, *ids = clause.split(":")
            found += [(kind, each.partition(".")[0]) for each in ids]
        return found


def read_request(argv: Sequence[str], script: str) -> Request:
    """What command line and script ask for, as far as qsub itself looks at it."""
    request = Request()
    for line in _directives(script):
        _take(_words_of(line), request)
    _take(list(argv), request)
    _check(request)
    return request


def _directives(script: str) -> list[str]:
    """What is on each ``#PBS`` line before the first command."""
    found = []
    for line in script.splitlines():
        if line.lstrip().startswith("#PBS"):
            found.append(line.lstrip().removeprefix("#PBS"))
        elif line.strip() and not line.startswith(":") and not line.lstrip().startswith("#"):
            break
    return found


def _words_of(directive: str) -> list[str]:
    """Options and their values; nothing else may stand there, a remark neither."""
    refused = f"qsub: directive error: {directive.strip()} "
    try:
        words = shlex.split(directive)
        operands = getopt.getopt(words, OPTIONS)[1]
    except getopt.GetoptError as error:
        raise RefusedError(f"qsub: invalid option -- '{error.opt}'\n{refused}", 1) from None
    except ValueError:
        raise RefusedError("qsub: unmatched  ", 1) from None
    if operands:
        raise RefusedError(refused, 1)
    return words


def options_of(program: str, argv: Sequence[str], letters: str) -> tuple[Any, list[str]]:
    """Options and operands of a command line."""
    try:
        return getopt.getopt(list(argv), letters)
    except getopt.GetoptError as error:
        usage = USAGE if program == "qsub" else f"usage: {program} ..."
        raise RefusedError(f"{program}: invalid option -- '{error.opt}'\n{usage}", 2) from None


def _take(words: list[str], request: Request) -> None:
    given, _ = options_of("qsub", words, OPTIONS)
    for name, value in given:
        letter = name[1]
        if letter == "l":
            request.resources |= _pairs(value, "l")
        elif letter == "W":
            request.attributes |= _pairs(value, "W")
        else:
            request.options[letter] = value


def _pairs(text: str, letter: str) -> dict[str, str]:
    """``name=value`` pairs; a comma begins the next one where a name and ``=`` follow."""
    found = {}
    for part in re.split(r",(?=[A-Za-z_]\w*=)", text):
        name, equals, value = part.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not equals or not value:
            raise _illegal(letter)
        found[name] = value
    return found


def _illegal(letter: str) -> RefusedError:
    return RefusedError(f"qsub: illegal -{letter} value\n{USAGE}", 2)


def _check(request: Request) -> None:
    """What qsub refuses before it asks the server: no id is lost."""
    given = request.options
    if "J" in given:
        if given.get("r") == "n":
            raise RefusedError(f"qsub:  cannot submit non-rerunable Array Job\n{USAGE}", 2)
        _range(given["J"].partition("%")[0])
    check_name(given.get("N", "a"), program="qsub")
    wanted = {
        "j": "oe|eo|n",
        "r": "[yn]",
        "k": "[oed]+|n",
        "m": "n|[abej]+",
        "p": r"[+-]?\d+",
        "S": r"/\S+",
    }
    for letter, pattern in wanted.items():
        if letter in given and not re.fullmatch(pattern, given[letter]):
            raise _illegal(letter)
    if not re.fullmatch("[0-7]+", request.attributes.get("umask", "0")):
        raise _illegal("W")
    _check_dependency(request.attributes.get("depend", ""))


def check_name(name: str, *, program: str) -> None:
    """Refuse what cannot be a job's name."""
    if len(name) > LONGEST_NAME:
        raise RefusedError(f"{program}: Job name is too long ", 2)
    if not re.fullmatch(r"[A-Za-z0-9+._-]+", name):
        raise RefusedError(f"{program}: illegal -N value\n{USAGE}", 2)


def _check_dependency(text: str) -> None:
    for clause in filter(None, text.split(",")):
        kind, *ids = clause.split(":")
        if any(re.match(r"\d+\[.+\]", each) for each in ids):
            words = "cannot have dependancy on subjob or range"  # codespell:ignore dependancy
            raise RefusedError(f"{words}\nqsub: illegal -W value\n{USAGE}", 2)
        sound = all(re.fullmatch(r"\d+(\[\])?(\.[\w.-]+)?(@[\w.-]+)?", each) for each in ids)
        if kind not in DEPENDENCIES or not ids or not sound:
            raise _illegal("W")


def _range(text: str) -> tuple[int, int, int]:
    """First, last and step of ``X-Y[:Z]``: one range, and of more than one number."""
    match = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", text)
    if not match:
        raise _illegal("J")
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if first >= last or step < 1:
        raise _illegal("J")
    return first, last, step


def check_at_server(request: Request, settings: Mapping[str, Any]) -> None:
    """What the server refuses, once it has given an id away."""
    queue = request.options.get("q", "").partition("@")[0] or settings["default_queue"]
    if queue not in settings["queues"]:
        raise RefusedError("qsub: Unknown queue", UNKNOWN_QUEUE)
    for name in request.attributes:
        if name not in ATTRIBUTES:
            raise RefusedError(f"qsub: Undefined attribute  {name}", UNKNOWN_ATTRIBUTE)
    _check_resources(request.resources, [*RESOURCES, *settings["resources"]])
    if request.most_running and not request.most_running.isdigit():
        raise RefusedError(f"qsub: Error ({BAD_VALUE}) submitting job", BAD_VALUE)
    _check_group(request.attributes.get("group_list", ""), settings["groups"])
    limit = settings["queues"][queue].get("max_array_size", settings["max_array_size"])
    if len(request.indices or ()) > limit:
        raise RefusedError("qsub: Array job exceeds server or queue size limit", TOO_LARGE)


def _check_group(asked: str, of_site: Sequence[str]) -> None:
    me = pwd.getpwuid(os.getuid())
    mine = [grp.getgrgid(each).gr_name for each in os.getgrouplist(me.pw_name, me.pw_gid)]
    if asked and asked.partition("@")[0] not in (*mine, *of_site):
        raise RefusedError("qsub: Bad GID for job execution", BAD_GROUP)


def _check_resources(asked: Mapping[str, str], known: Sequence[str]) -> None:
    for name, value in asked.items():
        if name not in known:
            words = f"qsub: Unknown resource Resource_List.{name}"
            raise RefusedError(words, UNKNOWN_RESOURCE)
        if not _is_value(name, value):
            words = f"qsub: Illegal attribute or resource value Resource_List.{name}"
            raise RefusedError(words, BAD_VALUE)
    for name in asked if asked.keys() & {"select", "place"} else ():
        if name in (*SIZES, *COUNTS, "host", "arch") and name != "nodect":
            words = '"-lresource=" cannot be used with "select" or "place", resource is'
            raise RefusedError(f"qsub: {words}: {name}", BESIDE_SELECT)
    if "place" in asked and "select" not in asked:
        raise RefusedError('qsub: Cannot have "place" without "select"', PLACE_ALONE)
    for name, value in chunk(asked.get("select", "")).items():
        if name not in known:
            raise RefusedError(f"qsub: Unknown resource: {name}", UNKNOWN_RESOURCE)
        if not _is_value(name, value):
            words = f"qsub: Illegal attribute or resource value select.{name}"
            raise RefusedError(words, BAD_VALUE)


def chunk(select: str) -> dict[str, str]:
    """Resources of the one chunk of a select statement."""
    if not re.fullmatch(r"(\d+(:|$))?([A-Za-z_]\w*=[^:+\s]+(:(?=.)|$))*", select):
        words = "qsub: Illegal attribute or resource value Resource_List.select"
        raise RefusedError(words, BAD_VALUE)
    parts = [part.partition("=") for part in select.split(":") if "=" in part]
    return {name: value for name, _, value in parts}


def _is_value(name: str, value: str) -> bool:
    if name in TIMES:
        return bool(re.fullmatch(r"\d+(:\d+){0,2}(\.\d+)?", value))
    if name in SIZES:
        return bool(re.fullmatch(r"(?i)\d+[kmgtp]?[bw]?", value))
    return name not in COUNTS or value.isdigit()


def seconds(time: str) -> float:
    """A time such as ``48:00:00``, ``90:30`` or ``5``."""
    total = 0.0
    for part in time.split(":"):
        total = total * 60 + float(part)
    return total


def kilobytes(size: str) -> int:
    """A size such as ``4gb``, ``4G`` or ``1024`` (bytes), up to the next whole kB."""
    match = re.fullmatch(r"(?i)(\d+)([kmgtp]?)[bw]?", size)
    assert match
    size_b = int(match[1]) * 1 << 10 * " kmgtp".index(match[2].lower() or " ")
    return -(-size_b // 1024)
