"""A profile as the YAML file that a person would keep, its changes explained beside them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slidearray.core.profile import Profile
    from slidearray.core.suggesting import Suggestion

#: Text that needs no quotes, in YAML 1.1 and 1.2 alike.
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+)?[MGT]")
#: Words that either of them reads as something else.
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def profile_yaml(profile: Profile, changes: Sequence[Suggestion], *, head: str) -> str:
    """`profile` with other values, as a file; what the file's name or a default says is left out.

    Parameters
    ----------
    profile
        What a run was planned with.
    changes
        Other values for some of its keys, with their reasons.
    head
        A line for the top.
    """
    values = profile.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    by_key = {change.key: change for change in changes}
    values |= {change.key: change.value for change in changes}
    order = [name for name in type(profile).model_fields if name in values]
    lines = [f"# {head}"]
    for name in order:
        change = by_key.get(name)
        why = f"  # was {_scalar(change.now)}: {change.reason}" if change else ""
        lines += [line + why for line in _lines(name, values[name])]
    return "\n".join(lines) + "\n"


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list) and value:
        yield f"{name}:"
        yield from (f"  - {_scalar(item)}" for item in value)
    else:
        yield f"{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A value in one line; mappings and lists as JSON, which YAML reads."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if plain else _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped)
