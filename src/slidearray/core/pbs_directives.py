"""Options of qsub: those that a profile's keys make, and those that it passes through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slidearray.core.schema import without_control_characters as plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slidearray.core.profile import Mail, Profile
    from slidearray.core.shapes import Shape

OPTION = re.compile(r"-([A-Za-z])(.*)")
# Quotes group and a backslash escapes, in a directive as on a command line (openpbs, make_argv of
# src/cmds/qsub.c); no value that a directive needs has any of them.
VALUE = re.compile(r"[A-Za-z0-9_.,:=+@%/~-]+")
#: `name=value` pairs of one chunk; a `+` would begin the next chunk, a comma the next resource.
CONSTRAINT = re.compile(r"[A-Za-z][\w-]*=[\w./@-]+(:[A-Za-z][\w-]*=[\w./@-]+)*", re.ASCII)
MAIL_LETTERS = {"ALL": "abe", "BEGIN": "b", "END": "e", "FAIL": "a"}

_EVERY_JOB = "slidearray sets it for every job"
_ONE_CHUNK = "each slot is one task on one node"
_LOG = "each slot writes a log of its own, from its first line on"
_NAME = "slidearray finds its jobs by their names"
_RERUN = "slots have to be begun again after a node failed"
_FOLLOWED = "jobs of another user cannot be followed"
_INTERACTIVE = "nobody sits in front of an array"
_SHORTER = "a job could get less time than its worker counts with"


def _key(name: str) -> str:
    return f"the key {name} does that"


#: Options that a profile cannot pass through, and why (openpbs, src/cmds/qsub.c, process_opts).
REFUSED = {
    "A": _key("account"),
    "C": "what stands behind #PBS would not be read any more",
    "I": _INTERACTIVE,
    "J": _EVERY_JOB,
    "M": _key("mail"),
    "N": _NAME,
    "P": _key("project"),
    "R": _LOG,
    "S": _EVERY_JOB,
    "V": _key("environment"),
    "X": _INTERACTIVE,
    "e": _LOG,
    "f": _EVERY_JOB,
    "h": _EVERY_JOB,
    "j": _LOG,
    "k": _LOG,
    "m": _key("mail"),
    "o": _LOG,
    "q": _key("queue"),
    "r": _RERUN,
    "u": _FOLLOWED,
    "v": _key("environment"),
    "z": "slidearray reads what qsub prints",
}
#: Options that are passed through.
PASSED = frozenset("aclpW")
#: Resources of a chunk: beside ``select`` the server refuses them as resources of the job
#: (openpbs, src/lib/Libattr/master_resc_def_all.xml, CVTSLT), as it does those of GPUs.
CHUNK_RESOURCES = frozenset(
    {"accelerator", "accelerator_group", "accelerator_memory", "accelerator_model", "aoe", "arch",
     "eoe", "hbmem", "host", "mem", "mpiprocs", "naccelerators", "ncpus", "ngpus", "ompthreads",
     "vmem", "vnode", "vntype"}
)  # fmt: skip
#: Resources of ``-l`` that a profile cannot pass through, and why.
REFUSED_RESOURCES = {
    "max_walltime": _SHORTER,
    "mem": _key("memory"),
    "min_walltime": _SHORTER,
    "ncpus": _key("cpus_per_task"),
    "ngpus": _key("gpus"),
    "nodect": "PBS counts the chunks itself",
    "nodes": _ONE_CHUNK,
    "select": "the keys cpus_per_task, memory, gpus and constraint do that",
    "walltime": _key("walltime"),
}
_BESIDE_SELECT = {
    **dict.fromkeys(CHUNK_RESOURCES, "put it into `constraint`"),
    **REFUSED_RESOURCES,
}
#: Attributes of ``-W`` that a profile cannot pass through, and why; any of a job's can be set so.
REFUSED_ATTRIBUTES = {
    "account_name": _key("account"),
    "argument_list": "the job script is slidearray's",
    "array_indices_submitted": _EVERY_JOB,
    "block": "qsub would not return before the job ended",
    "depend": _EVERY_JOB,
    "error_path": _LOG,
    "executable": "the job script is slidearray's",
    "group_list": _key("group"),
    "hold_types": _EVERY_JOB,
    "interactive": _INTERACTIVE,
    "job_name": _NAME,
    "join_path": _LOG,
    "keep_files": _LOG,
    "mail_points": _key("mail"),
    "mail_users": _key("mail"),
    "max_run_subjobs": _key("max_running"),
    "output_path": _LOG,
    "project": _key("project"),
    "remove_files": _LOG,
    "rerunable": _RERUN,
    "resource_list": "write it as -l",
    "run_count": "it tells how often PBS has begun a job",
    "shell_path_list": _EVERY_JOB,
    "umask": "jobs have the umask of whoever submits them",
    "user_list": _FOLLOWED,
    "variable_list": _key("environment"),
}


def checked_directive(text: str, *, flat: bool = False) -> str:
    """`text`, which may stand in a job script behind ``#PBS``.

    Parameters
    ----------
    text
        An option of qsub.
    flat
        Whether tasks ask for resources without a chunk (``pbs_resources: flat``).

    Raises
    ------
    ValueError
        With the reason why not.
    """
    plain(text)
    if not (option := OPTION.fullmatch(text)):
        raise ValueError
    letter, value = option[1], option[2].removeprefix(" ")
    if letter in REFUSED:
        raise ValueError(REFUSED[letter])
    if letter not in PASSED:
        raise ValueError("qsub has no such option")
    if text != f"-{letter} {value}" or not value:
        raise ValueError(f"write it as -{letter}, one blank, and its value")
    if not VALUE.fullmatch(value):
        raise ValueError("a value has letters, digits and _ . , : = + @ % / ~ - only")
    if letter == "l":
        for pair in value.split(","):
            _check_pair(pair, REFUSED_RESOURCES if flat else _BESIDE_SELECT)
    elif letter == "W":
        for pair in re.split(r",(?=[^,=]*=)", value):  # other commas belong to a value
            _check_pair(pair, REFUSED_ATTRIBUTES)
    return text


def _check_pair(pair: str, refused: dict[str, str]) -> None:
    name, equals, value = pair.partition("=")
    if not (name and equals and value):
        raise ValueError("write it as name=value")
    if reason := refused.get(name.lower()):  # PBS knows them in any case
        raise ValueError(f"{name}: {reason}")


def checked_constraint(text: str) -> str:
    """`text`, which may stand in the chunk that each task asks for.

    Raises
    ------
    ValueError
        With the reason why not.
    """
    if not CONSTRAINT.fullmatch(text):
        raise ValueError(
            "scheduler pbs takes name=value, such as gpu_type=a100 or host=n1, "
            "and a colon before the next"
        )
    pairs = text.split(":")
    for pair in pairs:
        _check_pair(pair, REFUSED_RESOURCES)
    names = [pair.partition("=")[0].lower() for pair in pairs]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"{twice} is named twice; PBS takes one value of it")
    return text


def array_options(profile: Profile, shape: Shape) -> list[str]:
    """Options of an array, for ``#PBS`` lines.

    Parameters
    ----------
    profile
        The profile.
    shape
        What each of its tasks asks for.
    """
    return [
        *_where(profile.queue, profile.project, profile.account, group=profile.group),
        *_resources(profile, shape, gpus=profile.gpus, constraint=profile.constraint),
        *profile.directives,
    ]


def advance_options(profile: Profile) -> list[str]:
    """Options of the job that follows the arrays, for ``#PBS`` lines.

    What it does not say itself about whose it is and where it runs, is the profile's; never what
    arrays need of a node.
    """
    own = profile.advance_job
    return [
        *_where(
            own.queue or profile.queue,
            own.project or profile.project,
            own.account or profile.account,
            group=own.group or profile.group,
        ),
        *_resources(profile, own.shape(), gpus=None, constraint=own.constraint),
        *_mail(profile.mail),
        *own.directives,
    ]


def _where(
    queue: str | None, project: str | None, account: str | None, *, group: str | None
) -> Iterator[str]:
    values = {"-q ": queue, "-P ": project, "-A ": account, "-W group_list=": group}
    return (f"{option}{value}" for option, value in values.items() if value is not None)


def _resources(
    profile: Profile, shape: Shape, *, gpus: int | str | None, constraint: str | None
) -> list[str]:
    """What a task asks for: as one chunk, or each resource for the whole job."""
    chunk = [
        f"ncpus={shape.cpus}",
        f"mem={shape.memory_mb}mb",
        *([f"ngpus={gpus}"] if gpus else []),
        *(constraint.split(":") if constraint else []),
    ]
    asked = chunk if profile.pbs_resources == "flat" else [":".join(["select=1", *chunk])]
    return [f"-l {each}" for each in (*asked, f"walltime={shape.walltime}")]


def _mail(mail: Mail | None) -> Iterator[str]:
    if mail is None:
        yield "-m n"  # without it PBS writes about a job that it aborts
        return
    yield f"-m {''.join(sorted({letter for event in mail.on for letter in MAIL_LETTERS[event]}))}"
    if mail.to is not None:
        yield f"-M {mail.to}"
