"""What qsub and the server refuse in a script, and what they take and never run."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.schedulers import pbs_resources
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
#: Options with a value, and those without (openpbs, src/cmds/qsub_sup.c, GETOPT_ARGS).
_WITH_VALUE = frozenset("aAcCejJklmMNopPqrRSuvW")
_BARE = frozenset("fhIVXz")
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,230}")
#: What qsub takes as a value (openpbs, src/lib/Libecl/ecl_verify_values.c).
_VALUES = {
    "P": (re.compile(r'[^/\[\]";:|<>+,?*]*'), 'a name without / [ ] " ; : | < > + , ? *'),
    "R": (re.compile("[oe]+"), "o, e or oe"),
    "S": (re.compile(r"/[^,]*(,/[^,]*)*"), "the whole path of a shell"),
    "c": (re.compile(r"\s*([nscw]|[cw]=[0-9]+)"), "n, s, c, w, c=MINUTES or w=MINUTES"),
    "j": (re.compile("oe|eo|n"), "oe, eo or n"),
    "k": (re.compile("(?=d*[oe])[oed]+|(?=d*n)[dn]+"), "n, or letters of o, e and d"),
    "m": (re.compile(r"\s*(n|(?!j$)[abej]+)"), "n, or letters of a, b and e"),
    "p": (re.compile(r"\s*[+-]?[0-9]{1,9}"), "-1024 to 1023"),
    "r": (re.compile("[yn]"), "y or n"),
}
_PRIORITIES = range(-1024, 1024)
_NEVER = {
    "I": "nobody sits in front of it",
    "X": "the job that submits a later attempt has no DISPLAY",
}
#: Attributes that qsub itself reads, as True or False, and what it would do at True.
_SWITCHES = {
    "block": "qsub would not return before the job has ended",
    "interactive": _NEVER["I"],
}
#: A comma before the next name; others belong to a value.
_NEXT_ATTRIBUTE = re.compile(r",(?=[^,=]*=)")


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


def ranges(text: str) -> list[str]:
    """The values of ``-J`` in a script that qsub reads."""
    options = (each for number, line in _directives(text) for each in _options(number, line))
    return [value for _, letter, value in options if letter == "J"]


def _faults(text: str, max_array_size: int | None) -> Iterator[str]:
    options: list[Option] = []
    for number, line in _directives(text):
        try:
            options += _options(number, line)
        except ValueError as error:
            yield f"line {number}: qsub cannot read `#PBS {line}`: {error}"
    for number, letter, value in options:
        if reason := _refused(letter, value, max_array_size):
            yield f"line {number}: PBS refuses `{f'-{letter} {value}'.rstrip()}`: {reason}"
    yield from _of_arrays(options)
    lists = [(number, value) for number, letter, value in options if letter == "l"]
    yield from pbs_resources.faults(lists, array=any(letter == "J" for _, letter, _ in options))


def _directives(text: str) -> Iterator[tuple[int, str]]:
    """The lines that qsub reads: those before the first command, each with those it goes on in."""
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        stripped = line.strip()
        if stripped.startswith("#PBS"):
            while stripped.endswith("\\"):
                stripped = stripped[:-1] + next(lines, (0, ""))[1].rstrip()
            yield number, stripped.removeprefix("#PBS").strip()
        elif stripped and not stripped.startswith("#") and not line.startswith(":"):
            return


def _options(number: int, line: str) -> Iterator[Option]:
    """The options of one line, as qsub reads them: letters without a value may stand together."""
    words = iter(_words(line))
    for word in words:
        letters = word[1:]
        if not word.startswith("-") or letters in ("", "-"):
            raise ValueError(f"{word} is no option of it")
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _BARE:
                yield number, letter, ""
                continue
            if letter not in _WITH_VALUE:
                raise ValueError(f"-{letter} is no option of it")
            value = letters or next(words, None)
            if value is None:
                raise ValueError(f"-{letter} wants a value")
            yield number, letter, value
            break


def _words(line: str) -> list[str]:
    """A line taken apart as qsub does: a backslash is one also between double quotes."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escapedquotes = True, "", ""
    return list(lexer)


def _refused(letter: str, value: str, max_array_size: int | None) -> str:
    """Why one option is refused for itself, and what to do; empty when it is not."""
    if letter == "J" and (reason := refused_range(value, max_array_size=max_array_size)):
        return f"{reason}; {explain('illegal -J value').advice}"
    if letter == "N" and not _NAME.fullmatch(value):
        return "a name has 1 to 230 letters, digits and - _ . +"
    if letter == "q" and "@" in value:
        return "jobs on another server could not be followed; name the queue alone"
    if letter == "W":
        return _refused_attributes(value)
    form, accepted = _VALUES.get(letter, (None, ""))
    if form is not None and not form.fullmatch(value):
        return f"it takes {accepted}"
    if letter == "p" and int(value) not in _PRIORITIES:
        return f"it takes {accepted}"
    return _NEVER.get(letter, "")


def _attributes(value: str) -> list[tuple[str, str, str]]:
    """The attributes of ``-W``: a name, =, and a value."""
    pairs = (pair.partition("=") for pair in _NEXT_ATTRIBUTE.split(value))
    return [(name.strip(), equals, amount.strip()) for name, equals, amount in pairs]


def _refused_attributes(value: str) -> str:
    for name, equals, amount in _attributes(value):
        if not (name and equals) or amount.endswith(","):
            return "write it as name=value, and a comma before the next"
        switch = _SWITCHES.get(name.lower())
        if switch and (name, amount.lower()) != (name.lower(), "false"):
            return switch
    return ""


def _of_arrays(options: list[Option]) -> Iterator[str]:
    """What an array cannot have, or nothing else; PBS reads one option after the other."""
    array = any(letter == "J" for _, letter, _ in options)
    rerunnable, ranges, throttles = True, 0, 0
    for number, letter, value in options:
        ranges += letter == "J"
        if letter == "r":
            rerunnable = value != "n"
        if letter in "Jr" and ranges and not rerunnable:
            yield f"line {number}: PBS refuses `-r n` for an array"
        if letter == "m" and "j" in value and not ranges:
            yield f"line {number}: PBS refuses `-m {value}` before `-J`: j is of arrays"
        counts = [name for name, _, _ in _attributes(value) if name == "max_run_subjobs"]
        throttles += len(counts) if letter == "W" else letter == "J" and "%" in value
        if throttles > 1 and (letter == "J" or (letter == "W" and counts)):
            yield f"line {number}: PBS refuses max_run_subjobs beside the % of `-J`, or twice"
        if letter == "W" and counts and not array:
            yield f"line {number}: PBS refuses max_run_subjobs without `-J`"
