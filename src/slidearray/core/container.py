"""The container that slots run in, and the options that would break the worker in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from slidearray.core.schema import Section, key
from slidearray.core.schema import without_control_characters as plain
from slidearray.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What splits one bind from the next, or a path from its place (apptainer, config/bind.go).
UNBINDABLE = re.compile(r"[,:^\\]|\s$")
BIND = re.compile(r"(/[^,:^\\$]*)(:/[^,:^\\$]*(:(ro|rw))?)?")

_NEW_PIDS = (
    "behind a pid namespace neither the scheduler's signals nor the end of its job surely reach "
    "the worker"
)
_NO_VARIABLES = "the worker would not see the scheduler's variables, such as its GPUs"
_OTHER_JOB = "its processes would be outside of the job and its limits"
REFUSED = {
    "pid": _NEW_PIDS,
    "containall": f"it includes --pid and --cleanenv: {_NEW_PIDS}; --contain alone is possible",
    "compat": f"it includes --containall: {_NEW_PIDS}",
    "fusemount": f"it includes --pid: {_NEW_PIDS}",
    "boot": f"it includes --pid: {_NEW_PIDS}",
    "oci": f"it includes --pid: {_NEW_PIDS}",
    "cleanenv": f"{_NO_VARIABLES}; `unset NAME` in a setup line takes away one",
    "sharens": _OTHER_JOB,
    "bind": "the key binds does that",
    "mount": "the key binds does that",
}
SHORT = {"p": "pid", "C": "containall", "e": "cleanenv", "B": "bind"}
#: Letters after which the rest of the word is a value.
SHORT_WITH_VALUE = "BHSWo"
#: Where the worker reads what it may take, and what it took.
NEEDED_MOUNT = re.compile(r"(^|,)(proc|sys)(,|$)")


def _image(text: str) -> str:
    plain(text)
    if text.startswith("-"):
        raise ValueError("it would be read as an option")
    if text.startswith("instance://"):
        raise ValueError(f"an instance runs by itself: {_OTHER_JOB}")
    return text


def _bind(text: str) -> str:
    plain(text)
    if "$" in text:
        raise ValueError(
            "variables are not expanded here; a setup line can: "
            'export APPTAINER_BIND="$TMPDIR:/scratch"'
        )
    if not BIND.fullmatch(text) or text != text.rstrip():
        raise ValueError
    return text


def _option(text: str) -> str:
    """An option of ``apptainer exec`` that leaves the worker what it needs."""
    plain(text)
    long = re.fullmatch(r"--([a-z][a-z0-9-]*)(=.*)?", text)
    if long is None and not re.fullmatch(r"-[A-Za-z].*", text):
        raise ValueError("each option is one text, its value behind `=`")
    for name in [long[1]] if long else _letters(text):
        if name in REFUSED:
            raise ValueError(REFUSED[name])
    if long and long[1] == "no-mount" and NEEDED_MOUNT.search((long[2] or "")[1:]):
        raise ValueError("the worker reads its limits from /proc and /sys")
    return text


def _letters(word: str) -> list[str]:
    """Long names of the letters of ``-ce`` that have one here; what follows may be a value."""
    flags = re.match(rf"-([^{SHORT_WITH_VALUE}]*[{SHORT_WITH_VALUE}]?)", word)
    return [SHORT[letter] for letter in (flags[1] if flags else "") if letter in SHORT]


class Container(Section):
    """An apptainer image, what is bound into it, and options beside."""

    image: Annotated[str, AfterValidator(_image)] = key("path or address of an apptainer image")
    binds: tuple[Annotated[str, AfterValidator(_bind)], ...] = key(
        "a list of folders such as /data, /data:/slides or /data:/data:ro, absolute",
        default=(),
        strict=False,
    )
    options: tuple[Annotated[str, AfterValidator(_option)], ...] = key(
        "a list of options of `apptainer exec`, such as --nv", default=(), strict=False
    )


def container_words(container: Container, *, folders: Sequence[str]) -> list[str]:
    """The command line up to the program that runs in the container.

    Parameters
    ----------
    container
        The profile's container.
    folders
        What has to be there under its own path.

    Raises
    ------
    RunError
        When apptainer cannot bind one of `folders`.
    """
    for folder in folders:
        if fault := UNBINDABLE.search(folder):
            raise RunError(
                f"{folder}: apptainer cannot bind a folder with {fault[0]!r} in its name; "
                "rename it, or choose another run_dir"
            )
    binds = [word for each in (*folders, *container.binds) for word in ("--bind", each)]
    return ["apptainer", "exec", *binds, *container.options, container.image]
