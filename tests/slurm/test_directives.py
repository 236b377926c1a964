"""What a real sbatch reads out of our job scripts. Recorded with SLURM 22.05.8."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.schedulers.job_scripts import array_job, plain_job, program, run_in

from slidearray.core.profile import parse_profile
from slidearray.core.rendering import sbatch_value
from slidearray.core.slurm_directives import REFUSED
from slidearray.errors import ProfileError
from slidearray.submitter.scripts import advance_script, array_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.slurm.clusters import Cluster

    from slidearray.core.profile import Profile

LEAST: dict[str, object] = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": 1,
    "cpus_per_task": 1,
    "memory": "20M",
}

HOSTILE = [
    "a b", "a'b", 'a"b', "'", '"', "$(touch x)", "`id`", "${HOME}", "a\\b", "\\", "a#b", "#", "-rf",
    "--wrap=x", "a;b|c&d", "100%j%%", "%a", "a=b", "*?[a]{b,c}!~", "x hetjob y", "packjob", " lead",
    "tail ", "\u00e9\u00fc \u6f22\u5b57", "a\u00a0b", "a\u2003b", "e\u0301", "\U0001f9ec", "none",
]  # fmt: skip


def profile(**keys: object) -> Profile:
    return parse_profile({**LEAST, **keys}, source="p.yaml", name="p")


@contextmanager
def held(
    cluster: Cluster, script: str, folder: Path, *options: str, **environment: str
) -> Iterator[str]:
    """The words of `scontrol show job` about a job that waits."""
    file = folder / "script.sh"
    file.write_text(script, encoding="utf-8")
    env = {**cluster.env, **environment, "LC_ALL": "C"}
    job = cluster.sbatch("--hold", *options, file, env=env)
    try:
        yield cluster.run("scontrol", "show", "job", job)
    finally:
        cluster.run("scancel", job)


def word(text: str, name: str) -> str:
    """One word of `scontrol show job`; empty where it says nothing of it."""
    found = re.search(rf"\b{name}=(\S*)", text)
    return "" if found is None or found[1] == "(null)" else found[1]


def line(text: str, name: str) -> str:
    """A word that takes the rest of its line."""
    found = re.search(rf"^ *{name}=(.*)$", text, re.MULTILINE)
    return "" if found is None else found[1]


@pytest.mark.parametrize("value", HOSTILE)
def test_sbatch_reads_back_what_a_directive_says(
    cluster: Cluster, tmp_path: Path, value: str
) -> None:
    ours = profile(directives=[f"--comment={value}"] if value not in {"'", '"'} else [])
    root = tmp_path / "runs"
    script = array_script(run_in(root), ours, plain_job(ours), number=1)
    named = script.replace("--job-name=sak3f9a2-1-1", f"--job-name={sbatch_value(value)}")
    with held(cluster, named, tmp_path) as shown:
        assert line(shown, "JobId=[0-9]+ JobName") == value
        if ours.directives:  # 22.05 ends a comment with a blank of its own
            assert line(shown, "Comment") in {value, f"{value} "}


PRINTS = '#!/bin/sh\npwd\nprintf "%s\\n" "$CUDA_VISIBLE_DEVICES" "$SLURM_CPUS_PER_TASK" "$@"\n'


def printed(log: Path, *, first: str) -> list[str]:
    """What the program printed; a machine's own login files may have printed before it."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return lines[lines.index(first) :]


def test_logs_are_written_under_paths_of_any_name(cluster: Cluster, tmp_path: Path) -> None:
    python = program(tmp_path / "python", PRINTS)
    ours = profile(python=str(python))
    names = [name for name in HOSTILE if "\\" not in name]
    jobs = {}
    for name in names:
        run = run_in(tmp_path / name)
        logs = run.attempt(1).logs_dir(0)
        logs.mkdir(parents=True)
        job = array_job(ours, count=2, array="0-1")
        script = tmp_path / "script.sh"
        script.write_text(array_script(run, ours, job, number=1), encoding="utf-8")
        jobs[name] = cluster.sbatch(script)
    for name, job_id in jobs.items():
        cluster.wait_for_end(job_id)
        run = run_in(tmp_path / name)
        written = sorted(path.name for path in run.attempt(1).logs_dir(0).iterdir())
        assert written == ["0.log", "1.log"], name
        shown = printed(run.attempt(1).log(0, 1), first=str(tmp_path / name))
        assert shown[:3] == [str(tmp_path / name), "", "1"]
        assert shown[3:10] == ["-P", "-m", "slidearray", "work", str(run.root), "1", "1"]


