from __future__ import annotations

from itertools import chain, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.config import ShardsConfig
from slidearray.core.sharding import deal, pack, shard_count

COSTS = st.lists(st.floats(0, 1e6), max_size=60)


def loads(costs: list[float], shards: list[list[int]]) -> list[float]:
    return [sum(costs[i] for i in shard) for shard in shards]


@given(COSTS, st.integers(1, 20), st.none() | st.integers(1, 20))
def test_every_slide_is_in_one_shard_and_no_shard_is_empty(
    costs: list[float], shards: int, capacity: int | None
) -> None:
    packed = pack(costs, shards, capacity=capacity)
    assert sorted(chain(*packed)) == list(range(len(costs)))
    assert len(packed) == min(shards, len(costs))
    assert all(packed)


@given(COSTS, st.integers(1, 20))
def test_the_longest_shard_comes_first_and_slides_keep_their_order(
    costs: list[float], shards: int
) -> None:
    packed = pack(costs, shards)
    totals = loads(costs, packed)
    assert all(a >= b - 1e-6 for a, b in pairwise(totals))
    assert all(shard == sorted(shard) for shard in packed)


@given(COSTS, st.integers(1, 8), st.integers(1, 20))
def test_no_shard_takes_more_slides_than_its_capacity(
    costs: list[float], shards: int, capacity: int
) -> None:
    needed = -(-len(costs) // shards)
    assert all(
        len(shard) <= max(capacity, needed) for shard in pack(costs, shards, capacity=capacity)
    )


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=7), st.integers(1, 3))
def test_the_longest_shard_is_at_most_a_third_over_the_best_possible(
    costs: list[float], shards: int
) -> None:
    best = min(
        max(sum(c for c, s in zip(costs, where, strict=True) if s == k) for k in range(shards))
        for where in product(range(shards), repeat=len(costs))
    )
    # Graham 1969: 4/3 - 1/(3 shards) of the best.
    assert max(loads(costs, pack(costs, shards))) <= best * (4 / 3 - 1 / (3 * shards)) + 1e-9


def test_packing_is_the_same_for_the_same_costs_and_ties_go_by_index() -> None:
    assert pack([1, 1, 1, 1], 2) == [[0, 2], [1, 3]]
    assert pack([5, 1, 4, 2], 2) == [[0, 1], [2, 3]]
    assert pack([0, 0, 0], 2) == [[0, 2], [1]]


def test_without_slides_there_are_no_shards() -> None:
    assert pack([], 3) == []
    assert count([]) == 0


def count(
    seconds: list[float],
    *,
    slides_per_task: int | None = None,
    max_tasks: int = 1000,
    at_least: int = 1,
) -> int:
    return shard_count(
        seconds=seconds,
        target_seconds=60,
        slides_per_task=slides_per_task,
        max_tasks=max_tasks,
        at_least=at_least,
    )


@pytest.mark.parametrize(
    ("seconds", "changes", "shards"),
    [
        ([30.0] * 4, {}, 2),
        ([30.0] * 5, {}, 3),
        ([600.0], {}, 1),  # a slide is never split
        ([600.0, 600.0], {}, 2),
        ([1.0] * 100, {"max_tasks": 1}, 1),
        ([60.0] * 100, {"max_tasks": 7}, 7),
        ([1.0] * 10, {"at_least": 4}, 4),
        ([1.0] * 3, {"at_least": 4}, 3),
        ([1.0] * 10, {"at_least": 4, "max_tasks": 2}, 2),
        ([60.0] * 10, {"at_least": 4}, 10),
        ([600.0] * 10, {"slides_per_task": 4}, 3),
        ([1.0] * 10, {"slides_per_task": 1}, 10),
        ([1.0] * 10, {"slides_per_task": 5, "at_least": 4}, 2),
        ([1.0] * 10, {"slides_per_task": 1, "max_tasks": 4}, 4),
        ([0.0, 0.0], {}, 1),
    ],
)
def test_the_number_of_shards_follows_the_config(
    seconds: list[float], changes: dict[str, int], shards: int
) -> None:
    assert count(seconds, **changes) == shards


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=50),
    st.none() | st.integers(1, 9),
    st.integers(1, 30),
)
def test_a_shard_is_never_empty_and_tasks_keep_below_their_ceiling(
    seconds: list[float], slides_per_task: int | None, max_tasks: int
) -> None:
    shards = count(seconds, slides_per_task=slides_per_task, max_tasks=max_tasks)
    assert 1 <= shards <= min(len(seconds), max_tasks)


@pytest.mark.parametrize(
    ("shards", "at_least", "expected"),
    [
        ({}, 1, [[0, 1, 2, 3]]),
        ({}, 2, [[0, 3], [1, 2]]),
        ({"target_minutes": 1}, 1, [[0], [1], [2], [3]]),
        ({"target_minutes": 1, "max_tasks": 2}, 1, [[0, 3], [1, 2]]),
        ({"slides_per_task": 2}, 4, [[0, 3], [1, 2]]),
    ],
)
def test_slides_are_dealt_as_the_config_asks(
    shards: dict[str, object], at_least: int, expected: list[list[int]]
) -> None:
    config = ShardsConfig.model_validate(shards)
    assert deal([58.0, 57.0, 56.0, 55.0], config, at_least=at_least) == expected
