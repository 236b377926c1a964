"""What the next run should ask for, from what slots used.

A value is suggested only where enough slots tell the same, and where it is far from the old one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass
from slidearray.core.efficiency import cpu_share
from slidearray.core.quantities import LONGEST_MINUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.core.config import ShardsConfig
    from slidearray.core.shapes import Shape
    from slidearray.core.slot_use import SlotUse

#: Fewer slots say nothing of the others.
MIN_SLOTS = 3
#: Up to this share of slots may need more than was asked: sending those again, with more, is
#: cheaper than asking for more everywhere.
RARE = 0.05
#: A value is lowered where the new one is at most this share of it, and raised where more than
#: `TIGHT` of it was used.
WORTHWHILE = 0.75
TIGHT = 0.9
MEMORY_RESERVE = 1.2
WALLTIME_RESERVE = 1.5
WALLTIME_STEP_S = 600
#: Queues hardly favour what is shorter still, and set-up and file systems have bad days.
SHORTEST_WALLTIME_S = 1800
CPU_RESERVE = 1.1
#: Of shorter slots, most of the time is waiting for files while everything is loaded.
LONG_ENOUGH_S = 60
#: How many times more or less than `target_minutes` slots may take.
FAR = 2.0
#: Shares of a slot's time that start-up may take, and should take.
MUCH_STARTING = 0.1
LITTLE_STARTING = 0.05
LEAST_MEMORY_MB = 512
#: Megabytes up to which memory is rounded up to the step beside it; 1 GB above them.
MEMORY_STEPS = ((2048, 256), (8192, 512))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Another value for a key of the profile or the config."""

    file: str  # profile or config
    key: str  # dotted in the config, such as shards.target_minutes
    now: str | float
    value: str | float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Slots that tell how much of something is needed."""

    uses: list[SlotUse]
    often: bool  # more than a few had too little of it
    words: str  # on those


def suggestions(
    uses: Sequence[SlotUse], *, asked: Shape, shards: ShardsConfig
) -> tuple[Suggestion, ...]:
    """What the next run should ask for, as far as slots that finished tell it.

    Parameters
    ----------
    uses
        What slots of all attempts used.
    asked
        What the profile asks for.
    shards
        The config's section.
    """
    found = (
        _memory(_sample(uses, asked, lacking=FailureClass.OUT_OF_MEMORY), asked),
        _walltime(_sample(uses, asked, lacking=FailureClass.TIMEOUT), asked),
        _cpus(_worked(uses, asked), asked),
        _target(_worked(uses, asked), shards),
    )
    return tuple(suggestion for suggestion in found if suggestion)


def memory_text(megabytes: int) -> str:
    """As a profile has it.

    Examples
    --------
    >>> memory_text(16384), memory_text(2560), memory_text(768), memory_text(3000)
    ('16G', '2.5G', '768M', '3000M')
    """
    whole = megabytes >= 1024 and megabytes % 256 == 0
    return f"{megabytes / 1024:g}G" if whole else f"{megabytes}M"


def duration_text(seconds: float) -> str:
    """For people.

    Examples
    --------
    >>> duration_text(42.4), duration_text(1000), duration_text(90000)
    ('42 s', '17 min', '25.0 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _worked(uses: Sequence[SlotUse], asked: Shape) -> list[SlotUse]:
    """Slots as the profile has them that came to their end and made features."""
    return [use for use in uses if use.shape == asked and use.finished and use.done]


def _sample(uses: Sequence[SlotUse], asked: Shape, *, lacking: FailureClass) -> _Sample:
    """Slots that had enough as the profile has it; all, where many had too little."""
    own = [use for use in uses if use.shape == asked]
    short = sum(lacking in use.short_of for use in own)
    if short > RARE * len(own):
        words = f"; {short} of {len(own)} had too little"
        return _Sample(uses=[use for use in uses if use.finished], often=True, words=words)
    words = f"; {short} more had too little, and go again with more" if short else ""
    enough = [use for use in _worked(own, asked) if lacking not in use.short_of]
    return _Sample(uses=enough, often=False, words=words)


def _memory(sample: _Sample, asked: Shape) -> Suggestion | None:
    used = [use.peak_mb for use in sample.uses if use.peak_mb is not None]
    if len(used) < MIN_SLOTS:
        return None
    most = max(used)
    value = _rounded_memory(most * MEMORY_RESERVE)
    if not _is_far(most, value, asked=asked.memory_mb, often=sample.often):
        return None
    return Suggestion(
        file="profile",
        key="memory",
        now=memory_text(asked.memory_mb),
        value=memory_text(value),
        reason=f"{len(used)} slots held at most {memory_text(most)}{sample.words}",
    )


def _walltime(sample: _Sample, asked: Shape) -> Suggestion | None:
    used = [use.wall_s for use in sample.uses if use.wall_s is not None]
    if len(used) < MIN_SLOTS:
        return None
    longest = max(used)
    steps = math.ceil(longest * WALLTIME_RESERVE / WALLTIME_STEP_S)
    value = min(max(steps * WALLTIME_STEP_S, SHORTEST_WALLTIME_S), LONGEST_MINUTES * 60)
    if not _is_far(longest, value, asked=asked.walltime_s, often=sample.often):
        return None
    return Suggestion(
        file="profile",
        key="walltime",
        now=asked.walltime,
        value=replace(asked, walltime_s=value).walltime,
        reason=f"{len(used)} slots took at most {duration_text(longest)}{sample.words}",
    )


def _is_far(most: float, value: float, *, asked: float, often: bool) -> bool:
    """Whether a new value is worth changing the old one for."""
    if value > asked:
        return often or most > TIGHT * asked
    return value <= WORTHWHILE * asked


def _cpus(uses: Sequence[SlotUse], asked: Shape) -> Suggestion | None:
    told = [use for use in uses if use.cpu_share is not None]
    share = cpu_share(told)
    long = median(use.wall_s or 0 for use in told) >= LONG_ENOUGH_S if told else False
    if share is None or len(told) < MIN_SLOTS or not long:
        return None
    busy = share * asked.cpus
    value = max(1, math.ceil(busy * CPU_RESERVE))
    if value > WORTHWHILE * asked.cpus:
        return None
    return Suggestion(
        file="profile",
        key="cpus_per_task",
        now=asked.cpus,
        value=value,
        reason=f"{len(told)} slots kept {busy:.1f} of {asked.cpus} CPUs busy",
    )


def _target(uses: Sequence[SlotUse], shards: ShardsConfig) -> Suggestion | None:
    """Longer slots, where starting up is much of the time that they take."""
    told = [use for use in _aimed(uses, shards) if use.done == use.slides]
    if len(told) < MIN_SLOTS:
        return None
    took = median(use.wall_s or 0 for use in told)
    starting = median((use.wall_s or 0) - use.real_s for use in told)
    if starting <= MUCH_STARTING * took:
        return None
    return Suggestion(
        file="config",
        key="shards.target_minutes",
        now=shards.target_minutes,
        value=math.ceil(starting / LITTLE_STARTING / 60),
        reason=f"of {duration_text(took)} a slot, {duration_text(starting)} went into starting up",
    )


def missed_target(uses: Sequence[SlotUse], *, asked: Shape, shards: ShardsConfig) -> str:
    """What to know where slots took far less or more than was aimed at; empty where they did not.

    No suggestion: a plan of slides like these corrects its predictions by itself.
    """
    told = _aimed(_worked(uses, asked), shards)
    if len(told) < MIN_SLOTS:
        return ""
    aim, took = shards.target_minutes * 60, median(use.wall_s or 0 for use in told)
    if _near(took, aim):
        return ""
    minutes = float(f"{shards.target_minutes * aim / took:.2g}")
    return (
        f"slots took {duration_text(took)} where {duration_text(aim)} were aimed at; a plan like "
        "this one, in the same project, corrects its predictions by these slides, and anywhere "
        f"else `shards: {{target_minutes: {minutes:g}}}` does"
    )


def _aimed(uses: Sequence[SlotUse], shards: ShardsConfig) -> list[SlotUse]:
    """Slots whose number of slides was decided by `target_minutes`, and not by something else."""
    aim = shards.target_minutes * 60
    if shards.slides_per_task != "auto":
        return []
    return [use for use in uses if use.slides > 1 and use.wall_s and _near(use.planned_s, aim)]


def _near(seconds: float, aim: float) -> bool:
    return aim / FAR <= seconds <= aim * FAR


def _rounded_memory(megabytes: float) -> int:
    step = next((step for limit, step in MEMORY_STEPS if megabytes <= limit), 1024)
    return max(math.ceil(megabytes / step) * step, LEAST_MEMORY_MB)