def test_the_log_of_the_job_that_follows_is_written_too(cluster: Cluster, tmp_path: Path) -> None:
    ours = profile(python=str(program(tmp_path / "python", PRINTS)))
    run = run_in(tmp_path / "it's 100% mine")
    run.attempt(1).advance_log.parent.mkdir(parents=True)
    script = tmp_path / "advance.sh"
    script.write_text(advance_script(run, ours, number=1, name="svk3f9a2-1"), encoding="utf-8")
    cluster.wait_for_end(cluster.sbatch(script))
    shown = printed(run.attempt(1).advance_log, first="-P")
    assert shown[:5] == ["-P", "-m", "slidearray", "advance", str(run.root)]


@pytest.fixture
def features(cluster: Cluster) -> Iterator[None]:
    """The first node has the features gold and a100."""
    update = ("scontrol", "update", f"nodename={cluster.nodes[0]}")
    cluster.run(*update, "availablefeatures=gold,a100", "activefeatures=gold,a100")
    yield
    cluster.run(*update, "activefeatures=")
    cluster.run(*update, "availablefeatures=")


@pytest.fixture
def reservation(cluster: Cluster) -> Iterator[str]:
    """A reservation that lasts."""
    cluster.run(
        "scontrol", "create", "reservation", "reservationname=course", "starttime=now+1hour",
        "duration=60", "users=root", "nodecnt=1",
    )  # fmt: skip
    yield "course"
    cluster.run("scontrol", "delete", "reservationname=course")


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ({"partition": "main,short"}, {"Partition": "main,short"}),
        ({"account": "root", "qos": "normal"}, {"Account": "root", "QOS": "normal"}),
        ({"nice": 7}, {"Nice": "7"}),
        ({"nice": -2147483645}, {"Nice": "-2147483645"}),
        ({"gpus": 2}, {"TresPerNode": "gres:gpu:2"}),
        ({"gpus": "fake:2"}, {"TresPerNode": "gres:gpu:fake:2"}),
        ({"gpus": 2, "gpu_directive": "gpus"}, {"TresPerJob": "gres:gpu:2"}),
        ({"gpus": "fake:2", "gpu_directive": "gpus"}, {"TresPerJob": "gres:gpu:fake:2"}),
        ({"directives": ["--exclusive"]}, {"OverSubscribe": "NO"}),
        ({"mail": {"to": "me@example.org"}}, {"MailUser": "", "MailType": ""}),
        ({"memory": "1.5G", "walltime": "1-02:03:00"}, {"MinMemoryNode": "1.50G"}),
        ({"walltime": "1-02:03:00"}, {"TimeLimit": "1-02:03:00"}),
        ({}, {"Requeue": "1", "NumTasks": "1", "MinCPUsNode": "1"}),
    ],
)
def test_a_key_of_the_profile_reaches_slurm(
    cluster: Cluster, tmp_path: Path, keys: dict[str, object], shown: dict[str, str]
) -> None:
    ours = profile(**keys)
    script = array_script(run_in(tmp_path), ours, plain_job(ours), number=1)
    with held(cluster, script, tmp_path) as text:
        assert {name: word(text, name) for name in shown} == shown


@pytest.mark.usefixtures("features")
@pytest.mark.parametrize(
    "constraint", ["gold", "gold&a100", "gold|a100", "[gold|a100]", "(gold|a100)&gold", "gold*1"]
)
def test_a_constraint_reaches_slurm(cluster: Cluster, tmp_path: Path, constraint: str) -> None:
    ours = profile(constraint=constraint)
    script = array_script(run_in(tmp_path), ours, plain_job(ours), number=1)
    with held(cluster, script, tmp_path) as text:
        assert word(text, "Features") == constraint


