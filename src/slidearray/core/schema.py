"""Values that people wrote, checked: every fault at once, in our own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from slidearray.core.ids import control_character

if TYPE_CHECKING:
    from slidearray.errors import ConfigError, ProfileError

SHOWN_CHARACTERS = 80
#: Error type of `section_fault`.
SECTION = "section"


class Section(BaseModel):
    """A mapping of a YAML file whose keys are all known, and whose values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    #: Keys that other versions read.
    later: ClassVar[frozenset[str]] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Plain values that read back equal."""
        return self.model_dump(mode="json")


S = TypeVar("S", bound=Section)


def key(accepted: str, *, default: Any = ..., later: tuple[object, ...] = (), **limits: Any) -> Any:
    """One key of a section.

    Parameters
    ----------
    accepted
        What its value may be, for messages.
    default
        Its value where the file does not name it; without one the key is required.
    later
        Values, or types of values, that other versions read.
    limits
        More for `pydantic.Field`, such as ``ge=1``.
    """
    # Types of values, such as `list`, are no JSON; no JSON schema is ever made of a section.
    return Field(default, description=accepted, json_schema_extra={"later": later}, **limits)  # type: ignore[dict-item]


def parse_section(
    model: type[S], raw: object, *, source: str, error: type[ConfigError] | type[ProfileError]
) -> S:
    """`raw` as a `model`, or `error` with one line for each of its faults."""
    if not isinstance(raw, dict):
        raise error(f"{source}: found {shown(raw)}; accepted: {_keys_of(model)}")
    try:
        return model.model_validate(raw)
    except ValidationError as err:
        # A value that may be of several types has one error for each of them.
        texts = dict.fromkeys(_fault(model, detail) for detail in err.errors(include_url=False))
        raise error("\n".join(f"{source}: {text}" for text in texts)) from None


def section_fault(why: str) -> PydanticCustomError:
    """A fault of a section as a whole, raised by the validator of one of its keys."""
    return PydanticCustomError(SECTION, "{why}", {"why": why})


def without_control_characters(text: str) -> str:
    """`text`, which may go into a job script.

    Raises
    ------
    ValueError
        Where it is empty or holds a character that ends a line or steers a terminal.
    """
    if not text.strip():
        raise ValueError("it is empty")
    if control := control_character(text):
        raise ValueError(f"it holds the control character {control!a}")
    return text


def shown(value: object) -> str:
    """A value as its author would recognise it.

    Examples
    --------
    >>> shown(True), shown(None), shown("20x"), shown([1, 2])
    ('true', 'nothing', "'20x'", 'a list')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _fault(model: type[Section], detail: ErrorDetails) -> str:
    place, section, field = _locate(model, detail["loc"])
    match detail["type"]:
        case "extra_forbidden" if str(detail["loc"][-1]) in section.later:
            return f"{place}: not in this version"
        case "extra_forbidden":
            return f"{place}: unknown key; known keys are {', '.join(section.model_fields)}"
        case "invalid_key":
            return f"{place}: the key is not text; accepted: {_keys_of(section)}"
        case "missing":
            return f"{place}: missing; accepted: {_accepted(section, field)}"
        case kind if kind == SECTION:
            where, dot, _ = place.rpartition(".")
            return f"{where}: {detail['msg']}" if dot else detail["msg"]
    return f"{place}: found {shown(detail['input'])}{_why(section, field, detail)}"


def _why(section: type[Section], field: str, detail: ErrorDetails) -> str:
    """Why a value is refused, and what is accepted instead."""
    accepted = f"; accepted: {_accepted(section, field)}"
    extra = section.model_fields[field].json_schema_extra
    later: Any = extra.get("later", ()) if isinstance(extra, dict) else ()
    value = detail["input"]
    if any(value == each or type(value) is each for each in later):
        return f", which is not in this version{accepted}"
    reason = detail["ctx"]["error"] if detail["type"] == "value_error" else ""
    return f": {reason}{accepted}" if str(reason) else accepted


def _locate(model: type[Section], loc: tuple[int | str, ...]) -> tuple[str, type[Section], str]:
    """Place as a person writes it (``tiles.stride``), its section, and its key there."""
    section, field, place = model, "", ""
    for part in loc:
        inner = _section_of(section, field)
        if field and inner is None:  # inside a value: an item of a list, or a type's own name
            return (f"{place}[{part}]" if isinstance(part, int) else place), section, field
        section, field = inner or section, str(part)
        place = f"{place}.{part}" if place else str(part)
    return place, section, field


def _section_of(section: type[Section], field: str) -> type[Section] | None:
    """The section that is the value of a key, if it is one."""
    if field not in section.model_fields:
        return None
    annotation = section.model_fields[field].annotation
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, Section):
            return each
    return None


def _accepted(section: type[Section], field: str) -> str:
    inner = _section_of(section, field)
    return _keys_of(inner) if inner else str(section.model_fields[field].description)


def _keys_of(section: type[Section]) -> str:
    return f"a mapping with the keys {', '.join(section.model_fields)}"
