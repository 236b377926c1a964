from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slidearray.core.profile import parse_profile
from slidearray.schedulers.environment import (
    clean_environment,
    job_identity,
    scheduler_environment,
    with_defaults,
)

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = {
    "SBATCH_ARRAY_INX": "0-9",
    "SLURM_JOB_ID": "5",
    "SLURM_CLUSTERS": "east",
    "SQUEUE_FORMAT": "%i",
    "SACCT_FORMAT": "jobid",
    "PBS_JOBID": "6",
    "PBS_O_WORKDIR": "/else",
    "PBS_DPREFIX": "#QSUB",
    "SUBMITIT_EXECUTOR": "slurm",
}
#: Where the server is.
PBS_PLACE = {"PBS_CONF_FILE": "/etc/pbs.conf", "PBS_SERVER": "head", "PBS_DEFAULT": "old"}


def test_commands_get_who_and_where_we_are_and_nothing_else() -> None:
    ours = {"HOME": "/h", "PATH": "/bin", "SLURM_CONF": "/c", "SBATCH_QOS": "long", **PBS_PLACE}
    given = scheduler_environment({**ours, **FOREIGN, "TOKEN": "x", "LC_ALL": "de_DE.UTF-8"})
    assert given == {**ours, "LC_ALL": "C"}


def test_a_profile_may_name_more() -> None:
    given = scheduler_environment({"PATH": "/bin", "WANTED": "1", "TOKEN": "x"}, ["WANTED", "NOT"])
    assert given == {"PATH": "/bin", "WANTED": "1", "LC_ALL": "C"}


def test_a_script_that_runs_here_sees_no_enclosing_job() -> None:
    ours = {"PATH": "/bin", "TOKEN": "x", "SLURM_CONF": "/c", **PBS_PLACE}
    assert clean_environment({**ours, **FOREIGN}) == ours


def test_a_person_s_defaults_fill_what_a_profile_leaves_open() -> None:
    raw = {"version": 1, "scheduler": "slurm", "walltime": 1, "memory": "1G", "account": "lab"}
    profile = parse_profile(raw, source="p.yaml", name="p")
    environ = {"SBATCH_ACCOUNT": "other", "SBATCH_PARTITION": "gpu", "SBATCH_QOS": ""}
    filled = with_defaults(profile, environ)
    assert (filled.account, filled.partition, filled.qos) == ("lab", "gpu", None)


def test_a_person_s_defaults_for_sbatch_say_nothing_about_other_schedulers() -> None:
    raw = {"version": 1, "scheduler": "local", "walltime": 1, "memory": "1G"}
    profile = parse_profile(raw, source="p.yaml", name="p")
    assert with_defaults(profile, {"SBATCH_PARTITION": "gpu"}) == profile


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


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PBS_JOBID": "204.pbshost"}, ("204", None, "204")),
        ({"PBS_JOBID": "0.pbshost.domain"}, ("0", None, "0")),
        (
            {
                "PBS_JOBID": "201[3].pbshost",
                "PBS_ARRAY_ID": "201[].pbshost.domain",
                "PBS_ARRAY_INDEX": "3",
            },
            ("201[]", 3, "201[3]"),
        ),
        (  # of a container that hands on some variables only
            {"PBS_JOBID": "201[0].pbshost"},
            ("201[]", 0, "201[0]"),
        ),
        ({"PBS_JOBID": "204", "PBS_ARRAY_INDEX": "5"}, ("204", None, "204")),
        ({"PBS_JOBID": "odd id", "PBS_NODENUM": "0"}, ("odd id", None, "odd id")),
    ],
)
def test_a_pbs_job_is_known_without_the_name_of_its_server(
    variables: dict[str, str], expected: tuple[str, int | None, str]
) -> None:
    found = job_identity(variables)
    assert found
    assert (found.job_id, found.task, found.raw_job_id) == expected
    assert (found.scheduler, found.restarts, found.node) == ("pbs", None, "")


def test_a_pbs_job_calls_its_node_as_pbs_does(tmp_path: Path) -> None:
    # The host may have another name of its own, and PBS_NODENUM only counts the job's nodes.
    file = tmp_path / "201.pbshost"
    file.write_text("n7.domain\nn7.domain\nn8.domain\n")
    variables = {"PBS_JOBID": "204.pbshost", "PBS_NODENUM": "0", "PBS_NODEFILE": str(file)}
    found = job_identity(variables)
    assert found
    assert found.node == "n7.domain"
    file.unlink()
    assert job_identity(variables) == replace(found, node="")


def test_outside_of_a_job_there_is_none() -> None:
    assert job_identity({"PATH": "/bin", "SLURM_JOB_ID": "", "PBS_JOBID": ""}) is None