def test_nodes_and_a_reservation_reach_slurm(
    cluster: Cluster, tmp_path: Path, reservation: str
) -> None:
    first, second, third = cluster.nodes
    prefix = first[:-1]
    ours = profile(nodelist=f"{prefix}[{first[-1]}]", exclude=second, reservation=reservation)
    script = array_script(run_in(tmp_path), ours, plain_job(ours), number=1, exclude=[third])
    with held(cluster, script, tmp_path) as text:
        assert word(text, "ReqNodeList") == first
        assert word(text, "ExcNodeList") == f"{prefix}[{second[-1]}-{third[-1]}]"
        assert word(text, "Reservation") == reservation


def test_a_node_that_the_cluster_no_longer_has_cannot_be_excluded(
    cluster: Cluster, tmp_path: Path
) -> None:
    ours = profile()
    script = array_script(run_in(tmp_path), ours, plain_job(ours), number=1, exclude=["gone7"])
    with (
        pytest.raises(AssertionError, match="Invalid node name specified"),
        held(cluster, script, tmp_path),
    ):
        pass


def test_the_job_that_follows_asks_for_its_own_and_gets_the_mail(
    cluster: Cluster, tmp_path: Path
) -> None:
    ours = profile(
        partition="one",
        gpus=2,
        nice=5,
        mail={"to": "me@example.org", "on": ["END", "TIME_LIMIT_80"]},
        advance_job={"partition": "main", "memory": "30M", "walltime": 3, "cpus_per_task": 2},
    )
    script = advance_script(run_in(tmp_path), ours, number=1, name="svk3f9a2-1")
    with held(cluster, script, tmp_path) as text:
        names = ("JobName", "Partition", "MinCPUsNode", "MinMemoryNode", "TimeLimit", "MailUser",
                 "MailType", "TresPerNode", "Nice", "Requeue")  # fmt: skip
        assert [word(text, name) for name in names] == [
            "svk3f9a2-1", "main", "2", "30M", "00:03:00", "me@example.org",
            "END,TIME_LIMIT_80", "", "0", "1",
        ]  # fmt: skip


def test_each_task_sees_the_gpus_that_it_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    ours = profile(gpus=2, python=str(program(tmp_path / "python", PRINTS)))
    run = run_in(tmp_path)
    run.attempt(1).logs_dir(0).mkdir(parents=True)
    script = tmp_path / "script.sh"
    job = array_job(ours, count=2, array="0-1")
    script.write_text(array_script(run, ours, job, number=1), encoding="utf-8")
    cluster.wait_for_end(cluster.sbatch(script))
    for task in (0, 1):
        devices = run.attempt(1).log(0, task).read_text(encoding="utf-8").splitlines()[1]
        assert re.fullmatch(r"\d,\d", devices)


@pytest.mark.parametrize(
    ("abbreviated", "field", "shown"),
    [
        ("--arr=0-3", "ArrayTaskId", "0-3"),
        ("--nic=3", "Nice", "3"),
        ("--part=short", "Partition", "short"),
        ("-p short", "Partition", "short"),
        ("-pshort", "Partition", "short"),
    ],
)
def test_sbatch_takes_the_short_forms_that_a_profile_may_not_pass_through(
    cluster: Cluster, tmp_path: Path, abbreviated: str, field: str, shown: str
) -> None:
    script = f"#!/bin/sh\n#SBATCH {abbreviated}\n#SBATCH --mem=1M\n#SBATCH -t 1\ntrue\n"
    with held(cluster, script, tmp_path) as text:
        assert word(text, field) == shown
    with pytest.raises(ProfileError) as caught:
        profile(directives=[abbreviated])
    assert any(reason in str(caught.value) for reason in REFUSED.values())


def test_a_variable_of_the_submitter_wins_over_a_directive_and_an_argument_over_both(
    cluster: Cluster, tmp_path: Path
) -> None:
    ours = profile(partition="main")
    script = array_script(run_in(tmp_path), ours, plain_job(ours), number=1)
    for options, environment, partition in [
        ((), {}, "main"),
        ((), {"SBATCH_PARTITION": "short"}, "short"),
        (("--partition=main",), {"SBATCH_PARTITION": "short"}, "main"),
    ]:
        with held(cluster, script, tmp_path, *options, **environment) as text:
            assert word(text, "Partition") == partition
