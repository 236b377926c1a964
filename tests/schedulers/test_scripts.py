"""The job scripts that come with slidearray, rendered and run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest

from slidearray.core.profile import Profile, parse_profile
from slidearray.core.rendering import render
from slidearray.schedulers.dialect import dialect_for
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.configs import load_profile

GOLDEN = Path(__file__).parents[1] / "golden"

CLUSTER: dict[str, object] = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": "04:00:00",
    "cpus_per_task": 8,
    "memory": "32G",
    "partition": "cpu",
    "account": "pathology",
    "max_running": 4,
    "setup": ["module purge", "module load python/3.11"],
}

HOSTILE = ["a b", "a'b", 'a"b', "$(touch x)", "a;b", "100%", "-rf", "h\u00e9", "a\\b", "`id`",
           "a#b", "~"]  # fmt: skip

LOCAL = load_profile("local", project=Path("/nowhere"))


def profile(**keys: object) -> Profile:
    return parse_profile({**CLUSTER, **keys}, source="p.yaml", name="p")


def script(
    profile: Profile, *, root: Path, slots: int = 12, python: str = "/opt/python/bin/python"
) -> str:
    """The script of the last job of a run in `root`, as `submit` renders it."""
    dialect = dialect_for(profile)
    run = root / "runs" / "first"
    shapes = [profile.shape()] * slots
    job = dialect.arrays(shapes, profile=profile, token="k3f9a2", attempt=1)[-1]
    logs = run / "attempts" / "0001" / "logs" / f"{job.index:02d}"
    values = {
        "job_name": job.name,
        "array": job.array,
        "log": dialect.log_pattern(logs, job),
        "shape": job.shape,
        "profile": profile,
        "project": str(root),
        "run_dir": str(run),
        "attempt": 1,
        "offset": job.offset,
        "slot": job.offset if job.array is None else None,
        "python": [python, "-P"],
        "cache_dir": str(run / "cache"),
    }
    template = builtin_dir("templates") / dialect.template
    return render(template.read_text(encoding="utf-8"), values, source=template.name)


def run_script(
    text: str, folder: Path, *, arguments: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    file = folder / "script.sh"
    file.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["/bin/bash", file, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """A program that prints its folder, one of its variables, and its arguments, a line each."""
    program = tmp_path / "it's a python"
    program.write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$HF_HOME" "$@"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def expected_output(project: Path, *, slot: int, walltime_s: int) -> list[str]:
    run = project / "runs" / "first"
    return [
        str(project), str(run / "cache" / "huggingface"), "-P", "-m", "slidearray", "work",
        str(run), "1", str(slot), "--project", str(project),
        "--walltime", str(walltime_s), "--started",
    ]  # fmt: skip


def test_the_slurm_array_script_is_the_golden_one_to_the_letter() -> None:
    golden = (GOLDEN / "slurm_array.sh").read_text(encoding="utf-8")
    assert script(profile(), root=Path("/data/it's a project")) == golden


def test_the_slurm_plain_job_script_is_the_golden_one_to_the_letter() -> None:
    golden = (GOLDEN / "slurm_plain.sh").read_text(encoding="utf-8")
    bare = profile(max_array_size=0, partition=None, account=None, setup=[])
    assert script(bare, root=Path("/data/project"), slots=2) == golden


def test_the_local_script_is_the_golden_one_to_the_letter() -> None:
    golden = (GOLDEN / "local.sh").read_text(encoding="utf-8")
    assert script(LOCAL, root=Path("/data/project")) == golden


@pytest.mark.parametrize("name", ["slurm_array.sh", "slurm_plain.sh", "local.sh"])
def test_bash_and_shellcheck_find_nothing_in_a_golden_script(name: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    checkers = [["/bin/bash", "-n"], [shutil.which("shellcheck", path=scripts) or "shellcheck"]]
    for checker in checkers:
        done = subprocess.run(
            [*checker, GOLDEN / name], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_local_script_works_in_a_folder_of_any_name(
    tmp_path: Path, fake_python: Path, name: str
) -> None:
    project = tmp_path / name
    project.mkdir()
    text = script(LOCAL, root=project, python=str(fake_python))
    done = run_script(text, tmp_path, arguments=("7",))
    *lines, started = done.stdout.splitlines()
    assert lines == expected_output(project, slot=7, walltime_s=86_400)
    assert int(started) > 0
    assert done.stderr == ""


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\\" not in name])
def test_the_slurm_script_works_in_a_folder_of_any_name(
    tmp_path: Path, fake_python: Path, name: str
) -> None:
    project = tmp_path / name
    project.mkdir()
    split = profile(max_array_size=10, setup=[])
    text = script(split, root=project, python=str(fake_python))
    done = run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="1")
    *lines, _ = done.stdout.splitlines()
    assert lines == expected_output(project, slot=11, walltime_s=14_400)


def test_a_plain_job_knows_its_slot_without_an_array(tmp_path: Path, fake_python: Path) -> None:
    bare = profile(max_array_size=0, setup=[])
    text = script(bare, root=tmp_path, slots=4, python=str(fake_python))
    *lines, _ = run_script(text, tmp_path).stdout.splitlines()
    assert lines == expected_output(tmp_path, slot=3, walltime_s=14_400)


def test_a_script_without_its_slot_runs_nothing(tmp_path: Path, fake_python: Path) -> None:
    for text in (
        script(profile(setup=[]), root=tmp_path, python=str(fake_python)),
        script(LOCAL, root=tmp_path, python=str(fake_python)),
    ):
        done = run_script(text, tmp_path)
        assert done.returncode != 0
        assert done.stdout == ""


def test_setup_that_fails_ends_with_its_own_exit_code(tmp_path: Path, fake_python: Path) -> None:
    broken = profile(setup=["true", "exit_with_failure || false"])
    text = script(broken, root=tmp_path, python=str(fake_python))
    done = run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="0")
    assert (done.returncode, done.stdout) == (78, "")


def test_a_project_that_is_gone_ends_with_the_exit_code_of_setup(tmp_path: Path) -> None:
    text = script(profile(setup=[]), root=tmp_path / "gone")
    assert run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="0").returncode == 78


def test_a_python_that_is_gone_ends_with_the_shells_exit_code(tmp_path: Path) -> None:
    text = script(profile(setup=[]), root=tmp_path, python=str(tmp_path / "gone"))
    assert run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="0").returncode in {126, 127}


@pytest.mark.parametrize("scheduler", ["slurm", "local"])
def test_the_warning_signal_does_not_end_the_setup(
    tmp_path: Path, fake_python: Path, scheduler: str
) -> None:
    signalled = {**CLUSTER, "setup": ["kill -USR1 $$"], "scheduler": scheduler}
    if scheduler == "local":
        signalled |= {"partition": None, "account": None}
    profile = parse_profile(signalled, source="p.yaml", name="p")
    text = script(profile, root=tmp_path, python=str(fake_python))
    done = run_script(text, tmp_path, arguments=("0",), SLURM_ARRAY_TASK_ID="0")
    assert done.returncode == 0
    assert "slidearray" in done.stdout


def test_every_directive_stands_before_the_first_command() -> None:
    lines = script(profile(), root=Path("/data")).splitlines()
    directives = [n for n, line in enumerate(lines) if line.startswith("#SBATCH")]
    commands = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
    assert max(directives) < min(commands)
    assert lines[min(commands)] == "trap '' USR1"
