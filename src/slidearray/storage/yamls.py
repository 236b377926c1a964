"""Reading YAML: plain values only, keys once, and no surprises from older YAML.

Scalars follow YAML 1.2's core schema: in 1.1, which PyYAML reads by itself, ``10:00:00`` is the
number 36000, ``no`` is false, ``012`` is ten, and ``1e-3`` is text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from slidearray.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "merge": "<<",
}


def _mark(loader: Any) -> Any:
    """Where a loader is."""
    return loader.peek_event().start_mark


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars above; a key that comes twice is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # a few of them can stand for more than memory holds
            raise yaml.composer.ComposerError(
                None, None, "an alias (*name) is not read; write the value out", _mark(self)
            )
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: Any) -> int:
        return int(self.construct_scalar(node))

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} comes twice", key_node.start_mark
                )
            seen.add(str(key_node.value))
        return super().construct_mapping(node, deep=deep)


for _name, _pattern in SCALARS.items():
    _tag, _whole = f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z")
    _Loader.add_implicit_resolver(_tag, _whole, None)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path) -> object:
    """What a YAML file holds: mappings, lists, text, numbers, true, false and null.

    Raises
    ------
    ConfigError
        When the file is missing, is not UTF-8 or is not YAML, with the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        value: object = yaml.load(text, Loader=_Loader)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror or err}") from None
    except UnicodeDecodeError as err:
        line = err.object.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8; save it as UTF-8") from None
    except yaml.MarkedYAMLError as err:
        raise ConfigError(f"{path}{_line(err)}: {_words(err)}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as err:
        raise ConfigError(f"{path}: not usable as YAML: {' '.join(str(err).split())}") from None
    return value


def _line(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}" if mark else ""


def _words(error: yaml.MarkedYAMLError) -> str:
    return "; ".join(each for each in (error.context, error.problem) if each)
