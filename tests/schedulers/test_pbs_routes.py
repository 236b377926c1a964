"""A routing queue takes what it and one of its destinations take: PBS aborts the rest later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.jobs import profile
from tests.schedulers.pbs_site import OPEN, problems, surveyed

if TYPE_CHECKING:
    from slidearray.core.queue import QueueLimits


def queue(**attributes: Any) -> dict[str, Any]:
    return {**OPEN, **attributes}


def route(*destinations: str, **attributes: Any) -> dict[str, Any]:
    return queue(queue_type="Route", route_destinations=",".join(destinations), **attributes)


QUEUES = {
    "in": route("few", "many", resources_max={"walltime": "10:00:00"}, max_array_size=500),
    "few": queue(max_array_size=20, resources_max={"mem": "4gb"}),
    "many": queue(max_array_size=900, resources_max={"walltime": "02:00:00"}),
    "deep": route("in", resources_min={"ncpus": 2}, resources_max={"walltime": "05:00:00"}),
    "round": route("back"),
    "back": route("round", "few"),
}


def limits(name: str, **keys: Any) -> QueueLimits:
    return surveyed(queues=QUEUES).limits(profile(scheduler="pbs", queue=name, **keys))


@pytest.mark.parametrize(
    ("keys", "most"),
    [
        ({"queue": "few"}, 20),
        ({"queue": "in"}, 500),  # of itself: `many` takes more
        ({"queue": "in", "walltime": "03:00:00"}, 20),  # `many` does not take that
        ({"queue": "round"}, 20),
    ],
)
def test_an_array_has_the_tasks_that_every_queue_on_its_way_takes(
    keys: dict[str, Any], most: int
) -> None:
    found = surveyed(queues=QUEUES)
    assert found.limits(profile(scheduler="pbs", **keys)).max_array_size == most
    assert problems(found, **keys, max_array_size=most) == []
    (told,) = problems(found, **keys, max_array_size=most + 1)
    assert told.startswith(f"max_array_size: {most + 1} | at most {most}, ")


def test_an_array_may_have_the_tasks_that_the_largest_destination_takes() -> None:
    queues = {**QUEUES, "in": route("few", "many")}
    found = surveyed(queues=queues).limits(profile(scheduler="pbs", queue="in"))
    assert found.max_array_size == 900


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"queue": "in", "walltime": "10:00:00"}, []),
        ({"queue": "in", "walltime": "11:00:00"}, ["walltime: 11:00:00 | at most 10:00:00"]),
        ({"queue": "deep", "cpus_per_task": 2, "walltime": "05:00:00"}, []),
        ({"queue": "deep"}, ["cpus_per_task: 1 | at least 2"]),
        (
            {"queue": "deep", "cpus_per_task": 2, "walltime": "06:00:00"},
            ["walltime: 06:00:00 | at most 05:00:00"],
        ),
        (
            {"queue": "in", "walltime": "03:00:00", "memory": "5G"},
            [
                "queue: 03:00:00, 1 CPUs, 5120M together | "
                "few: at most 10:00:00, 4096M, many: at most 02:00:00"
            ],
        ),
        ({"queue": "round", "walltime": "90:00:00"}, []),
    ],
)
def test_limits_of_every_queue_on_the_way_hold(keys: dict[str, Any], expected: list[str]) -> None:
    assert problems(surveyed(queues=QUEUES), **keys) == expected


def test_the_least_of_every_queue_on_the_way_holds() -> None:
    queues = {
        "in": route("one", resources_min={"walltime": "03:00:00"}),
        "one": queue(resources_min={"walltime": "02:00:00"}),
    }
    told = problems(surveyed(queues=queues), queue="in", walltime="02:30:00")
    assert told == ["walltime: 02:30:00 | at least 03:00:00"]


@pytest.mark.parametrize(
    ("name", "keys", "most_s"),
    [
        ("in", {}, 36000),
        ("deep", {"cpus_per_task": 2}, 18000),
        ("in", {"memory": "5G"}, 7200),  # `few` would abort it, however long
        ("many", {}, 7200),
        ("few", {}, None),
    ],
)
def test_no_more_time_is_asked_for_than_a_way_gives(
    name: str, keys: dict[str, Any], most_s: int | None
) -> None:
    assert limits(name, **keys).max_walltime_s == most_s


def test_no_more_time_is_asked_for_than_the_server_gives() -> None:
    found = surveyed(server={"resources_max": {"walltime": "10:00:00"}}, queues=QUEUES)
    assert found.limits(profile(scheduler="pbs", queue="few")).max_walltime_s == 36000


def test_no_more_memory_is_asked_for_than_a_way_gives() -> None:
    assert limits("in").max_memory_mb == 131072  # by `many`
    assert limits("in", walltime="03:00:00").max_memory_mb == 4096


def test_the_way_to_another_server_is_limited_here_only() -> None:
    queues = {
        "in": route("small", "q@elsewhere", resources_max={"walltime": "10:00:00"}),
        "small": queue(resources_max={"walltime": "01:00:00"}, max_array_size=20),
        "default": route("@elsewhere"),
    }
    found = surveyed(queues=queues)
    keys = {"queue": "in", "cpus_per_task": 999, "constraint": "kind=theirs"}
    assert problems(found, **keys, walltime="10:00:00") == []
    assert problems(found, **keys, walltime="11:00:00") == ["walltime: 11:00:00 | at most 10:00:00"]
    assert problems(found, queue="default", walltime="90:00:00") == []
    told = found.limits(profile(scheduler="pbs", queue="in"))
    assert (told.max_array_size, told.max_walltime_s) == (10000, 36000)


def test_a_destination_that_does_not_admit_a_person_takes_none_of_their_jobs() -> None:
    theirs = {"acl_user_enable": "True", "acl_users": "bob"}
    queues = {
        "in": route("small", "large"),
        "small": queue(resources_max={"walltime": "01:00:00"}),
        "large": queue(**theirs),
        "shut": route("large"),
    }
    found = surveyed(queues=queues)
    told = problems(found, queue="in", walltime="02:00:00")
    assert told == ["walltime: 02:00:00 | at most 01:00:00"]
    (told_too,) = problems(found, queue="shut", constraint="kind=any")
    assert told_too.startswith("queue: shut, which goes on to no queue that is open to me | ")


def test_what_a_routing_queue_itself_takes_is_offered() -> None:
    offers = surveyed(queues=QUEUES).offers(profile(scheduler="pbs", queue="in"))
    assert ("queue", "in: goes on to few, many; at most 10:00:00") in offers
    assert ("max_array_size", "auto is 500 here") in offers
