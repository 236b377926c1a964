from __future__ import annotations

import pytest

from slidearray.core.profile import parse_profile
from slidearray.schedulers.environment import (
    clean_environment,
    job_identity,
    scheduler_environment,
    with_defaults,
)

FOREIGN = {
    "SBATCH_ARRAY_INX": "0-9",
    "SLURM_JOB_ID": "5",
    "SLURM_CLUSTERS": "east",
    "SQUEUE_FORMAT": "%i",
    "SACCT_FORMAT": "jobid",
    "PBS_JOBID": "6",
    "SUBMITIT_EXECUTOR": "slurm",
}


def test_commands_get_who_and_where_we_are_and_nothing_else() -> None:
    ours = {"HOME": "/h", "PATH": "/bin", "SLURM_CONF": "/c", "SBATCH_QOS": "long"}
    given = scheduler_environment({**ours, **FOREIGN, "TOKEN": "x", "LC_ALL": "de_DE.UTF-8"})
    assert given == {**ours, "LC_ALL": "C"}


def test_a_profile_may_name_more() -> None:
    given = scheduler_environment({"PATH": "/bin", "WANTED": "1", "TOKEN": "x"}, ["WANTED", "NOT"])
    assert given == {"PATH": "/bin", "WANTED": "1", "LC_ALL": "C"}


def test_a_script_that_runs_here_sees_no_enclosing_job() -> None:
    ours = {"PATH": "/bin", "TOKEN": "x", "SLURM_CONF": "/c"}
    assert clean_environment({**ours, **FOREIGN}) == ours


def test_a_person_s_defaults_fill_what_a_profile_leaves_open() -> None:
    raw = {"version": 1, "scheduler": "slurm", "walltime": 1, "memory": "1G", "account": "lab"}
    profile = parse_profile(raw, source="p.yaml", name="p")
    environ = {"SBATCH_ACCOUNT": "other", "SBATCH_PARTITION": "gpu", "SBATCH_QOS": ""}
    filled = with_defaults(profile, environ)
    assert (filled.account, filled.partition, filled.qos) == ("lab", "gpu", None)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_JOB_ID": "9"}, ("9", None, 0, "9")),
        (
            {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3"},
            ("9", 3, 0, "12"),
        ),
        (  # the last task of an array, requeued
            {
                "SLURM_JOB_ID": "9",
                "SLURM_ARRAY_JOB_ID": "9",
                "SLURM_ARRAY_TASK_ID": "4",
                "SLURM_RESTART_COUNT": "2",
            },
            ("9", 4, 2, "9"),
        ),
        ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "x"}, ("9", None, 0, "9")),
    ],
)
def test_a_job_is_told_by_its_variables(
    variables: dict[str, str], expected: tuple[str, int | None, int, str]
) -> None:
    found = job_identity({**variables, "SLURMD_NODENAME": "n1"})
    assert found
    assert (found.job_id, found.task, found.restarts, found.raw_job_id) == expected
    assert (found.scheduler, found.node) == ("slurm", "n1")


def test_outside_of_a_job_there_is_none() -> None:
    assert job_identity({"PATH": "/bin", "SLURM_JOB_ID": ""}) is None
