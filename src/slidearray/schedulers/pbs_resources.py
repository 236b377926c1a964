"""Resources that a script asks for by ``-l``, as qsub and the server read and refuse them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from slidearray.core.pbs_directives import CHUNK_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Resources that nobody but PBS sets.
_COUNTED = ("nodect", "nchunk")
#: Resources of a job that no chunk has (openpbs, src/lib/Libattr/master_resc_def_all.xml: without
#: CVTSLT). A site's own are known to its server only.
_OF_JOBS = frozenset(
    {"cput", "file", "max_walltime", "min_walltime", "nchunk", "nice", "nodect", "nodes", "pcput",
     "place", "pmem", "pvmem", "select", "site", "soft_walltime", "software", "walltime"}
)  # fmt: skip
#: A value of nothing is taken, and asks for nothing.
_DURATION = re.compile(r"(([0-9]+:)?[0-9]+:)?([0-9]+(\.[0-9]*)?)?")
_SIZE = re.compile(r"([0-9]+([kmgtpKMGTP]?[bwBW]?))?")
_COUNT = re.compile(r"\+?[0-9]{1,18}")
_PLACES = re.compile(r"(?i:free|pack|v?scatter|excl|exclhost|shared|group=[^:]+)")
_FORMS: dict[str, tuple[re.Pattern[str], str]] = {
    **dict.fromkeys(
        ("walltime", "cput", "pcput", "min_walltime", "max_walltime"),
        (_DURATION, "HH:MM:SS, with hours beyond 24"),
    ),
    **dict.fromkeys(
        ("mem", "vmem", "pmem", "pvmem", "file", "hbmem", "accelerator_memory"),
        (_SIZE, "a whole number and a unit, such as 1536mb"),
    ),
    **dict.fromkeys(("ncpus", "mpiprocs", "ompthreads", "naccelerators"), (_COUNT, "a number")),
    "place": (
        re.compile(rf"{_PLACES.pattern}(:{_PLACES.pattern})*"),
        "free, pack, scatter or vscatter, excl, exclhost or shared, and group=RESOURCE",
    ),
}
_CHUNK = re.compile(r"[0-9]+|(?:([0-9]+):)?([^:=]+=[^:]+(?::[^:=]+=[^:]+)*)")
#: A comma outside of quotes.
_COMMA = re.compile(r""",(?=(?:[^"']|"[^"]*"|'[^']*')*$)""")
_INTO_CHUNK = "put it into the chunk, or ask for everything without select (`pbs_resources: flat`)"


def faults(lists: Sequence[tuple[int, str]], *, array: bool) -> Iterator[str]:
    """Why PBS refuses what a script asks for.

    Parameters
    ----------
    lists
        The values of its ``-l``, with their lines.
    array
        Whether it is an array's.
    """
    asked: dict[str, tuple[int, str]] = {}
    for number, value in lists:
        for pair in _COMMA.split(value) if value else []:
            name, _, amount = pair.partition("=")
            if not name.strip():
                yield f"line {number}: PBS refuses `-l {value}`; it takes NAME=VALUE,NAME=VALUE"
            # Of a name that is there twice, qsub reads the first.
            asked.setdefault(name.strip(), (number, amount.lstrip()))
    lower = {name.lower(): each for name, each in asked.items()}
    for name, (number, amount) in asked.items():
        for fault in _of_one(name.lower(), amount, lower, array=array):
            yield f"line {number}: PBS refuses {fault}"


def _of_one(
    name: str, amount: str, asked: Mapping[str, tuple[int, str]], *, array: bool
) -> Iterator[str]:
    if "select" in asked and name in CHUNK_RESOURCES:
        yield f"`-l {name}=` beside `-l select=`; {_INTO_CHUNK}"
    if name == "nodes" and (others := [each for each in ("select", "place") if each in asked]):
        yield f"`-l nodes=` beside `-l {others[0]}=`; leave one of them out"
    if name == "place" and not asked.keys() & {"select", "nodes"}:
        yield "`-l place=` without `-l select=`"
    if name in _COUNTED:
        yield f"`-l {name}=`; it counts that itself"
    if name in {"min_walltime", "max_walltime"} and array:
        yield f"`-l {name}=` for an array"
    yield from _of_chunks(amount) if name == "select" else _of_form(name, amount)


def _of_form(name: str, amount: str) -> Iterator[str]:
    form, accepted = _FORMS.get(name, (None, ""))
    if form is not None and not form.fullmatch(amount.strip("\"'")):
        yield f"`{name}={amount}`; it takes {accepted}"


def _of_chunks(text: str) -> Iterator[str]:
    """Why a value of ``select`` is refused."""
    chunks = [_CHUNK.fullmatch(each) for each in text.strip("\"'").split("+")]
    if not all(chunks):
        yield f"`select={text}`; a chunk is NUMBER:NAME=VALUE:NAME=VALUE, a + before the next"
        return
    told = [each for each in chunks if each is not None]
    if not sum(int(each[1] or (1 if each[2] else each[0])) for each in told):
        yield f"`select={text}`; it asks for no chunk"
    for each in told:
        pairs = [pair.partition("=")[::2] for pair in (each[2] or "").split(":") if pair]
        for name, times in Counter(name for name, _ in pairs).items():
            if times > 1:
                yield f"`{name}=` twice in one chunk"
        for name, amount in pairs:
            if name.lower() in _OF_JOBS:
                yield f"`{name}=` in a chunk; it is of the whole job: `-l {name}={amount}`"
            else:
                yield from _of_form(name.lower(), amount)
