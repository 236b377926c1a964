"""What a PBS server has is read as it is meant, and what more a profile wants is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.jobs import profile
from tests.schedulers.pbs_site import OPEN, RECORDED, problems, surveyed

from slidearray.errors import SchedulerError
from slidearray.schedulers.pbs_parts import Person, max_queued
from slidearray.schedulers.pbs_survey import survey

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_a_recorded_server_is_read() -> None:
    def tell(argv: Sequence[str]) -> str:
        return (RECORDED / f"{'server' if '-B' in argv else 'queues'}.json").read_text()

    found = survey(tell, user="me")
    assert (found.name, found.version) == ("pbshost", "23.06.06")
    assert found.problems(profile(scheduler="pbs")) == []
    assert found.limits(profile(scheduler="pbs")).max_array_size == 10000
    assert ("queue", "workq: default; no limit") in found.offers(profile(scheduler="pbs"))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"walltime": "47:00:00", "memory": "16G", "cpus_per_task": 8}, []),
        ({"walltime": "01:00:00", "memory": "64G", "cpus_per_task": 16}, []),  # in `short`
        ({"walltime": "49:00:00"}, ["walltime: 49:00:00 | at most 48:00:00"]),
        (
            {"walltime": "40:00:00", "cpus_per_task": 16},
            [
                "queue: 40:00:00, 16 CPUs, 1024M together | long: at most 48:00:00, 8 CPUs, "
                "16384M, short: at most 02:00:00"
            ],
        ),
        ({"queue": "long"}, ["walltime: 01:00:00 | at least 02:00:01"]),
        (
            {"queue": "nope"},
            ["queue: nope | away, gpu, labs, long, own, route"],
        ),
        (
            {"queue": "short"},
            [
                "queue: short, which takes jobs from a routing queue only | "
                "away, gpu, labs, long, own, route"
            ],
        ),
        ({"queue": "away", "walltime": "900:00:00"}, []),  # another server's limits
        ({"queue": "labs", "group": "lab"}, []),
        ({"queue": "gpu", "gpus": 2, "constraint": "gpu_type=h100"}, []),
        ({"queue": "gpu", "gpus": 3}, ["gpus: 3 | at most 2"]),
        (
            {"queue": "own", "memory": "9G"},
            ["memory: 9216M | at most 8192M, as the largest node has"],
        ),
        (
            {"queue": "own", "gpus": 1},
            ["gpus: 1 | none: no node has ngpus; what the site calls them goes into `constraint`"],
        ),
        (
            {"queue": "gpu", "cpus_per_task": 65, "memory": "200G"},
            [
                "cpus_per_task: 65 | at most 64, as the largest node has",
                "memory: 204800M | at most 131072M, as the largest node has",
            ],
        ),
        (
            {"queue": "gpu", "gpus": 2, "constraint": "gpu_type=v100"},
            ["constraint: gpu_type=v100 | gpu_type=a100, gpu_type=h100"],
        ),
        (
            {"queue": "gpu", "constraint": "gpu_model=a100"},
            ["constraint: gpu_model, which no node has | Qlist, gpu_type"],
        ),
        ({"queue": "own", "constraint": "big=True:host=n3"}, []),
        ({"queue": "gpu", "constraint": "host=n3"}, ["constraint: host=n3 | host=n2, host=n4"]),
        (
            {"queue": "gpu", "max_array_size": 51},
            [
                "max_array_size: 51 | at most 50, the max_array_size of the server and its queues; "
                "or auto"
            ],
        ),
        ({"queue": "gpu", "max_array_size": 50}, []),
    ],
)
def test_what_a_profile_cannot_have_is_told(keys: dict[str, Any], expected: list[str]) -> None:
    assert problems(surveyed(), **keys) == expected


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        ("closed", "takes no jobs now"),
        ("stopped", "starts no jobs now"),
        ("theirs", "is not open to me"),
    ],
)
def test_a_queue_that_takes_no_jobs_of_ours_is_told(queue: str, why: str) -> None:
    (told,) = problems(surveyed(), queue=queue)
    assert why in told


@pytest.mark.parametrize(
    ("entries", "admitted"),
    [
        ("me", True),
        ("me@*", True),
        ("bob,me@login.site", True),
        ("+me@*.site", True),
        ("bob", False),
        ("bob,-me@*,+", False),
        ("-bob,+", True),
        ("+,-", False),
    ],
)
def test_a_list_of_users_lets_in_those_that_it_names(entries: str, admitted: bool) -> None:
    listed = {**OPEN, "acl_user_enable": "True", "acl_users": entries}
    told = problems(surveyed(queues={"listed": listed}), queue="listed")
    assert [line.partition(" |")[0] for line in told] == (
        [] if admitted else ["queue: listed, which is not open to me"]
    )


def test_a_group_that_a_queue_does_not_take_is_told() -> None:
    (told,) = problems(surveyed(), queue="labs", group="others")
    assert told.startswith("queue: labs, which is not open to me")


def test_the_job_behind_the_arrays_is_looked_at_too() -> None:
    advance = {"queue": "gpu", "walltime": "01:00:00", "constraint": "gpu_type=x"}
    assert problems(surveyed(), advance_job=advance) == [
        "advance_job.constraint: gpu_type=x | gpu_type=a100, gpu_type=h100"
    ]


def test_the_job_behind_the_arrays_goes_where_they_go_unless_it_names_a_queue() -> None:
    keys = {"queue": "long", "walltime": "03:00:00"}
    assert problems(surveyed(), **keys, advance_job={"walltime": "00:30:00"}) == [
        "advance_job.walltime: 00:30:00 | at least 02:00:01"
    ]
    elsewhere = {"queue": "route", "walltime": "00:30:00"}
    assert problems(surveyed(), **keys, advance_job=elsewhere) == []


def test_without_a_default_a_queue_has_to_be_named() -> None:
    told = problems(surveyed(server={"default_queue": None}))
    assert told == ["queue: none, and no default | away, gpu, labs, long, own, route"]


def test_limits_of_the_server_hold_where_the_queue_has_none() -> None:
    found = surveyed(server={"resources_max": {"walltime": "10:00:00", "ncpus": 4}})
    assert problems(found, queue="own", walltime="11:00:00") == [
        "walltime: 11:00:00 | at most 10:00:00"
    ]
    assert problems(found, queue="long", walltime="11:00:00", cpus_per_task=8) == []


def test_nodes_that_nobody_tells_of_are_not_checked_and_that_is_said() -> None:
    found = surveyed(nodes=None)
    assert problems(found, queue="own", memory="9T", gpus=4, constraint="a=b") == []
    assert any("nodes are not checked" in line for line in found.unchecked())
    assert found.limits(profile(scheduler="pbs", queue="own")).max_memory_mb is None


def test_a_server_that_does_not_answer_is_an_error() -> None:
    def tell(argv: Sequence[str]) -> str:
        raise SchedulerError("qstat: cannot connect to server pbshost (errno=15010)")

    with pytest.raises(SchedulerError, match="cannot connect"):
        survey(tell, user="me")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        # max_array_size, max_submit, max_memory_mb, max_walltime_s
        ({"queue": "gpu"}, (50, 70, 131072, None)),
        ({"queue": "gpu", "group": "lab"}, (50, 60, 131072, None)),
        ({"queue": "gpu", "group": "lab", "project": "p1"}, (50, 30, 131072, None)),
        ({"queue": "long"}, (10000, None, 16384, 172800)),
        ({}, (10000, None, 131072, 172800)),
        ({"queue": "own"}, (10000, None, 8192, None)),
        ({"queue": "nope"}, (None, None, None, None)),
    ],
)
def test_limits_are_those_that_surely_hold(keys: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = surveyed().limits(profile(scheduler="pbs", **keys))
    told = (found.max_array_size, found.max_submit, found.max_memory_mb, found.max_walltime_s)
    assert told == expected
    assert (found.nodes, found.fault) == (None, "")


def test_limits_of_the_server_and_of_the_queue_hold_together() -> None:
    found = surveyed(server={"max_queued": "[u:PBS_GENERIC=20]", "max_array_size": 10})
    told = found.limits(profile(scheduler="pbs", queue="gpu"))
    assert (told.max_submit, told.max_array_size) == (20, 10)


def test_what_there_is_is_offered() -> None:
    offers = surveyed().offers(profile(scheduler="pbs", queue="gpu"))
    assert ("queue", "route: default; goes on to short, long") in offers
    assert (
        "queue",
        "gpu: at most 2 GPUs; 1 node of 64 CPUs, 131072M, 4 GPUs; "
        "1 node of 16 CPUs, 32768M, 8 GPUs",
    ) in offers
    assert ("queue", "closed: not enabled; no limit; 1 node of 16 CPUs, 65536M; 1 node of 64 CPUs, "
            "131072M, 4 GPUs; 1 node of 16 CPUs, 32768M, 8 GPUs") in offers  # fmt: skip
    assert ("constraint", "gpu_type=a100, h100") in offers
    assert ("constraint", "big=True") in offers
    assert ("max_array_size", "auto is 50 here") in offers
    assert ("shards.max_tasks", "up to 70 (of the config): so many may be queued") in offers


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, []),
        ({"max_queued": "[u:PBS_GENERIC=5]"}, [5]),
        ({"max_queued": "[u:PBS_GENERIC=5],[u:me=7]"}, [7]),
        ({"max_queued": "[u:bob=7]"}, []),
        ({"max_queued": "[o:PBS_ALL=9], [g:PBS_GENERIC=3]"}, [9]),
        ({"queued_jobs_threshold": "[u:PBS_GENERIC=5]", "max_queuable": 3}, [3, 5]),
    ],
)
def test_limits_of_a_person_beat_those_of_everybody(
    attributes: dict[str, Any], expected: list[int]
) -> None:
    assert sorted(max_queued(attributes, Person(user="me"))) == expected
