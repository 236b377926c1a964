"""Cluster profiles: which scheduler, what each task asks of it, and what runs before the worker."""

from __future__ import annotations

import re
import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from slidearray.core import pbs_directives, slurm_directives
from slidearray.core.container import Container  # noqa: TC001 -- pydantic reads annotations
from slidearray.core.quantities import (
    MEMORY_ACCEPTED,
    WALLTIME_ACCEPTED,
    Memory,
    Walltime,
    memory_mb,
    walltime_s,
)
from slidearray.core.scheduler_keys import SCHEDULER_KEYS, foreign_keys
from slidearray.core.schema import Section, key, parse_section, section_fault, shown
from slidearray.core.schema import without_control_characters as plain
from slidearray.core.shapes import Shape
from slidearray.core.variables import checked_variable
from slidearray.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable

COMMENT = re.compile(r"(^|[\s;&|()<>])#")
OPEN_END = re.compile(r"[\\;&|]\s*$")
HERE_DOCUMENT = re.compile(r"(?<!<)<<(?!<)")


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


def _any(events: tuple[str, ...]) -> tuple[str, ...]:
    if not events:
        raise ValueError
    return events


def _made_of(characters: str) -> AfterValidator:
    """Only text of some characters: it stands in a directive."""
    pattern = re.compile(characters)

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return AfterValidator(check)


def _queue(text: str) -> str:
    if "@" in text:
        raise ValueError("jobs at another server cannot be followed")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", text, re.ASCII):
        raise ValueError
    return text


def _directive(text: str, info: ValidationInfo) -> str:
    return _directive_check(info.data)(text)


def _directive_check(known: dict[str, Any]) -> Callable[[str], str]:
    """What may stand in a directive of a profile with these keys."""
    match known.get("scheduler"):
        case "slurm":
            return slurm_directives.checked_directive
        case "pbs":
            flat = known.get("pbs_resources") == "flat"
            return partial(pbs_directives.checked_directive, flat=flat)
    return plain


Text = Annotated[str, AfterValidator(plain)]
Name = Annotated[str, _made_of(r"[\w.,:=+@/-]+")]
# No slash: sbatch reads such a value as the path of a file (sbatch.1).
Nodes = Annotated[str, _made_of(r"[A-Za-z0-9_.,\[\]-]+")]
# What PBS takes in none of these names (openpbs, src/include/pbs_entlim.h).
PbsName = Annotated[str, _made_of(r"[A-Za-z0-9_.@-]+")]
Queue = Annotated[str, AfterValidator(_queue)]
Features = Annotated[str, _made_of(r"[\w.,:=+@!&|*()\[\]-]+")]
Gpus = Annotated[int, Field(ge=1, le=64)] | Annotated[str, _made_of(r"[\w.-]+:[1-9][0-9]?")]
Line = Annotated[str, AfterValidator(_setup_line)]
Directives = tuple[Annotated[str, AfterValidator(_directive)], ...]
Variable = Annotated[str, AfterValidator(checked_variable)]
SizeOrAuto = Annotated[int, Field(ge=0)] | Literal["auto"]
Event = Literal[
    "ALL", "BEGIN", "END", "FAIL", "REQUEUE",
    "TIME_LIMIT", "TIME_LIMIT_50", "TIME_LIMIT_80", "TIME_LIMIT_90",
]  # fmt: skip

NAME_ACCEPTED = "letters, digits and . , : = + @ / - _"
PBS_NAME_ACCEPTED = "letters, digits and . @ - _"
QUEUE_ACCEPTED = "the name of a queue: letters, digits and . - _"
NODES_ACCEPTED = "names of nodes, such as n1,n[3-5]"
FEATURES_ACCEPTED = (
    "features of nodes, such as gold or a100|h100, without spaces; on PBS gpu_type=a100:host=n1"
)
DIRECTIVES_ACCEPTED = (
    "a list of options of sbatch, such as --licenses=matlab:1 or --exclusive; "
    "of qsub, such as -l filesystems=home:eagle"
)


class Mail(Section):
    """Whom the scheduler writes to about the job that follows the arrays."""

    to: Name | None = key("an address", default=None)
    on: Annotated[tuple[Event, ...], AfterValidator(_any)] = key(
        "a list of BEGIN, END, FAIL, REQUEUE, TIME_LIMIT, TIME_LIMIT_50, _80 and _90, or ALL",
        default=("END", "FAIL"),
        strict=False,
    )


class AdvanceJob(Section):
    """What the job that follows the arrays asks for; whose it is, where it names nothing."""

    partition: Name | None = key(NAME_ACCEPTED, default=None)
    account: Name | None = key(NAME_ACCEPTED, default=None)
    qos: Name | None = key(NAME_ACCEPTED, default=None)
    reservation: Name | None = key(NAME_ACCEPTED, default=None)
    queue: Queue | None = key(QUEUE_ACCEPTED, default=None)
    project: PbsName | None = key(PBS_NAME_ACCEPTED, default=None)
    group: PbsName | None = key(PBS_NAME_ACCEPTED, default=None)
    constraint: Features | None = key(FEATURES_ACCEPTED, default=None)
    walltime: Walltime = key(WALLTIME_ACCEPTED, default="01:00:00")
    cpus_per_task: int = key("a whole number from 1 to 4096", default=1, ge=1, le=4096)
    memory: Memory = key(MEMORY_ACCEPTED, default="4G")
    directives: Directives = key(DIRECTIVES_ACCEPTED, default=(), strict=False)

    def shape(self) -> Shape:
        """What it asks for."""
        return _shape(self)


