"""How slides are packed into the slots of an attempt."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.core.config import ShardsConfig


def deal(seconds: Sequence[float], shards: ShardsConfig, *, at_least: int = 1) -> list[list[int]]:
    """Pack slides into shards as a config asks for.

    Parameters
    ----------
    seconds
        Predicted, one for each slide.
    shards
        The config's section.
    at_least
        Tasks that can run at once.

    Returns
    -------
    list of list of int
        Which slides each shard takes, the longest shard first.
    """
    asked = shards.slides_per_task
    per_task = None if asked == "auto" else asked
    count = shard_count(
        seconds=seconds,
        target_seconds=shards.target_minutes * 60,
        slides_per_task=per_task,
        max_tasks=shards.max_tasks,
        at_least=at_least,
    )
    return pack(seconds, count, capacity=per_task)


def shard_count(
    *,
    seconds: Sequence[float],
    target_seconds: float,
    slides_per_task: int | None,
    max_tasks: int,
    at_least: int = 1,
) -> int:
    """How many shards the slides make.

    Parameters
    ----------
    seconds
        Predicted, one for each slide.
    target_seconds
        What a shard should take; a single slide may take more.
    slides_per_task
        A number wins over `target_seconds` and `at_least`.
    max_tasks
        The ceiling over everything else.
    at_least
        Tasks that can run at once: fewer shards would leave CPUs idle.
    """
    slides = len(seconds)
    if slides_per_task is not None:
        wanted = math.ceil(slides / slides_per_task)
    else:
        wanted = max(math.ceil(math.fsum(seconds) / target_seconds), at_least)
    return min(wanted, slides, max_tasks)


def pack(costs: Sequence[float], shards: int, *, capacity: int | None = None) -> list[list[int]]:
    """Slides packed so that the longest shard is short: longest processing time first.

    Parameters
    ----------
    costs
        One for each slide.
    shards
        How many to fill; never more than there are slides, so none is empty.
    capacity
        At most so many slides a shard, or as few more as it takes to place them all.

    Returns
    -------
    list of lists
        Indices into `costs`, ascending within a shard; the shard with the highest total first.
        The same for the same input: ties go by index.
    """
    shards = min(shards, len(costs))
    if not shards:
        return []
    room = max(capacity or len(costs), math.ceil(len(costs) / shards))
    # Fewest slides breaks a tie, so that slides of no cost spread as well.
    lightest = [(0.0, 0, shard) for shard in range(shards)]
    packed: list[list[int]] = [[] for _ in range(shards)]
    for index in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        load, count, shard = heapq.heappop(lightest)
        packed[shard].append(index)
        if count + 1 < room:
            heapq.heappush(lightest, (load + costs[index], count + 1, shard))
    filled = [sorted(shard) for shard in packed]
    return sorted(filled, key=lambda shard: (-math.fsum(costs[i] for i in shard), shard[0]))
