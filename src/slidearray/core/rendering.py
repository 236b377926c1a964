"""Job scripts from templates: the template lays out, this module quotes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from slidearray.core.ids import control_character
from slidearray.errors import TemplateError

if TYPE_CHECKING:
    from types import TracebackType

#: What Jinja calls a template that was given as text, in tracebacks.
TEXT_TEMPLATE = "<template>"
#: Older sbatch wipes these words wherever they stand in a directive (slurm, src/sbatch/opt.c).
WIPED_WORDS = re.compile("(het|pack)(?=job)", re.IGNORECASE)


def render(template: str, values: Mapping[str, object], *, source: str) -> str:
    """The job script that a template makes of `values`.

    Parameters
    ----------
    template
        Jinja2 text. Filters beside Jinja's own: ``sh`` quotes a value, or each item of a list,
        for the shell; ``sbatch`` quotes a value for a ``#SBATCH`` line, ``sbatch_path`` the path
        of a log there.
    values
        The template's variables.
    source
        The template's name, for messages.

    Raises
    ------
    TemplateError
        Naming file and line, and the variable where one is unknown; or naming the variable that
        holds a control character.
    """
    for name, value in values.items():
        for place, text in _texts(name, value):
            if control := control_character(text):
                raise TemplateError(
                    f"{source}: {place} is {text!a}; the control character {control!a} "
                    "cannot be written into a job script: rename it"
                )
    try:
        return _environment().from_string(template).render(values)
    except jinja2.TemplateSyntaxError as err:
        raise TemplateError(f"{source}, line {err.lineno}: {err.message}") from None
    except jinja2.UndefinedError as err:
        known = f"; known variables are {', '.join(_known(values))}"
        raise TemplateError(f"{source}, line {_line(err)}: {err.message}{known}") from None
    except Exception as err:  # a template is its author's program: it can fail in any way
        what = f"{type(err).__name__}: {err}"
        raise TemplateError(f"{source}, line {_line(err)}: {what}") from None


def _known(values: Mapping[str, object]) -> list[str]:
    """Names that a template may use, those of a value's own fields included."""
    fields = {
        name: getattr(type(value), "model_fields", None)
        or getattr(type(value), "__dataclass_fields__", {})
        for name, value in values.items()
    }
    inner = [f"{name}.{field}" for name, own in fields.items() for field in own]
    return sorted([name for name, own in fields.items() if not own] + inner)


def template_names(template: str) -> frozenset[str]:
    """The variables that a template uses, and those of their fields that it names.

    Examples
    --------
    >>> sorted(template_names("{{ log }} {{ profile.gpus }} {{ profile['nice'] }}"))
    ['log', 'profile', 'profile.gpus', 'profile.nice']
    """
    tree = _environment().parse(template)
    fields = {f"{_name(each.node)}.{each.attr}" for each in tree.find_all(nodes.Getattr)}
    items = {
        f"{_name(each.node)}.{each.arg.value}"
        for each in tree.find_all(nodes.Getitem)
        if isinstance(each.arg, nodes.Const)
    }
    return frozenset(meta.find_undeclared_variables(tree) | fields | items)


def _name(node: nodes.Node) -> str:
    return node.name if isinstance(node, nodes.Name) else ""


def shell_words(value: object) -> str:
    """A value, or each item of a list, as the shell reads it back.

    Examples
    --------
    >>> shell_words("$HOME"), shell_words(["a b", "-m"])
    ("'$HOME'", "'a b' -m")
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return shlex.join(str(each) for each in value)
    return shlex.quote(str(value))


def sbatch_value(value: object) -> str:
    r"""A value as sbatch reads it back from a ``#SBATCH`` line.

    There a quote groups, a bare ``#`` starts a comment, and a backslash takes the next character
    as it is, in quotes too (slurm, src/sbatch/opt.c, ``_get_argument``).

    Examples
    --------
    >>> print(sbatch_value("plain/%a.log"), sbatch_value('a "b" \\ #c'))
    plain/%a.log "a \"b\" \\ #c"
    """
    text = str(value)
    escaped = WIPED_WORDS.sub(r"\1\\", text.replace("\\", r"\\").replace('"', r"\""))
    return escaped if re.fullmatch(r"[\w.,:=+@%/-]+", text) else f'"{escaped}"'


def sbatch_path(path: object) -> str:
    """A path as ``--output`` takes it: a real ``%`` is doubled (sbatch.1, filename pattern)."""
    return sbatch_value(str(path).replace("%", "%%"))


def _environment() -> ImmutableSandboxedEnvironment:
    # Sandboxed: a template comes with a profile, and rendering one must not be running it.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "sh": shell_words,
        "sbatch": sbatch_value,
        "sbatch_path": sbatch_path,
    }
    return environment


def _texts(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Every text inside a value, with the name by which a template reaches it."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, BaseModel):
        yield from _texts(place, value.model_dump())
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(f"{place}.{field.name}", getattr(value, field.name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{place}.{name}", inner)
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from _texts(f"{place}[{index}]", inner)
    elif value is not None:
        yield place, str(value)


def _line(error: Exception) -> int:
    """Line of the template in which `error` was raised."""
    line, step = 0, error.__traceback__
    while step is not None:
        line, step = _template_line(step) or line, step.tb_next
    return line


def _template_line(step: TracebackType) -> int:
    in_template = step.tb_frame.f_code.co_filename == TEXT_TEMPLATE
    return step.tb_lineno if in_template else 0
