"""profile check: everything that a cluster does not have, at once, and what could be set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.cluster import FakeSlurm

from slidearray.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parent / "schedulers" / "recorded"
GOOD = {"version": 1, "scheduler": "slurm", "walltime": 60, "memory": "1G"}


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    found = FakeSlurm(tmp_path / "fake")
    found.put_on_path(monkeypatch)
    for what, name in (("config", "config"), ("partition", "partitions"), ("node", "nodes")):
        found.answers(what, (RECORDED / f"{name}-22.05.8.txt").read_text())
    found.answers("sacctmgr-user", "testcluster|root|root||normal||\n")
    found.answers("sacctmgr-qos", "normal||||\n")
    found.answers("sacctmgr-associations", "|\nroot|\n")
    return found


@pytest.fixture
def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and output of `profile check` for a profile of some keys."""

    def check(*options: str, **keys: object) -> tuple[int, str]:
        (tmp_path / "cluster_profiles").mkdir(exist_ok=True)
        path = tmp_path / "cluster_profiles" / "mine.yaml"
        path.write_text(json.dumps({**GOOD, **keys}))  # which is YAML
        code = main(["profile", "check", "mine", "--project", str(tmp_path), *options])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return check


def test_a_profile_that_fits_is_told_with_what_could_be_set(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]]
) -> None:
    code, told = checked()
    assert code == 0
    assert "cluster testcluster (slurm 22.05.8)" in told
    assert "main: default; at most 24:00 h; 3 nodes of 8 CPUs, 8000M, 4 fake GPUs" in told
    assert "root (default), qos normal" in told
    assert "auto is 1001 here" in told
    assert "warning" not in told


def test_every_problem_is_told_at_once_with_its_key(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, told = checked(
        "--json",
        partition="gpu",
        account="lab",
        python="env/bin/python",
        template="mine.sh.j2",
        max_array_size=9999,
    )
    report = json.loads(told)
    assert (code, report["sound"]) == (1, False)
    assert [(each["key"], each["found"]) for each in report["problems"]] == [
        ("partition", "gpu"),
        ("account", "lab"),
        ("max_array_size", "9999"),
        ("template", f"{tmp_path}/mine.sh.j2: not there"),
        ("python", f"{tmp_path}/env/bin/python: not there"),
    ]
    assert "no job script can be made" in report["warnings"][0]
    assert {each["key"] for each in report["offers"]} >= {"partition", "account"}


def test_what_the_scheduler_says_of_a_script_is_a_warning(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]]
) -> None:
    refused = "allocation failure: Requested node configuration is not available\n"
    fake_slurm.fails("sbatch", {"works": False, "code": 1, "stderr": refused})
    code, told = checked(partition="main")
    assert code == 0
    assert "warning: the scheduler would refuse a job now: sbatch: allocation failure" in told
    (argv,) = fake_slurm.calls("sbatch")
    assert argv[1] == "--test-only"


def test_the_containers_files_are_looked_for(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    container = {"image": "images/x.sif", "binds": ["/nowhere:/data", str(tmp_path)]}
    code, told = checked(container=container, python="/opt/in/the/image/python")
    assert code == 1
    assert f"{tmp_path}/images/x.sif: not there" in told
    assert "/nowhere:/data: not there" in told
    assert "/opt/in" not in told
    assert checked(container={"image": "docker://x/y"})[0] == 0


def test_without_accounting_it_is_told_what_was_not_checked(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]]
) -> None:
    (fake_slurm.state / "sacctmgr-qos.txt").unlink()
    code, told = checked(account="anybody")
    assert code == 0
    assert "account and qos are not checked" in told


def test_a_person_s_defaults_are_part_of_what_is_asked_for(
    fake_slurm: FakeSlurm,
    checked: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "gone")
    assert "gone" in checked()[1]


def test_a_cluster_that_does_not_answer_speaks_for_itself(
    fake_slurm: FakeSlurm, checked: Callable[..., tuple[int, str]]
) -> None:
    away = "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n"
    fake_slurm.fails("scontrol", {"works": False, "code": 1, "stderr": away})
    code, told = checked()
    assert code == 1
    assert "error: scontrol: slurm_load_ctl_conf error: Unable to contact" in told


def test_a_local_profile_is_compared_with_this_machine(
    checked: Callable[..., tuple[int, str]],
) -> None:
    code, told = checked(scheduler="local")
    assert code == 0
    assert "this machine, without a scheduler" in told
    code, told = checked(scheduler="local", cpus_per_task=4096, memory="900T")
    assert code == 1
    assert "4096" in told
