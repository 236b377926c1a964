"""Cluster profiles: which scheduler, what each task asks of it, and what runs before the worker."""

from __future__ import annotations

import math
import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from slidearray.core.schema import Section, key, parse_section, section_fault
from slidearray.core.schema import without_control_characters as plain
from slidearray.core.shapes import Shape
from slidearray.errors import ProfileError

MEGABYTES = {"M": 1, "G": 1024, "T": 1024**2}
MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([MGT])B?", re.IGNORECASE)
WALLTIME = re.compile(r"(?:([0-9]{1,4})-)?([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])")
LONGEST_MINUTES = 366 * 24 * 60
#: What a partition or account may be made of: it stands in a directive.
DIRECTIVE_VALUE = re.compile(r"[\w.,:=+@/-]+")
COMMENT = re.compile(r"(^|[\s;&|()<>])#")
OPEN_END = re.compile(r"[\\;&|]\s*$")
HERE_DOCUMENT = re.compile(r"(?<!<)<<(?!<)")


def memory_mb(text: str) -> int:
    """Mebibytes of ``32G``, ``500M``, ``1.5T``, rounded up.

    Raises
    ------
    ValueError
        When `text` is no such amount, or is nothing at all.
    """
    match = MEMORY.fullmatch(text)
    amount = math.ceil(float(match[1]) * MEGABYTES[match[2].upper()]) if match else 0
    if amount < 1:
        raise ValueError
    return amount


def walltime_s(text: str) -> int:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``.

    Raises
    ------
    ValueError
        When `text` is no such time, or no time at all.
    """
    match = WALLTIME.fullmatch(text)
    if match is None:
        raise ValueError
    days, hours, minutes, seconds = (int(each or 0) for each in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < total <= LONGEST_MINUTES * 60:
        raise ValueError
    return total


def _minutes_as_time(value: object) -> object:
    if type(value) is int and 0 < value <= LONGEST_MINUTES:
        return f"{value // 60:02d}:{value % 60:02d}:00"
    return value


def _time(text: str) -> str:
    walltime_s(text)
    return text


def _amount(text: str) -> str:
    memory_mb(text)
    return text


def _directive_value(text: str) -> str:
    if not DIRECTIVE_VALUE.fullmatch(text):
        raise ValueError
    return text


def _setup_line(line: str) -> str:
    """A line that ``|| exit 78`` can be put behind."""
    plain(line)
    if COMMENT.search(line):
        raise ValueError("a comment would hide the check for failure that follows the line")
    if OPEN_END.search(line):
        raise ValueError(f"it ends in {line.rstrip()[-1]!r}, so it would go on behind its end")
    if HERE_DOCUMENT.search(line):
        raise ValueError("a here-document needs lines of its own")
    try:
        shlex.split(line)
    except ValueError:
        raise ValueError("a quote is not closed") from None
    return line


Text = Annotated[str, AfterValidator(plain)]
Name = Annotated[str, AfterValidator(_directive_value)]
Walltime = Annotated[str, BeforeValidator(_minutes_as_time), AfterValidator(_time)]
Memory = Annotated[str, AfterValidator(_amount)]
Line = Annotated[str, AfterValidator(_setup_line)]
SizeOrAuto = Annotated[int, Field(ge=0)] | Literal["auto"]


class Profile(Section):
    """One cluster, or this machine."""

    later = frozenset(
        {
            "advance_job",
            "constraint",
            "container",
            "directives",
            "environment",
            "exclude",
            "gpus",
            "group",
            "mail",
            "nice",
            "nodelist",
            "pbs_resources",
            "project",
            "qos",
            "queue",
            "reservation",
            "scratch",
            "workers_per_task",
        }
    )

    version: int = key("1", ge=1, le=1)
    name: Text = key("a name for messages; the file's when it is left out")
    scheduler: Literal["slurm", "local"] = key("slurm or local", later=("pbs",))
    walltime: Walltime = key('"HH:MM:SS", "D-HH:MM:SS" or a whole number of minutes')
    cpus_per_task: int = key("a whole number from 1 to 4096", default=1, ge=1, le=4096)
    memory: Memory = key("a number and its unit, such as 500M, 32G or 1.5T")
    partition: Name | None = key("letters, digits and . , : = + @ / - _", default=None)
    account: Name | None = key("letters, digits and . , : = + @ / - _", default=None)
    max_array_size: SizeOrAuto = key("auto, or a whole number, 0 or more", default="auto")
    max_running: int | None = key("a whole number, 1 or more", default=None, ge=1)
    setup: tuple[Line, ...] = key(
        "a list of shell commands of one line each", default=(), strict=False
    )
    python: Text | None = key("path of a Python interpreter", default=None)
    template: Text | None = key("path of a job-script template", default=None)

    @property
    def walltime_s(self) -> int:
        """The walltime in seconds."""
        return walltime_s(self.walltime)

    @property
    def memory_mb(self) -> int:
        """The memory in mebibytes."""
        return memory_mb(self.memory)

    def shape(self) -> Shape:
        """What a first attempt asks for."""
        return Shape(cpus=self.cpus_per_task, memory_mb=self.memory_mb, walltime_s=self.walltime_s)

    @model_validator(mode="after")
    def _only_what_the_scheduler_knows(self) -> Profile:
        unset = {"partition": None, "account": None, "max_array_size": "auto"}
        given = [name for name, value in unset.items() if getattr(self, name) != value]
        if self.scheduler == "local" and given:
            raise section_fault(f"{', '.join(given)}: scheduler local has none; remove it")
        return self


def parse_profile(raw: object, *, source: str, name: str) -> Profile:
    """The profile that a YAML file holds.

    Parameters
    ----------
    raw
        What the file holds, or what `Profile.to_json` gave.
    source
        The file's name, for messages.
    name
        The profile's name where `raw` has none.

    Raises
    ------
    ProfileError
        With one line for each fault.
    """
    named: Any = {"name": name, **raw} if isinstance(raw, dict) else raw
    return parse_section(Profile, named, source=source, error=ProfileError)
