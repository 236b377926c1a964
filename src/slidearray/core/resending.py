"""What is sent again, and how; and when an attempt is given up."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slidearray.core.classes import BY_HAND, CHARGED, PERMANENT, FailureClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.core.queue import QueueLimits
    from slidearray.core.shapes import Shape
    from slidearray.core.verdicts import Verdict

_BREAKER_FIRST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and with how much more, a slide is tried again."""

    max_attempts: int
    memory_factor: float
    walltime_factor: float
    # The most that one array task may ask for; None: no limit.
    max_memory_mb: int | None = None
    max_walltime_s: int | None = None

    def within(self, limits: QueueLimits) -> Retry:
        """The same, with what a scheduler gives."""
        return replace(
            self, max_memory_mb=limits.max_memory_mb, max_walltime_s=limits.max_walltime_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """A slide of the next attempt."""

    slide_id: str
    shape: Shape
    alone: bool  # gets a slot of its own
    why: str


def resend(
    slide_id: str,
    found: Verdict,
    *,
    retry: Retry,
    include: frozenset[FailureClass],
    by_hand: bool,
) -> Resend | None:
    """How a slide is sent again; None when it is not.

    Parameters
    ----------
    slide_id, found
        The slide and its verdict.
    retry
        The run's limits and factors.
    include
        Classes that a person asked for: sent whatever their rule and the budget say.
    by_hand
        A person asked for this attempt: `setup_failed`, `storage_full` and `cancelled` go too.
    """
    if found.failure is None or found.shape is None:
        return None
    if not _may_go(found, retry, include=include, by_hand=by_hand):
        return None
    shape, alone = _next_slot(found, found.shape, retry=retry)
    why = str(found.failure)
    if shape.memory_mb != found.shape.memory_mb:
        why += f": {shape.memory_mb} MB instead of {found.shape.memory_mb}"
    elif shape.walltime_s != found.shape.walltime_s:
        why += f": {shape.walltime} instead of {found.shape.walltime}"
    elif alone and not found.alone:
        why += ": in a slot of its own"
    return Resend(slide_id=slide_id, shape=shape, alone=alone, why=why)


def breaker(
    slots: Sequence[FailureClass | None], total: int, *, any_done: bool
) -> FailureClass | None:
    """The class in which an attempt fails as a whole; None while it may go on.

    Parameters
    ----------
    slots
        For each slot that ended, in that order: the class that all its failures share, None when
        it did not fail or they differ.
    total
        Slots of the attempt.
    any_done
        A slide was done: what is wrong is not wrong everywhere.
    """
    failed = [failure for failure in slots if failure is not None]
    if any_done or len(failed) < 2:
        return None
    failure, count = Counter(failed).most_common(1)[0]
    if 2 * count > total:
        return failure
    first = slots[:_BREAKER_FIRST]
    return first[0] if len(first) == _BREAKER_FIRST and len(set(first)) == 1 else None


def _may_go(
    found: Verdict, retry: Retry, *, include: frozenset[FailureClass], by_hand: bool
) -> bool:
    if found.failure in include:
        return True
    if found.failure in PERMANENT or (found.failure in BY_HAND and not by_hand):
        return False
    return not spent(found, retry)


def spent(found: Verdict, retry: Retry) -> str:
    """Why a failed slide is out of attempts; empty while it is not."""
    counted = found.failure in CHARGED or found.failure is FailureClass.LOST
    if counted and found.charged >= retry.max_attempts:
        return f"all {retry.max_attempts} attempts are used up"
    return _at_the_most(found, found.shape, retry) if found.shape else ""


def _at_the_most(found: Verdict, shape: Shape, retry: Retry) -> str:
    """Why no task can have more than a slide had that would need it; empty where one can."""
    memory_mb, walltime_s = retry.max_memory_mb, retry.max_walltime_s
    if found.failure is FailureClass.OUT_OF_MEMORY and memory_mb is not None:
        held = shape.memory_mb >= memory_mb
        return f"it had {shape.memory_mb} MB, and {memory_mb} MB is the most" if held else ""
    if found.failure is FailureClass.TIMEOUT and found.alone and walltime_s is not None:
        most = replace(shape, walltime_s=walltime_s).walltime
        held = shape.walltime_s >= walltime_s
        return f"it had {shape.walltime}, and {most} is the most" if held else ""
    return ""


def _next_slot(found: Verdict, shape: Shape, *, retry: Retry) -> tuple[Shape, bool]:
    """The shape of the next slot, and whether the slide has it for itself."""
    match found.failure:
        case FailureClass.OUT_OF_MEMORY:
            memory_mb = _more(shape.memory_mb, retry.memory_factor, most=retry.max_memory_mb)
            return replace(shape, memory_mb=memory_mb), True
        case FailureClass.TIMEOUT if found.alone:
            walltime_s = _more(shape.walltime_s, retry.walltime_factor, most=retry.max_walltime_s)
            return replace(shape, walltime_s=walltime_s), True
        case FailureClass.TIMEOUT | FailureClass.WORKER_ERROR:
            return shape, True
    return shape, False


def _more(amount: int, factor: float, *, most: int | None) -> int:
    """So many times the amount, within what there is; never less than it was."""
    # Rounded first: 100 * 1.1 is 110.00000000000001, which is meant as 110.
    more = math.ceil(round(amount * factor, 6))
    return more if most is None else min(more, max(most, amount))
