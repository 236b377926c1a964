from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.profile import Profile, parse_profile
from slidearray.core.queue import QueueLimits
from slidearray.core.shapes import Shape
from slidearray.errors import RunError
from slidearray.schedulers.answers import Accepted
from slidearray.schedulers.dialect import dialect_for, queue_dialect_for
from slidearray.storage.configs import load_profile

if TYPE_CHECKING:
    from slidearray.schedulers.arrays import ArrayJob

SMALL = Shape(cpus=1, memory_mb=1024, walltime_s=60)
LARGE = Shape(cpus=1, memory_mb=2048, walltime_s=60)
OTHER = Shape(cpus=4, memory_mb=2048, walltime_s=60)

LOCAL = load_profile("local", project=Path("/nowhere"))

NOT_ASKED = QueueLimits(max_array_size=None, max_array_tasks=None, max_submit=None)


def slurm(**keys: object) -> Profile:
    raw = {"version": 1, "scheduler": "slurm", "walltime": 60, "memory": "1G", **keys}
    return parse_profile(raw, source="p.yaml", name="p")


def arrays(
    shapes: list[Shape], profile: Profile, *, attempt: int = 1, limits: QueueLimits = NOT_ASKED
) -> list[ArrayJob]:
    return dialect_for(profile).arrays(
        shapes, profile=profile, token="abc123", attempt=attempt, limits=limits
    )


def parsed(array: str) -> tuple[int, int | None]:
    """Last index and throttle of a range that begins at 0."""
    match = re.fullmatch(r"0-([0-9]+)(?:%([1-9][0-9]*))?", array)
    assert match
    return int(match[1]), int(match[2]) if match[2] else None


def at_once(jobs: list[ArrayJob]) -> int:
    """Most tasks that may run at the same time; a job and those behind it never do."""
    lanes: dict[int, int] = {}
    lane_of: dict[int, int] = {}
    for job in jobs:
        lane = lane_of[job.index] = job.index if job.after is None else lane_of[job.after]
        throttle = parsed(job.array)[1] if job.array else None
        lanes[lane] = max(lanes.get(lane, 0), throttle or job.count)
    return sum(lanes.values())


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    limit=st.sampled_from(["auto", 0, 1, 7, 40]),
    running=st.none() | st.integers(1, 60),
)
def test_jobs_cover_all_slots_once_within_every_limit(
    counts: list[int], limit: int | str, running: int | None
) -> None:
    profile = slurm(max_array_size=limit, max_running=running)
    kinds = (SMALL, LARGE, OTHER)
    shapes = [shape for shape, count in zip(kinds, counts, strict=False) for _ in range(count)]
    jobs = arrays(shapes, profile)
    slots = [job.offset + task for job in jobs for task in range(job.count)]
    assert slots == list(range(len(shapes)))
    assert [job.index for job in jobs] == list(range(len(jobs)))
    for job in jobs:
        assert {shapes[job.offset + task] for task in range(job.count)} == {job.shape}
        if job.array is None:
            assert (limit, job.count) == (0, 1)
        else:
            assert parsed(job.array)[0] == job.count - 1
            assert job.count <= (1001 if limit == "auto" else int(limit))
    if running is not None:
        assert at_once(jobs) <= running


def test_the_usual_limit_allows_indices_up_to_1000() -> None:
    assert [job.array for job in arrays([SMALL] * 1001, slurm())] == ["0-1000"]
    jobs = arrays([SMALL] * 1002, slurm())
    assert [(job.array, job.offset) for job in jobs] == [("0-1000", 0), ("0-0", 1001)]


@pytest.mark.parametrize(
    ("size", "tasks", "asked", "expected"),
    [
        (5, None, "auto", 5),  # MaxArraySize 5 allows 0 to 4
        (1001, 3, "auto", 3),
        (2, 3, "auto", 2),
        (None, 3, "auto", 3),
        (5, 3, 10, 10),  # a profile's number is used as it is
        (5, 3, 2, 2),
    ],
)
def test_what_the_cluster_takes_splits_the_slots(
    size: int | None, tasks: int | None, asked: int | str, expected: int
) -> None:
    limits = replace(NOT_ASKED, max_array_size=size, max_array_tasks=tasks)
    jobs = arrays([SMALL] * 11, slurm(max_array_size=asked), limits=limits)
    assert max(job.count for job in jobs) == expected
    assert sum(job.count for job in jobs) == 11


def test_a_cluster_without_arrays_gets_plain_jobs() -> None:
    jobs = arrays([SMALL] * 2, slurm(), limits=replace(NOT_ASKED, max_array_size=0))
    assert [(job.array, job.count) for job in jobs] == [(None, 1), (None, 1)]


def test_a_throttle_is_shared_by_the_splits_of_an_attempt() -> None:
    jobs = arrays([SMALL] * 20 + [LARGE] * 2, slurm(max_array_size=10, max_running=12))
    assert [job.array for job in jobs] == ["0-9%5", "0-9%5", "0-1"]
    assert [job.after for job in jobs] == [None, None, None]


def test_splits_that_outnumber_the_throttle_are_chained() -> None:
    jobs = arrays([SMALL] * 10, slurm(max_array_size=2, max_running=2))
    assert [job.array for job in jobs] == ["0-1%1"] * 5
    assert [job.after for job in jobs] == [None, None, 0, 1, 2]


def test_plain_jobs_are_chained_too() -> None:
    jobs = arrays([SMALL] * 3, slurm(max_array_size=0, max_running=1))
    assert [(job.array, job.after) for job in jobs] == [(None, None), (None, 0), (None, 1)]


