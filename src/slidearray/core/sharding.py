"""How slides are packed into the slots of an attempt.

Tasks run some at a time, nobody knows how many, and each takes as long as it likes. So shards get
shorter towards the end: the first are as long as the config allows, the last, which start when the
others end, a tenth of it. They fill the gaps that errors of the prediction leave, and the last task
ends soon after the others. (`benchmarks/sharding.py` compares it with shards of equal length.)
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.core.config import ShardsConfig

#: Array jobs that one attempt may be split into.
MOST_SPLITS = 100
#: Mean length of a shard as a share of the longest, when they fall from 1 to 0.1.
LEAST_MEAN = 0.55


def deal(seconds: Sequence[float], shards: ShardsConfig, *, at_least: int = 1) -> list[list[int]]:
    """Pack slides into shards as a config asks for.

    Parameters
    ----------
    seconds
        Predicted, one for each slide.
    shards
        The config's section. A number of slides a task wins over its minutes and over `at_least`;
        its ceiling of tasks wins over everything.
    at_least
        Tasks that surely run at once: fewer shards would leave CPUs idle.

    Returns
    -------
    list of list of int
        Which slides each shard takes, the longest shard first.
    """
    per_task = shards.slides_per_task
    if per_task != "auto":
        count = math.ceil(len(seconds) / per_task)
        return pack(seconds, min(count, shards.max_tasks), capacity=per_task)
    full = max(math.fsum(seconds) / (shards.target_minutes * 60), at_least)
    count = shard_count(full, slides=len(seconds), max_tasks=shards.max_tasks)
    return pack(seconds, count, mean=max(LEAST_MEAN, min(full / max(count, 1), 1)))


def shard_count(full: float, *, slides: int, max_tasks: int) -> int:
    """How many shards the slides make.

    Parameters
    ----------
    full
        Shards that it would take if each were as long as it may be. There are more, most of them
        shorter, unless one is enough.
    slides, max_tasks
        There are not more than either.
    """
    wanted = math.ceil(full / LEAST_MEAN) if full > 1 else 1
    return min(wanted, slides, max_tasks)


def task_ceiling(max_tasks: int, *, max_array: int | None, max_submit: int | None) -> int:
    """How many array tasks an attempt may have.

    Parameters
    ----------
    max_tasks
        What the config asks for.
    max_array
        Tasks that one array holds, 0 where there are none; None: not known.
    max_submit
        Tasks that the user may have submitted at once; None: not known. Two stay free, for the job
        that goes on afterwards and for the one that this submits.
    """
    ceilings = [max_tasks]
    if max_array is not None:
        ceilings.append(MOST_SPLITS * max(max_array, 1))
    if max_submit is not None:
        ceilings.append(max_submit - 2)
    return max(1, min(ceilings))


def pack(
    costs: Sequence[float], shards: int, *, capacity: int | None = None, mean: float = 1.0
) -> list[list[int]]:
    """Slides packed so that shards come near their lengths: longest processing time first.

    Parameters
    ----------
    costs
        One for each slide.
    shards
        How many to fill; never more than there are slides.
    capacity
        At most so many slides a shard, or as few more as it takes to place them all.
    mean
        Mean length of a shard as a share of the longest, from 0.5 to 1; lengths fall in even
        steps. With 1 all are alike and none is empty; else those that stay empty are left out.

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
    # What is still missing of each, as a negative number. Fewest slides breaks a tie, so that
    # slides of no cost spread as well.
    emptiest = [(-length, 0, shard) for shard, length in enumerate(_lengths(costs, shards, mean))]
    packed: list[list[int]] = [[] for _ in range(shards)]
    loads = [0.0] * shards
    for index in np.argsort(-np.asarray(costs, np.float64), kind="stable").tolist():
        filled, count, shard = emptiest[0]
        packed[shard].append(index)
        loads[shard] += costs[index]
        if count + 1 < room:
            heapq.heapreplace(emptiest, (filled + costs[index], count + 1, shard))
        else:
            heapq.heappop(emptiest)
    longest_first = sorted(
        (-load, sorted(members)) for load, members in zip(loads, packed, strict=True) if members
    )
    return [members for _, members in longest_first]


def _lengths(costs: Sequence[float], shards: int, mean: float) -> list[float]:
    """What each shard is to take, falling; only how they differ matters to `pack`."""
    if mean == 1:
        return [0.0] * shards  # exactly alike, whatever rounding would do
    shares = np.linspace(1, 2 * mean - 1, shards)
    lengths: list[float] = (shares * (math.fsum(costs) / shares.sum())).tolist()
    return lengths
