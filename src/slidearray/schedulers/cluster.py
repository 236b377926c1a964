"""What there is on a cluster, whatever its scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits

#: Of the keys of the job behind the arrays.
ADVANCE_PREFIX = "advance_job."
#: Runs a command and gives what it printed; raises `SchedulerError` when it fails.
Tell: TypeAlias = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A key of a profile that the cluster has no use for."""

    key: str
    found: str
    accepted: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def told_once(arrays: Iterable[Problem], advance: Iterable[Problem]) -> list[Problem]:
    """Problems of the arrays, and those of the job behind them that it does not share with them."""
    found = list(arrays)
    told = {(problem.key, problem.found) for problem in found}
    return found + [
        problem
        for problem in advance
        if (problem.key.removeprefix(ADVANCE_PREFIX), problem.found) not in told
    ]


class Survey(Protocol):
    """What a scheduler told of its cluster, held against profiles."""

    @property
    def name(self) -> str:
        """The cluster's."""

    @property
    def version(self) -> str:
        """The scheduler's."""

    def problems(self, profile: Profile) -> list[Problem]:
        """Everything in a profile that the cluster does not have, in the order of its keys."""

    def unchecked(self) -> list[str]:
        """What could not be compared, and why."""

    def offers(self, profile: Profile) -> list[tuple[str, str]]:
        """Keys of a profile, and what they could be."""

    def limits(self, profile: Profile) -> QueueLimits:
        """What of the cluster's limits surely holds for a profile's arrays."""