@pytest.mark.parametrize("attempt", [1, 35, 99])
def test_names_are_short_unique_and_tell_run_and_attempt(attempt: int) -> None:
    names = [job.name for job in arrays([SMALL] * 1500, slurm(max_array_size=0), attempt=attempt)]
    assert len(set(names)) == 1500
    assert max(map(len, names)) <= 15
    assert all(re.fullmatch(r"saabc123-[0-9a-z]+-[0-9a-z]+", name) for name in names)


def test_slurm_is_told_to_hold() -> None:
    first, second = arrays([SMALL] * 2, slurm(max_array_size=1, max_running=1))
    script = Path("/run/a b.sh")
    dialect = dialect_for(slurm())
    held = ["sbatch", "--parsable", "--hold", "--job-name=saabc123-1-0", "/run/a b.sh"]
    assert dialect.submission(first, script) == held
    assert "--dependency=afterany:{array id of 0}" in dialect.submission(second, script)


def test_a_job_is_put_behind_others_however_they_end() -> None:
    dialect = queue_dialect_for(slurm())
    assert dialect.submit_argv(Path("/v.sh"), name="sv", after=["7", "8"], held=False) == [
        "sbatch", "--parsable", "--job-name=sv", "--dependency=afterany:7:8", "/v.sh",
    ]  # fmt: skip
    assert dialect.submit_argv(Path("-x.sh"), name="s", held=False)[-1] == "./-x.sh"


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ("1234\n", Accepted(job_id="1234")),
        ("1234;east\n", Accepted(job_id="1234", cluster="east")),
        ("Welcome\n1234\n  \nBye\n", Accepted(job_id="1234")),
        ("2026\n1234\n", Accepted(job_id="1234")),
        ("Submitted batch job 1234\n", None),
        ("1234 5\n", None),
        ("", None),
    ],
)
def test_the_id_is_the_last_line_that_is_one(stdout: str, expected: Accepted | None) -> None:
    assert queue_dialect_for(slurm()).parse_accepted(stdout) == expected


@pytest.mark.parametrize(
    ("line", "overruled"),
    [
        ("#SBATCH --partition=gpu", ["SBATCH_PARTITION"]),
        ("#SBATCH -p gpu", ["SBATCH_PARTITION"]),
        ("#SBATCH --account lab", ["SBATCH_ACCOUNT"]),
        ("#SBATCH -A lab\n#SBATCH -q long", ["SBATCH_ACCOUNT", "SBATCH_QOS"]),
        ("#SBATCH --reservation=r", ["SBATCH_RESERVATION"]),
        ("#SBATCH --time=10", []),
        ("echo '#SBATCH -p gpu'", []),
    ],
)
def test_a_script_s_own_options_are_not_overruled(line: str, overruled: list[str]) -> None:
    script = f"#!/bin/bash\n{line}\ntrue\n"
    assert queue_dialect_for(slurm()).said_by(script) == overruled


def test_an_emulated_array_task_sees_what_slurm_sets() -> None:
    _, job = arrays([LARGE] * 5, slurm(max_array_size=3))
    assert dialect_for(slurm()).task_environment(job, 1) == {
        "SLURM_JOB_ID": "5",
        "SLURM_JOB_NAME": "saabc123-1-1",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_MEM_PER_NODE": "2048",
        "SLURM_ARRAY_JOB_ID": "4",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "1",
        "SLURM_ARRAY_TASK_COUNT": "2",
        "SLURM_ARRAY_TASK_STEP": "1",
    }
    assert dialect_for(slurm()).task_arguments(job, 1) == []


def test_an_emulated_plain_job_sees_no_array() -> None:
    profile = slurm(max_array_size=0)
    _, job = arrays([SMALL] * 2, profile)
    environment = dialect_for(profile).task_environment(job, 0)
    assert environment["SLURM_JOB_ID"] == "2"
    assert not [name for name in environment if "ARRAY" in name]


def test_logs_are_named_by_task_and_a_percent_sign_stays_one() -> None:
    (job,) = arrays([SMALL], slurm())
    (plain,) = arrays([SMALL], slurm(max_array_size=0))
    dialect = dialect_for(slurm())
    assert dialect.log_pattern(Path("/a/100%j/00"), job) == "/a/100%%j/00/%a.log"
    assert dialect.log_pattern(Path("/a/100%j/00"), plain) == "/a/100%%j/00/0.log"


def test_a_backslash_in_a_log_path_is_refused_because_slurm_drops_it() -> None:
    (job,) = arrays([SMALL], slurm())
    with pytest.raises(RunError, match="backslash; choose another run_dir"):
        dialect_for(slurm()).log_pattern(Path("/a\\b"), job)


def test_locally_each_shape_is_one_script_that_takes_its_slot() -> None:
    dialect = dialect_for(LOCAL)
    jobs = arrays([SMALL] * 3000 + [LARGE] * 2, LOCAL)
    assert [(job.offset, job.count, job.array) for job in jobs] == [
        (0, 3000, None),
        (3000, 2, None),
    ]
    assert dialect.task_arguments(jobs[1], 1) == ["3001"]
    assert dialect.task_environment(jobs[1], 1) == {}
    assert dialect.submission(jobs[1], Path("/x.sh")) == ["/bin/bash", "-l", "/x.sh", "{slot}"]
    assert dialect.log_pattern(Path("/logs/01"), jobs[1]) == "/logs/01"


def test_no_slots_need_no_job() -> None:
    assert arrays([], LOCAL) == arrays([], slurm()) == []
