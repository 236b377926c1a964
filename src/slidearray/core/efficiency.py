"""What slots used against what they asked for, by attempt and shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slidearray.core.shapes import Shape
    from slidearray.core.slot_use import SlotUse


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeUse:
    """The slots of one shape in one attempt, taken together."""

    attempt: int
    shape: Shape
    slots: int
    finished: int  # of them; medians, maxima and CPU use are theirs
    memory_mb: tuple[float, int] | None  # median and most; None: not known, as below
    cpu_share: float | None
    wall_s: tuple[float, float] | None  # median and longest
    predicted_per_real: float | None  # of slides: above 1, they took less than was predicted

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "attempt": self.attempt,
            "shape": self.shape.to_json(),
            "slots": self.slots,
            "finished": self.finished,
            "memory_mb": _pair(self.memory_mb),
            "cpu_share": self.cpu_share,
            "wall_s": _pair(self.wall_s),
            "predicted_per_real": self.predicted_per_real,
        }


def by_shape(slots: Iterable[tuple[int, Shape]], uses: Sequence[SlotUse]) -> list[ShapeUse]:
    """One line for each attempt and shape.

    Parameters
    ----------
    slots
        Attempt and shape of every slot.
    uses
        What is known of those that began to work.
    """
    return [
        _shape_use(place, count, [use for use in uses if (use.attempt, use.shape) == place])
        for place, count in sorted(Counter(slots).items())
    ]


def worst(uses: Sequence[SlotUse], count: int) -> list[SlotUse]:
    """The slots that had too little, then those that came closest to it."""
    return sorted((use for use in uses if use.short_of or use.wall_s), key=_closeness)[:count]


def cpu_share(uses: Iterable[SlotUse]) -> float | None:
    """Of the CPUs that slots were granted, over the time that they took; None: nothing tells."""
    told = [use for use in uses if use.cpu_s is not None and use.wall_s]
    granted = sum((use.wall_s or 0) * use.shape.cpus for use in told)
    return sum(use.cpu_s or 0 for use in told) / granted if granted else None


def _closeness(use: SlotUse) -> tuple[bool, float, int, int]:
    return not use.short_of, -max(use.memory_share, use.time_share), use.attempt, use.slot


def _shape_use(place: tuple[int, Shape], slots: int, uses: Sequence[SlotUse]) -> ShapeUse:
    finished = [use for use in uses if use.finished]
    memory = [use.peak_mb for use in finished if use.peak_mb is not None]
    wall = [use.wall_s for use in finished if use.wall_s is not None]
    real_s = sum(use.real_s for use in uses)
    return ShapeUse(
        attempt=place[0],
        shape=place[1],
        slots=slots,
        finished=len(finished),
        memory_mb=(median(memory), max(memory)) if memory else None,
        cpu_share=cpu_share(finished),
        wall_s=(median(wall), max(wall)) if wall else None,
        predicted_per_real=sum(use.predicted_s for use in uses) / real_s if real_s else None,
    )


def _pair(told: tuple[float, float] | None) -> dict[str, float] | None:
    return {"median": told[0], "max": told[1]} if told else None
