"""The machines of a cluster, as pbsnodes tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from slidearray.schedulers import pbs_words
from slidearray.schedulers.pbs_values import amount, megabytes, switch, words_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slidearray.schedulers.pbs_words import Attributes

_T = TypeVar("_T")
_SWITCHES = frozenset({"True", "False"})
_OFF = frozenset({"False"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine: a chunk may take from all its parts."""

    name: str
    queue: str  # that it works for alone; empty: for all
    resources: Mapping[str, frozenset[str]]  # values, as its parts tell them
    amounts: Mapping[str, float]  # of all its parts together; in bytes where it is a size

    @property
    def cpus(self) -> int:
        """0: it does not tell."""
        return int(self.amounts.get("ncpus", 0))

    @property
    def memory_mb(self) -> int:
        """0: it does not tell."""
        return megabytes(int(self.amounts.get("mem", 0))) or 0

    @property
    def gpus(self) -> int:
        """0: it has none, or they are called otherwise."""
        return int(self.amounts.get("ngpus", 0))

    def values(self, name: str) -> frozenset[str]:
        """The values of a resource, whose name may be in any case."""
        return frozenset().union(*_of_name(name, self.resources))

    def has(self, name: str, value: str) -> bool:
        """Whether a chunk that asks for ``name=value`` may run on it."""
        known, asked = self.values(name), amount(value)
        if known <= _SWITCHES:  # one that is not set is off
            return str(switch(value)) in (known or _OFF)
        enough = asked is not None and any(each >= asked for each in _of_name(name, self.amounts))
        return enough or value in known


def hosts_of(nodes: Mapping[str, Attributes]) -> tuple[Host, ...]:
    """The machines of a list of nodes: those on one machine are its parts."""
    parts: dict[str, list[tuple[Attributes, Attributes]]] = {}
    for name, attributes in nodes.items():
        available = attributes.get("resources_available")
        if isinstance(available, dict):
            host = pbs_words.text(available.get("host")) or name
            parts.setdefault(host, []).append((attributes, available))
    return tuple(_host(name, each) for name, each in parts.items())


def _host(name: str, parts: list[tuple[Attributes, Attributes]]) -> Host:
    values: dict[str, set[str]] = {}
    amounts: dict[str, float] = {}
    for _, available in parts:
        for resource, value in available.items():
            values.setdefault(resource, set()).update(words_in(value))
            if (more := amount(pbs_words.text(value))) is not None:
                amounts[resource] = amounts.get(resource, 0) + more
    return Host(
        name=name,
        queue=next((pbs_words.text(each.get("queue")) for each, _ in parts if "queue" in each), ""),
        resources={resource: frozenset(each) for resource, each in values.items()},
        amounts=amounts,
    )


def _of_name(name: str, values: Mapping[str, _T]) -> list[_T]:
    return [value for each, value in values.items() if each.lower() == name.lower()]