class Profile(Section):
    """One cluster, or this machine."""

    later = frozenset({"scratch", "workers_per_task"})

    version: int = key("1", ge=1, le=1)
    name: Text = key("a name for messages; the file's when it is left out")
    scheduler: Literal["slurm", "pbs", "local"] = key("slurm, pbs or local")
    walltime: Walltime = key(WALLTIME_ACCEPTED)
    cpus_per_task: int = key("a whole number from 1 to 4096", default=1, ge=1, le=4096)
    memory: Memory = key(MEMORY_ACCEPTED)
    gpus: Gpus | None = key("a whole number from 1 to 64; on SLURM also a100:2", default=None)
    gpu_directive: Literal["gres", "gpus"] = key("gres or gpus", default="gres")
    pbs_resources: Literal["select", "flat"] = key("select or flat", default="select")
    partition: Name | None = key(NAME_ACCEPTED, default=None)
    account: Name | None = key(NAME_ACCEPTED, default=None)
    qos: Name | None = key(NAME_ACCEPTED, default=None)
    reservation: Name | None = key(NAME_ACCEPTED, default=None)
    queue: Queue | None = key(QUEUE_ACCEPTED, default=None)
    project: PbsName | None = key(PBS_NAME_ACCEPTED, default=None)
    group: PbsName | None = key(PBS_NAME_ACCEPTED, default=None)
    constraint: Features | None = key(FEATURES_ACCEPTED, default=None)
    nodelist: Nodes | None = key(NODES_ACCEPTED, default=None)
    exclude: Nodes | None = key(NODES_ACCEPTED, default=None)
    nice: int | None = key("a whole number", default=None, ge=-(2**31) + 3, le=2**31 - 3)
    directives: Directives = key(DIRECTIVES_ACCEPTED, default=(), strict=False)
    max_array_size: SizeOrAuto = key("auto, or a whole number, 0 or more", default="auto")
    max_running: int | None = key("a whole number, 1 or more", default=None, ge=1)
    mail: Mail | None = key("", default=None)
    advance_job: AdvanceJob = key("", default=AdvanceJob())
    environment: tuple[Variable, ...] = key(
        "a list of names of variables", default=(), strict=False
    )
    setup: tuple[Line, ...] = key(
        "a list of shell commands of one line each", default=(), strict=False
    )
    container: Container | None = key("", default=None)
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
        return _shape(self)

    def given(self, keys: tuple[str, ...]) -> list[str]:
        """Those of `keys` that say something else than nothing."""
        return _given(self, keys)

    @field_validator("constraint", "gpus")
    @classmethod
    def _as_the_scheduler_takes_it(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("scheduler") == "pbs" and isinstance(value, str):
            if info.field_name == "gpus":
                raise ValueError("PBS takes a number; constraint: gpu_type=a100 names a kind")
            pbs_directives.checked_constraint(value)
        return value

    @field_validator("mail")
    @classmethod
    def _only_mail_that_the_scheduler_sends(
        cls, mail: Mail | None, info: ValidationInfo
    ) -> Mail | None:
        letters = pbs_directives.MAIL_LETTERS
        if info.data.get("scheduler") == "pbs" and mail and {*mail.on} - {*letters}:
            unknown = next(event for event in mail.on if event not in letters)
            raise section_fault(
                f"mail.on: found {unknown!r}: PBS does not tell; accepted: {', '.join(letters)}"
            )
        return mail

    @field_validator("advance_job")
    @classmethod
    def _as_the_scheduler_takes_the_last_job(
        cls, asked: AdvanceJob, info: ValidationInfo
    ) -> AdvanceJob:
        if info.data.get("scheduler") == "pbs" and asked.constraint:
            _checked("constraint", asked.constraint, pbs_directives.checked_constraint)
        for index, text in enumerate(asked.directives):
            _checked(f"directives[{index}]", text, _directive_check(info.data))
        return asked

    @model_validator(mode="after")
    def _only_what_the_scheduler_knows(self) -> Profile:
        given = self.given(SCHEDULER_KEYS)
        if "advance_job" in given and self.scheduler != "local":
            given += [f"advance_job.{name}" for name in _given(self.advance_job, SCHEDULER_KEYS)]
        if foreign := foreign_keys(self.scheduler, given):
            raise section_fault(foreign)
        return self

    @model_validator(mode="after")
    def _one_line_for_gpus(self) -> Profile:
        gres = self.gpus and self.scheduler == "slurm" and self.gpu_directive == "gres"
        if gres and slurm_directives.replaces_gpus(self.directives):
            raise section_fault(
                "directives: --gres would stand in for the one that gpus makes; "
                "gpu_directive: gpus leaves --gres to you"
            )
        return self


def _given(section: Section, keys: tuple[str, ...]) -> list[str]:
    fields = type(section).model_fields
    return [
        name for name in keys if name in fields and getattr(section, name) != fields[name].default
    ]


def _checked(place: str, value: str, check: Callable[[str], str]) -> None:
    """A value of `advance_job`, which does not know its profile's scheduler."""
    field = AdvanceJob.model_fields[place.partition("[")[0]]
    try:
        check(value)
    except ValueError as error:
        why = f": {error}" if str(error) else ""
        raise section_fault(
            f"advance_job.{place}: found {shown(value)}{why}; accepted: {field.description}"
        ) from None


def _shape(asked: Profile | AdvanceJob) -> Shape:
    return Shape(
        cpus=asked.cpus_per_task,
        memory_mb=memory_mb(asked.memory),
        walltime_s=walltime_s(asked.walltime),
    )


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
