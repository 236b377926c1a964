"""Slots as array jobs: dense ranges of equal shape, within what one array may hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from slidearray.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slidearray.core.shapes import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayJob:
    """One submission: slots ``offset`` to ``offset + count - 1`` of an attempt."""

    index: int  # which split of the attempt
    name: str  # at most 15 characters: what the scheduler calls it, and finds it by
    offset: int
    count: int
    shape: Shape
    array: str | None = None  # range of task numbers, from 0, with its throttle; None: a plain job
    after: int | None = None  # index of the split that has to end first


def split(shapes: Sequence[Shape], *, limit: int, token: str, attempt: int) -> list[ArrayJob]:
    """The fewest jobs of at most `limit` slots that cover all slots, none across two shapes.

    Parameters
    ----------
    shapes
        Shape of each slot; equal ones are together.
    limit
        Slots that one job may have.
    token
        What tells this run's jobs from others', at most 6 characters.
    attempt
        Number of the attempt.
    """
    return [
        ArrayJob(
            index=index,
            name=f"sa{token}-{np.base_repr(attempt, 36)}-{np.base_repr(index, 36)}".lower(),
            offset=offset,
            count=count,
            shape=shapes[offset],
        )
        for index, (offset, count) in enumerate(_ranges(shapes, limit=limit))
    ]


def array_jobs(
    shapes: Sequence[Shape],
    *,
    limit: int,
    max_running: int | None,
    token: str,
    attempt: int,
    lone_plain: bool = False,
) -> list[ArrayJob]:
    """Jobs for all slots, with a throttle that holds over all of them together.

    Parameters
    ----------
    shapes
        Shape of each slot; equal ones are together.
    limit
        Tasks that one array may have; 0: there are no arrays, each slot is a plain job.
    max_running
        Slots that may run at once; None: all of them. Where jobs outnumber it, they are chained.
    token, attempt
        As for `split`.
    lone_plain
        An array of one task cannot be had.
    """
    jobs = split(shapes, limit=max(limit, 1), token=token, attempt=attempt)
    total = max_running
    if total is not None and total < len(jobs):
        jobs = chained(jobs, lanes=total)
        total = len(jobs)  # one each; the chains keep it to as many as there are lanes
    if limit == 0:
        return jobs
    counts = [job.count for job in jobs]
    shares = counts if total is None else throttles(counts, total=total)
    return [
        job if lone_plain and job.count == 1 else replace(job, array=_range(job.count, share))
        for job, share in zip(jobs, shares, strict=True)
    ]


def _range(count: int, throttle: int) -> str:
    return f"0-{count - 1}" if throttle >= count else f"0-{count - 1}%{throttle}"


def _ranges(shapes: Sequence[Shape], *, limit: int) -> Iterator[tuple[int, int]]:
    offset = 0
    for _, group in groupby(shapes):
        end = offset + len(list(group))
        for begin in range(offset, end, limit):
            yield begin, min(limit, end - begin)
        offset = end


def check_range(asked: Sequence[str], array: str | None, *, source: str) -> None:
    """See that a script asks for the tasks of its job, whatever its throttle.

    Parameters
    ----------
    asked
        The ranges that stand in the script.
    array
        The job's range; None: a plain job.
    source
        Where the script comes from, for messages.

    Raises
    ------
    RunError
        Slots would have no task, or tasks no slot.
    """
    spans = [text.partition("%")[0] for text in asked]
    wanted = [] if array is None else [array.partition("%")[0]]
    if spans != wanted:
        found = " and ".join(asked) or "no range"
        raise RunError(
            f"{source}: asks for {found} where this job has {array or 'one task, without an array'}"
            ": write the range as {{ array }}, where that is not none, as our own templates do"
        )


def advance_name(token: str, attempt: int) -> str:
    """Name of the job behind an attempt's arrays; no array's name is like it."""
    return f"sv{token}-{np.base_repr(attempt, 36)}".lower()


def chained(jobs: Sequence[ArrayJob], *, lanes: int) -> list[ArrayJob]:
    """Each job behind the one `lanes` before it, so that at most `lanes` of them run at once."""
    return [replace(job, after=job.index - lanes if job.index >= lanes else None) for job in jobs]


def throttles(counts: Sequence[int], *, total: int) -> list[int]:
    """How many tasks of each job may run at once, `total` over all of them.

    A job that cannot use its equal share leaves the rest to the others.

    Examples
    --------
    >>> throttles([1001, 10, 1001], total=50)
    [20, 10, 20]
    """
    shares = [0] * len(counts)
    left = total
    for rank, index in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        shares[index] = min(counts[index], left // (len(counts) - rank))
        left -= shares[index]
    return shares
