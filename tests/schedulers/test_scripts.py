"""The job scripts that come with slidearray, rendered and run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.core.qsub_reading import qsub_reads, resources
from tests.schedulers.job_scripts import (
    EVERYTHING,
    LOCAL,
    PBS_EVERYTHING,
    array_job,
    profile,
    program,
    run_in,
    run_script,
    run_task,
    script,
)

from slidearray.core.profile import parse_profile
from slidearray.errors import RunError
from slidearray.submitter.scripts import advance_script, probe_script

if TYPE_CHECKING:
    from slidearray.core.profile import Profile

QUEUED = pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
HOSTILE = ["a b", "a'b", 'a"b', "$(touch x)", "a;b", "100%", "-rf", "h\u00e9", "a\\b", "`id`",
           "a#b", "~"]  # fmt: skip


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """A program that prints its folder, one of its variables, and its arguments, a line each."""
    text = '#!/bin/sh\npwd\nprintf "%s\\n" "$HF_HOME" "$@"\n'
    return program(tmp_path / "it's a python", text)


def expected_output(project: Path, *, slot: int, walltime_s: int) -> list[str]:
    run = project / "runs" / "first"
    return [
        str(project), str(run / "cache" / "huggingface"), "-P", "-m", "slidearray", "work",
        str(run), "1", str(slot), "--project", str(project),
        "--walltime", str(walltime_s), "--started",
    ]  # fmt: skip


def with_python(profile: Profile, python: Path) -> Profile:
    return profile.model_copy(update={"python": str(python)})


@pytest.mark.parametrize("name", HOSTILE)
def test_the_local_script_works_in_a_folder_of_any_name(
    tmp_path: Path, fake_python: Path, name: str
) -> None:
    project = tmp_path / name
    project.mkdir()
    text = script(with_python(LOCAL, fake_python), root=project)
    done = run_script(text, tmp_path, arguments=("7",))
    *lines, started = done.stdout.splitlines()
    assert lines == expected_output(project, slot=7, walltime_s=86_400)
    assert int(started) > 0
    assert done.stderr == ""


@QUEUED
@pytest.mark.parametrize("name", HOSTILE)
def test_a_script_works_in_a_folder_of_any_name(
    tmp_path: Path, fake_python: Path, name: str, scheduler: str
) -> None:
    project = tmp_path / name
    project.mkdir()
    ours = profile(scheduler, setup=[], python=str(fake_python))
    job = array_job(ours, offset=10, count=2, array="0-1")
    if scheduler == "slurm" and "\\" in name:
        with pytest.raises(RunError, match="SLURM cannot write logs to a path with a backslash"):
            script(ours, root=project, job=job)
        return
    _, printed = run_task(ours, script(ours, root=project, job=job), tmp_path, task=1, root=project)
    *lines, _ = printed.splitlines()
    assert lines == expected_output(project, slot=11, walltime_s=14_400)


@QUEUED
def test_a_plain_job_knows_its_slot_without_an_array(
    tmp_path: Path, fake_python: Path, scheduler: str
) -> None:
    ours = profile(scheduler, setup=[], python=str(fake_python))
    job = array_job(ours, offset=3, count=1, array=None)
    _, printed = run_task(ours, script(ours, root=tmp_path, job=job), tmp_path)
    *lines, _ = printed.splitlines()
    assert lines == expected_output(tmp_path, slot=3, walltime_s=14_400)


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])
def test_a_script_without_its_slot_runs_nothing(
    tmp_path: Path, fake_python: Path, scheduler: str
) -> None:
    ours = profile(scheduler, setup=[], python=str(fake_python))
    code, printed = run_task(ours, script(ours, root=tmp_path), tmp_path, task=None)
    assert code != 0
    assert "slidearray" not in printed


@QUEUED
def test_a_project_that_is_gone_ends_with_the_exit_code_of_setup(
    tmp_path: Path, scheduler: str
) -> None:
    ours = profile(scheduler, setup=["echo went on"])
    run = run_in(tmp_path)
    text = script(ours, root=tmp_path).replace(f"cd -- {run.project}", "cd -- /not/there")
    code, printed = run_task(ours, text, tmp_path)
    assert (code, printed.count("went on")) == (78, 0)


@QUEUED
def test_a_python_that_is_gone_ends_with_the_shells_exit_code(
    tmp_path: Path, scheduler: str
) -> None:
    ours = profile(scheduler, setup=[], python=str(tmp_path / "gone"))
    assert run_task(ours, script(ours, root=tmp_path), tmp_path)[0] in {126, 127}


def directives(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("#SBATCH", "#PBS"))]


@pytest.mark.parametrize("raw", [EVERYTHING, PBS_EVERYTHING])
def test_every_directive_stands_before_the_first_command(raw: dict[str, object]) -> None:
    everything = parse_profile(raw, source="p.yaml", name="p")
    first = advance_script(run_in(Path("/data")), everything, number=1, name="x")
    for text in (script(everything, root=Path("/data")), first):
        lines = text.splitlines()
        commands = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
        assert directives(text) == directives("\n".join(lines[: min(commands)]))
    assert "trap '' USR1" in script(everything, root=Path("/data")).splitlines()


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])
def test_the_first_thing_that_an_array_does_is_to_ignore_the_warning_signal(
    scheduler: str,
) -> None:
    text = script(profile(scheduler), root=Path("/data"))
    commands = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert commands[0] == "trap '' USR1"


def test_nodes_that_failed_are_excluded_and_arrays_send_no_mail() -> None:
    ours = profile(exclude="n9", mail={"to": "me@example.org"})
    lines = directives(script(ours, root=Path("/data"), exclude=["n2"]))
    assert "#SBATCH --exclude=n9,n2" in lines
    assert [line for line in lines if "mail" in line] == ["#SBATCH --mail-type=NONE"]


def run_advance(text: str, home: Path, *, log: Path) -> tuple[int, str]:
    """Exit code of the job that follows, and what its log gets."""
    log.parent.mkdir(parents=True)
    done = run_script(text, home)
    return done.returncode, done.stdout + done.stderr + (
        log.read_text(encoding="utf-8") if log.exists() else ""
    )


@QUEUED
def test_the_job_that_follows_runs_the_setup_and_then_goes_on_with_the_run(
    tmp_path: Path, scheduler: str
) -> None:
    python = program(tmp_path / "python", '#!/bin/sh\npwd\nprintf "%s\\n" "$MARK" "$@"\n')
    project = tmp_path / "it's a $(project)"
    project.mkdir()
    ours = profile(scheduler, setup=["export MARK=set"], python=str(python))
    text = advance_script(run_in(project), ours, number=3, name="svk3f9a2-3")
    run, log = str(project / "runs" / "first"), run_in(project).attempt(3).advance_log
    assert run_advance(text, tmp_path, log=log)[1].splitlines() == [
        str(project), "set", "-P", "-m", "slidearray", "advance", run, "3",
        "--project", str(project),
    ]  # fmt: skip


@QUEUED
def test_a_setup_line_that_fails_does_not_end_the_job_that_is_to_tell_of_it(
    tmp_path: Path, scheduler: str
) -> None:
    ours = profile(scheduler, setup=["false"], python="echo")
    text = advance_script(run_in(tmp_path), ours, number=1, name="sv")
    code, printed = run_advance(text, tmp_path, log=run_in(tmp_path).attempt(1).advance_log)
    assert code == 0
    assert "slidearray advance" in printed
    assert "setup line failed" in printed


def test_the_job_that_follows_has_the_submitting_python_where_the_profiles_is_in_the_image() -> (
    None
):
    everything = parse_profile(
        {**EVERYTHING, "python": "/opt/conda/bin/python"}, source="p", name="p"
    )
    text = advance_script(run_in(Path("/data")), everything, number=1, name="sv")
    assert f"exec {sys.executable} -P -m slidearray advance" in text
    assert "apptainer exec" not in text
    assert "/opt/conda" not in text


def test_the_log_of_the_job_that_follows_may_lie_in_a_folder_with_a_percent_sign() -> None:
    text = advance_script(run_in(Path("/data/100%")), profile(), number=1, name="sv")
    log = "/data/100%%/runs/first/attempts/0001/logs/advance.log"
    assert f"#SBATCH --output={log}" in directives(text)


def test_a_probe_is_the_arrays_script_as_one_plain_job_of_two_minutes(
    tmp_path: Path, fake_python: Path
) -> None:
    folder = tmp_path / "probe"
    ours = profile(setup=[], python=str(fake_python), gpus=1, walltime="2-00:00:00")
    words = ["doctor-task", str(folder)]
    text = probe_script(ours, project=tmp_path, folder=folder, name="saprobe", words=words)
    lines = directives(text)
    assert {
        "#SBATCH --job-name=saprobe", "#SBATCH --time=00:02:00", "#SBATCH --gres=gpu:1",
        "#SBATCH --cpus-per-task=8", f"#SBATCH --output={folder}/0.log",
    } <= {*lines}  # fmt: skip
    assert not [line for line in lines if "--array" in line]
    *shown, _ = run_script(text, tmp_path).stdout.splitlines()
    assert shown == [
        str(tmp_path), str(folder / "cache" / "huggingface"), "-P", "-m", "slidearray",
        "doctor-task", str(folder), "0", "--project", str(tmp_path), "--walltime", "120",
        "--started",
    ]  # fmt: skip


def test_a_slot_of_pbs_writes_its_log_itself_and_goes_on_with_it(tmp_path: Path) -> None:
    ours = profile("pbs", setup=["echo out", "echo error >&2"], python="true")
    text = script(ours, root=tmp_path)
    for times in (1, 2):  # begun again after its node failed
        assert run_task(ours, text, tmp_path, task=7) == (0, "out\nerror\n" * times)


def test_a_slot_of_pbs_that_has_no_place_for_its_log_runs_nothing(tmp_path: Path) -> None:
    ours = profile("pbs", setup=["touch ran"], python="true")
    done = run_script(script(ours, root=tmp_path), tmp_path, PBS_ARRAY_INDEX="0")
    assert (done.returncode, (tmp_path / "ran").exists()) == (78, False)


HOSTILE_VALUES = [*HOSTILE, "", 'it\'s "x"', "a,b=c", " x ", '{"a": 007}', "\\'", "!x", "%s"]


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_a_variable_reaches_a_slot_of_pbs_with_its_very_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OUR_VALUE", value)
    python = program(tmp_path / "python", '#!/bin/sh\nprintf "<%s>" "$OUR_VALUE"\n')
    keys = {"environment": ["OUR_VALUE", "NEVER_SET"], "setup": [], "python": str(python)}
    ours = profile("pbs", **keys)
    text = script(ours, root=tmp_path)
    assert "NEVER_SET" not in text
    assert run_task(ours, text, tmp_path) == (0, f"<{value}>")
    after = advance_script(run_in(tmp_path), ours, number=2, name="sv")
    log = run_in(tmp_path).attempt(2).advance_log
    assert run_advance(after, tmp_path, log=log) == (0, f"<{value}>")


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\x1b[31m", "\udcff"])
def test_a_variable_that_no_script_can_hold_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OUR_VALUE", value)
    ours = profile("pbs", environment=["OUR_VALUE"])
    expected = r"profile p: environment: the value of OUR_VALUE holds .*; take it out, and let a"
    with pytest.raises(RunError, match=expected):
        script(ours, root=Path("/data"))
    with pytest.raises(RunError, match=expected):
        advance_script(run_in(Path("/data")), ours, number=1, name="sv")
    assert script(profile(environment=["OUR_VALUE"]), root=Path("/data"))  # sbatch hands it on


def test_a_probe_of_pbs_is_one_plain_job_of_two_minutes(tmp_path: Path, fake_python: Path) -> None:
    folder = tmp_path / "probe"
    folder.mkdir()
    ours = profile("pbs", setup=[], python=str(fake_python), gpus=1, walltime="2-00:00:00")
    words = ["doctor-task", str(folder)]
    text = probe_script(ours, project=tmp_path, folder=folder, name="saprobe", words=words)
    read = qsub_reads(text)
    assert resources(read) == ["select=1:ncpus=8:mem=32768mb:ngpus=1", "walltime=00:02:00"]
    assert ("-N", "saprobe") in read
    assert not [name for name, _ in read if name == "-J"]
    assert run_script(text, tmp_path).stdout == ""
    *shown, _ = (folder / "0.log").read_text(encoding="utf-8").splitlines()
    assert shown[5:8] == ["doctor-task", str(folder), "0"]
