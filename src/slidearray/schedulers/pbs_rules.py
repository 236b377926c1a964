"""What qsub and the server refuse in a script, and what they take and never run."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.schedulers.pbs_refusals import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An option of a script: the line that it is on, its letter, and its value.
Option = tuple[int, str, str]

# openpbs, src/lib/Libcmds/chk_Jrange.c; the throttle was cut off before (src/cmds/qsub.c).
_RANGE = re.compile(r"([0-9]+)-([0-9]+)(?::([0-9]+))?")
#: The server counts tasks in 32 bits, and a larger step overflows (seen with 23.06.06).
_LARGEST = 2**31 - 1
_RANGES = "PBS takes one range with a first number below the last, such as 0-9 or 0-9%4"
#: Options with a value, and those without (openpbs, src/cmds/qsub.c).
_WITH_VALUE = frozenset("aAcCeGgjJklmMNopPqrRSuvW")
_BARE = frozenset("fhIVXz")
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,230}")
#: Resources of a chunk: beside `select` the server refuses them as resources of the job
#: (openpbs, src/lib/Libattr/master_resc_def_all.xml, CVTSLT), as it does those of GPUs.
_OF_CHUNKS = frozenset(
    {"accelerator", "accelerator_model", "aoe", "arch", "eoe", "hbmem", "host", "mem", "mpiprocs",
     "naccelerators", "ncpus", "ngpus", "nodes", "ompthreads", "vmem", "vnode", "vntype"}
)  # fmt: skip
_DURATION = re.compile(r"(([0-9]+:)?[0-9]+:)?[0-9]+(\.[0-9]+)?")
_SIZE = re.compile(r"[0-9]+([kmgtpKMGTP]?[bwBW]?)")
_FORMS = {
    "walltime": (_DURATION, "HH:MM:SS, with hours beyond 24"),
    "mem": (_SIZE, "a whole number and a unit, such as 1536mb"),
}


def refused_range(text: str, *, max_array_size: int | None = None) -> str:
    """Why PBS does not take, or never runs, a value of ``-J``; empty when it takes it.

    Parameters
    ----------
    text
        The value: a range, and maybe ``%`` and how many tasks may run at once.
    max_array_size
        Tasks that an array may have; None: nobody says.

    Examples
    --------
    >>> refused_range("0-9%2")
    ''
    >>> refused_range("0-0")
    'PBS takes one range with a first number below the last, such as 0-9 or 0-9%4'
    """
    span, throttled, throttle = text.partition("%")
    match = _RANGE.fullmatch(span)
    if match is None or int(match[1]) >= int(match[2]) or match[3] == "0" * len(match[3] or "-"):
        return _RANGES
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if max(last, step) > _LARGEST:
        return f"the server counts to {_LARGEST} only"
    count = (last - first) // step + 1
    if max_array_size is not None and count > max_array_size:
        return f"it has {count} tasks, and max_array_size is {max_array_size}"
    if throttled and not throttle.isdecimal():
        return "behind % is a number of tasks that may run at once"
    if throttled and int(throttle) == 0:
        return "with %0 PBS takes the array, and never runs a task of it"
    return ""


def check_script(text: str, *, source: str, max_array_size: int | None = None) -> None:
    """Refuse a script that PBS would refuse, or take and never run.

    Parameters
    ----------
    text
        The script.
    source
        Where it is, for messages.
    max_array_size
        Tasks that an array may have; None: nobody says.

    Raises
    ------
    RunError
        With each fault.
    """
    faults = list(_faults(text, max_array_size))
    if faults:
        raise RunError("\n".join(f"{source}: {fault}" for fault in faults))


def _faults(text: str, max_array_size: int | None) -> Iterator[str]:
    options: list[Option] = []
    for number, line in _directives(text):
        try:
            options += _options(number, line)
        except ValueError as error:
            yield f"line {number}: qsub cannot read `#PBS {line}`: {error}"
    for number, letter, value in options:
        if reason := _refused(letter, value, max_array_size):
            yield f"line {number}: PBS refuses `-{letter} {value}`: {reason}"
    yield from _of_arrays(options)
    yield from _of_resources(options)


def _directives(text: str) -> Iterator[tuple[int, str]]:
    """The lines that qsub reads: those before the first command."""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#PBS"):
            yield number, stripped.removeprefix("#PBS").strip()
        elif stripped and not stripped.startswith(("#", ":")):
            return


def _options(number: int, line: str) -> Iterator[Option]:
    """The options of one line, as qsub reads them."""
    words = iter(shlex.split(line))
    for word in words:
        letter, value = word[1:2], word[2:]
        if not word.startswith("-") or letter not in _WITH_VALUE | _BARE:
            raise ValueError(f"{word} is no option of it")
        if letter in _BARE:
            value = ""
        elif not value and not (value := next(words, "")):
            raise ValueError(f"-{letter} wants a value")
        yield number, letter, value


def _refused(letter: str, value: str, max_array_size: int | None) -> str:
    """Why one option is refused for itself, and what to do; empty when it is not."""
    if letter == "J" and (reason := refused_range(value, max_array_size=max_array_size)):
        return f"{reason}; {explain('illegal -J value').advice}"
    if letter == "N" and not _NAME.fullmatch(value):
        return "a name has 1 to 230 letters, digits and - _ . +"
    if letter == "q" and "@" in value:
        return "jobs on another server could not be followed; name the queue alone"
    return ""


def _of_arrays(options: list[Option]) -> Iterator[str]:
    ranges = [value for _, letter, value in options if letter == "J"]
    if not ranges:
        return
    for number, letter, value in options:
        if (letter, value) == ("r", "n"):
            yield f"line {number}: PBS refuses `-r n` for an array"
        if letter == "I":
            yield f"line {number}: PBS refuses `-I` for an array"
        if letter == "W" and "max_run_subjobs" in value and "%" in ranges[0]:
            yield f"line {number}: PBS refuses max_run_subjobs beside the % of `-J {ranges[0]}`"


def _of_resources(options: list[Option]) -> Iterator[str]:
    """Resources that are asked for in two ways, or in a way that PBS does not read."""
    asked = [
        (number, *pair.partition("=")[::2])
        for number, letter, value in options
        if letter == "l"
        for pair in value.split(",")
    ]
    names = {name for _, name, _ in asked}
    for number, name, value in asked:
        if "select" in names and name in _OF_CHUNKS:
            yield (
                f"line {number}: PBS refuses `-l {name}=` beside `-l select=`; put it into the "
                "chunk, or ask for everything without select (`pbs_resources: flat`)"
            )
        if name == "place" and not names & {"select", "nodes"}:
            yield f"line {number}: PBS refuses `-l place=` without `-l select=`"
        pairs = [pair.partition("=")[::2] for pair in re.split("[:+]", value)]
        for key, amount in [(name, value), *(pairs if name == "select" else [])]:
            form, accepted = _FORMS.get(key, (None, ""))
            if form is not None and not form.fullmatch(amount):
                yield f"line {number}: PBS refuses `{key}={amount}`; it takes {accepted}"
