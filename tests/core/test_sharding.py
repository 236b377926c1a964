from __future__ import annotations

import heapq
import random
from itertools import chain, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.config import ShardsConfig
from slidearray.core.sharding import LEAST_MEAN, deal, pack, shard_count, task_ceiling

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
    assert deal([], ShardsConfig()) == []


@given(COSTS, st.integers(1, 20), st.floats(LEAST_MEAN, 1))
def test_shards_of_falling_length_hold_every_slide_once_and_none_is_empty(
    costs: list[float], shards: int, mean: float
) -> None:
    packed = pack(costs, shards, mean=mean)
    assert sorted(chain(*packed)) == list(range(len(costs)))
    assert len(packed) <= min(shards, len(costs))
    assert all(packed)
    totals = loads(costs, packed)
    assert all(a >= b - 1e-6 for a, b in pairwise(totals))


def test_lengths_fall_from_the_longest_to_a_tenth_of_it() -> None:
    totals = loads([1.0] * 11_000, pack([1.0] * 11_000, 20, mean=LEAST_MEAN))
    assert totals[0] == pytest.approx(1000, abs=1)
    assert totals[-1] == pytest.approx(100, abs=1)
    steps = [a - b for a, b in pairwise(totals)]
    assert max(steps) - min(steps) <= 2


@pytest.mark.parametrize(
    ("full", "slides", "max_tasks", "count"),
    [
        (0.0, 100, 1000, 1),
        (0.9, 100, 1000, 1),
        (1.0, 100, 1000, 1),
        (5.5, 100, 1000, 10),
        (5.6, 100, 1000, 11),
        (5.5, 7, 1000, 7),
        (5.5, 100, 8, 8),
        (5.5, 100, 2, 2),
        (5.5, 0, 100, 0),
    ],
)
def test_there_are_more_shards_than_full_ones_within_slides_and_ceiling(
    full: float, slides: int, max_tasks: int, count: int
) -> None:
    assert shard_count(full, slides=slides, max_tasks=max_tasks) == count


@given(
    st.lists(st.floats(0, 1e4), min_size=1, max_size=50),
    st.just("auto") | st.integers(1, 9),
    st.integers(1, 30),
    st.integers(1, 9),
)
def test_a_config_is_kept_whatever_the_slides_are(
    seconds: list[float], slides_per_task: int | str, max_tasks: int, at_least: int
) -> None:
    shards = ShardsConfig.model_validate(
        {"target_minutes": 1, "max_tasks": max_tasks, "slides_per_task": slides_per_task}
    )
    dealt = deal(seconds, shards, at_least=at_least)
    assert sorted(chain(*dealt)) == list(range(len(seconds)))
    assert all(dealt)
    assert 1 <= len(dealt) <= min(len(seconds), max_tasks)
    if isinstance(slides_per_task, int) and max_tasks >= len(seconds):
        assert max(map(len, dealt)) <= slides_per_task
    if slides_per_task == "auto" and max_tasks >= len(seconds):
        assert max(loads(seconds, dealt)) <= max(60.0, 60 + max(seconds)) + 1e-6


def test_where_the_ceiling_leaves_no_room_for_short_shards_all_are_alike() -> None:
    seconds = [1.0] * 6000
    free = loads(seconds, deal(seconds, ShardsConfig(target_minutes=1)))
    some = loads(seconds, deal(seconds, ShardsConfig(target_minutes=1, max_tasks=120)))
    none = loads(seconds, deal(seconds, ShardsConfig(target_minutes=1, max_tasks=50)))
    assert (len(free), len(some), len(none)) == (182, 120, 50)
    assert (max(free), max(some), max(none)) == pytest.approx((60, 60, 120), abs=1)
    assert (min(free), min(some), min(none)) == pytest.approx((6, 40, 120), abs=1)


def test_however_many_run_at_once_the_last_ends_soon_after_the_others() -> None:
    rng = random.Random(1)
    seconds = [rng.lognormvariate(4, 1) for _ in range(3000)]
    real = [second * rng.lognormvariate(0, 0.3) for second in seconds]
    dealt = deal(seconds, ShardsConfig())
    for at_once in (3, 10, 30, 60):
        running = [0.0] * at_once
        for length in loads(real, dealt):
            heapq.heapreplace(running, running[0] + length)
        assert max(running) <= 1.05 * max(sum(real) / at_once, max(real))


@pytest.mark.parametrize(
    ("max_array", "max_submit", "tasks"),
    [
        (None, None, 1000),
        (1001, None, 1000),
        (None, 10, 8),  # two for the job that goes on, and the one after it
        (None, 5000, 1000),
        (5, None, 500),  # a hundred splits
        (0, None, 100),  # plain jobs
        (5, 60, 58),
        (None, 1, 1),
    ],
)
def test_tasks_keep_within_what_the_scheduler_takes(
    max_array: int | None, max_submit: int | None, tasks: int
) -> None:
    assert task_ceiling(1000, max_array=max_array, max_submit=max_submit) == tasks


@pytest.mark.parametrize(
    ("shards", "at_least", "expected"),
    [
        ({}, 1, [[0, 1, 2, 3]]),
        ({}, 2, [[0, 2], [1], [3]]),
        ({"max_tasks": 2}, 2, [[0, 3], [1, 2]]),
        ({"target_minutes": 1}, 1, [[0], [1], [2], [3]]),
        ({"target_minutes": 1, "max_tasks": 2}, 1, [[0, 3], [1, 2]]),
        ({"slides_per_task": 2}, 4, [[0, 3], [1, 2]]),
        ({"slides_per_task": 1, "max_tasks": 2}, 1, [[0, 3], [1, 2]]),
    ],
)
def test_slides_are_dealt_as_the_config_asks(
    shards: dict[str, object], at_least: int, expected: list[list[int]]
) -> None:
    config = ShardsConfig.model_validate(shards)
    assert deal([58.0, 57.0, 56.0, 55.0], config, at_least=at_least) == expected
