"""A check: what was looked at, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # work goes on, in a poorer way
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that work depends on."""

    name: str
    result: Result
    found: str
    advice: str = ""  # what to do; empty where all is well
    where: str = ""  # the node that looked; empty: this machine

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name=name, result=Result.OK, found=found)


def warn(name: str, found: str, *, advice: str) -> Check:
    """Work goes on, and there is something to know."""
    return Check(name=name, result=Result.WARN, found=found, advice=advice)


def fail(name: str, found: str, *, advice: str) -> Check:
    """Work cannot succeed like this."""
    return Check(name=name, result=Result.FAIL, found=found, advice=advice)


def tried(name: str, look: Callable[[], Check]) -> Check:
    """What `look` found; where it broke down in a way of its own, that is what was found."""
    try:
        return look()
    except Exception as error:  # whatever is broken here is what the doctor is for
        return fail(
            name,
            f"{type(error).__name__}: {error}",
            advice="the error's own words are all that is known of it",
        )


def parse_checks(raw: object, *, where: str) -> list[Check]:
    """Checks as `to_json` gave them, looked at on the node `where`.

    Raises
    ------
    ValueError
        When `raw` holds no checks.
    """
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise ValueError("no list of checks")
    return [_parse(each, where=where) for each in raw]


def _parse(raw: Mapping[str, object], *, where: str) -> Check:
    name, found, advice = (str(raw.get(key, "")) for key in ("name", "found", "advice"))
    result = Result(str(raw.get("result")))
    return Check(name=name, result=result, found=found, advice=advice, where=where)
