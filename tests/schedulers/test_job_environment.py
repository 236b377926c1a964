"""What submitit tells inside a PBS job, through the entry point that we register with it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submitit.core.utils import UncompletedJobError

from slidearray.schedulers.environment import clean_environment
from slidearray.schedulers.job_environment import PbsJobEnvironment

if TYPE_CHECKING:
    from pathlib import Path

IN_ARRAY = {
    "PBS_ENVIRONMENT": "PBS_BATCH",
    "PBS_JOBID": "123[4].pbshost",
    "PBS_ARRAY_ID": "123[].pbshost.domain",
    "PBS_ARRAY_INDEX": "4",
    "PBS_NODENUM": "0",
}
PLAIN = {"PBS_ENVIRONMENT": "PBS_BATCH", "PBS_JOBID": "124.pbshost"}
ASK = """
import submitit
env = submitit.JobEnvironment()
print(env.cluster, env.job_id, env.array_job_id, env.array_task_id, env.num_nodes, env.global_rank)
"""


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - clean_environment(os.environ).keys():
        monkeypatch.delenv(name)  # of a job that the tests themselves run in


def asked(**variables: str) -> str:
    """What a process in a job with these variables is told by submitit alone."""
    environ = {**clean_environment(os.environ), **variables}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def inside(monkeypatch: pytest.MonkeyPatch, **variables: str) -> PbsJobEnvironment:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return PbsJobEnvironment()


def test_submitit_knows_a_pbs_job_that_it_did_not_start() -> None:
    assert asked(**IN_ARRAY) == "pbs 123_4 123 4 1 0"
    assert asked(**PLAIN) == "pbs 124 None None 1 0"


def test_outside_of_a_job_submitit_knows_none() -> None:
    assert asked().startswith("RuntimeError: Could not figure out which environment")


@pytest.mark.parametrize(
    ("variables", "activated"),
    [
        (PLAIN, True),
        ({**PLAIN, "SUBMITIT_EXECUTOR": "pbs"}, True),
        ({**PLAIN, "SUBMITIT_EXECUTOR": "local"}, False),  # a slot that runs here, within a job
        ({"SUBMITIT_EXECUTOR": "pbs"}, True),
        ({**PLAIN, "PBS_ENVIRONMENT": "PBS_INTERACTIVE"}, False),
        ({"PBS_ENVIRONMENT": "PBS_BATCH"}, False),
        ({}, False),
    ],
)
def test_it_stands_for_pbs_unless_another_executor_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], activated: bool
) -> None:
    assert inside(monkeypatch, **variables).activated() is activated


def test_its_own_ids_are_those_of_pbs_without_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside(monkeypatch, **IN_ARRAY).raw_job_id == "123[4]"


def test_nodes_are_those_of_the_node_file_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "nodes"
    file.write_text("n2.domain\nn2.domain\nn1.domain\n")
    env = inside(monkeypatch, **{**PLAIN, "PBS_NODEFILE": str(file), "PBS_NODENUM": "1"})
    assert (env.hostnames, env.num_nodes, env.node) == (["n2.domain", "n1.domain"], 2, 1)
    file.unlink()
    assert env.hostnames == [env.hostname]


def test_a_job_that_submitit_would_send_again_says_that_pbs_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UncompletedJobError, match="124"):
        inside(monkeypatch, **PLAIN)._requeue(1)


VALUES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variables=st.dictionaries(st.sampled_from([*IN_ARRAY, "PBS_NODEFILE"]), VALUES))
def test_whatever_the_variables_hold_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    with monkeypatch.context() as patch:
        env = inside(patch, **variables)
        assert repr(env)
        told = (env.job_id, env.array_job_id, env.array_task_id, env.hostnames, env.activated())
        assert len(told) == 5
        assert (env.num_nodes, env.num_tasks, env.global_rank, env.local_rank) == (1, 1, 0, 0)
