"""The job scripts that come with slidearray, rendered and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.schedulers.job_scripts import (
    EVERYTHING,
    LOCAL,
    PYTHON,
    array_job,
    plain_job,
    profile,
    program,
    run_in,
    run_script,
    script,
)

from slidearray.core.profile import OPTION_KEYS, parse_profile
from slidearray.errors import TemplateError
from slidearray.submitter.scripts import advance_script, probe_script

if TYPE_CHECKING:
    from slidearray.core.profile import Profile

GOLDEN = Path(__file__).parents[1] / "golden"

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


def golden_scripts() -> dict[str, str]:
    """Every script that is held to the letter, by its file."""
    hostile, plain = Path("/data/it's a 100% project"), Path("/data/project")
    bare = profile(max_array_size=0, partition=None, account=None, setup=[])
    everything = parse_profile(EVERYTHING, source="p.yaml", name="p")
    local_container = {key: EVERYTHING[key] for key in ("version", "walltime", "container")}
    contained = {**local_container, "memory": "4G", "scheduler": "local"}
    local = LOCAL.model_copy(update={"python": PYTHON})
    local_contained = parse_profile(contained, source="p.yaml", name="p")
    return {
        "slurm_array.sh": script(profile(), root=hostile),
        "slurm_plain.sh": script(bare, root=plain, job=plain_job(bare)),
        "slurm_everything.sh": script(everything, root=hostile, exclude=["n2", "n3"]),
        "slurm_advance.sh": advance_script(
            run_in(hostile), everything, number=1, name="svk3f9a2-1"
        ),
        "slurm_advance_plain.sh": advance_script(run_in(plain), bare, number=2, name="svk3f9a2-2"),
        "local.sh": script(local, root=plain, job=array_job(local, array=None)),
        "local_container.sh": script(local_contained, root=plain, job=array_job(local_contained)),
    }


GOLDEN_NAMES = sorted(path.name for path in GOLDEN.glob("*.sh"))


def test_every_golden_script_has_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", PYTHON)
    assert sorted(golden_scripts()) == GOLDEN_NAMES


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_script_is_the_golden_one_to_the_letter(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", PYTHON)
    assert golden_scripts()[name] == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOLDEN_NAMES)
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
    text = script(with_python(LOCAL, fake_python), root=project)
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
    ours = profile(setup=[], python=str(fake_python))
    second = array_job(ours, index=1, offset=10, count=2, array="0-1")
    text = script(ours, root=project, job=second)
    done = run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="1")
    *lines, _ = done.stdout.splitlines()
    assert lines == expected_output(project, slot=11, walltime_s=14_400)


def test_a_plain_job_knows_its_slot_without_an_array(tmp_path: Path, fake_python: Path) -> None:
    ours = profile(setup=[], python=str(fake_python))
    text = script(ours, root=tmp_path, job=plain_job(ours, slot=3))
    *lines, _ = run_script(text, tmp_path).stdout.splitlines()
    assert lines == expected_output(tmp_path, slot=3, walltime_s=14_400)


def test_a_script_without_its_slot_runs_nothing(tmp_path: Path, fake_python: Path) -> None:
    for ours in (profile(setup=[]), LOCAL):
        text = script(with_python(ours, fake_python), root=tmp_path)
        done = run_script(text, tmp_path)
        assert done.returncode != 0
        assert done.stdout == ""


def test_a_project_that_is_gone_ends_with_the_exit_code_of_setup(tmp_path: Path) -> None:
    text = script(profile(setup=[]), root=tmp_path / "gone")
    assert run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="0").returncode == 78


def test_a_python_that_is_gone_ends_with_the_shells_exit_code(tmp_path: Path) -> None:
    text = script(profile(setup=[], python=str(tmp_path / "gone")), root=tmp_path)
    assert run_script(text, tmp_path, SLURM_ARRAY_TASK_ID="0").returncode in {126, 127}


def directives(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#SBATCH")]


def test_every_directive_stands_before_the_first_command() -> None:
    everything = parse_profile(EVERYTHING, source="p.yaml", name="p")
    first = advance_script(run_in(Path("/data")), everything, number=1, name="x")
    for text in (script(everything, root=Path("/data")), first):
        lines = text.splitlines()
        commands = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
        assert not [line for line in lines[min(commands) :] if line.startswith("#SBATCH")]
    assert "trap '' USR1" in script(everything, root=Path("/data")).splitlines()


def test_the_first_thing_that_an_array_does_is_to_ignore_the_warning_signal() -> None:
    for text in (script(profile(), root=Path("/data")), script(LOCAL, root=Path("/data"))):
        commands = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert commands[0] == "trap '' USR1"


def test_nodes_that_failed_are_excluded_and_arrays_send_no_mail() -> None:
    ours = profile(exclude="n9", mail={"to": "me@example.org"})
    lines = directives(script(ours, root=Path("/data"), exclude=["n2"]))
    assert "#SBATCH --exclude=n9,n2" in lines
    assert [line for line in lines if "mail" in line] == ["#SBATCH --mail-type=NONE"]


def test_the_job_that_follows_runs_the_setup_and_then_goes_on_with_the_run(tmp_path: Path) -> None:
    python = program(tmp_path / "python", '#!/bin/sh\npwd\nprintf "%s\\n" "$MARK" "$@"\n')
    project = tmp_path / "it's a $(project)"
    project.mkdir()
    ours = profile(setup=["export MARK=set"], python=str(python))
    text = advance_script(run_in(project), ours, number=3, name="svk3f9a2-3")
    run = str(project / "runs" / "first")
    assert run_script(text, tmp_path).stdout.splitlines() == [
        str(project), "set", "-P", "-m", "slidearray", "advance", run, "3",
        "--project", str(project),
    ]  # fmt: skip


def test_a_setup_line_that_fails_does_not_end_the_job_that_is_to_tell_of_it(tmp_path: Path) -> None:
    ours = profile(setup=["false"], python="echo")
    done = run_script(advance_script(run_in(tmp_path), ours, number=1, name="sv"), tmp_path)
    assert done.returncode == 0
    assert "advance" in done.stdout
    assert "setup line failed" in done.stderr


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


def own_template(project: Path, text: str) -> Profile:
    (project / "own.sh.j2").write_text(text, encoding="utf-8")
    return profile(template="own.sh.j2", account=None)


def test_a_template_of_ones_own_is_read_from_the_project(tmp_path: Path) -> None:
    ours = own_template(
        tmp_path, "{{ python | sh }} {{ run_dir }} {{ attempt }} {{ profile.partition }}"
    )
    assert script(ours, root=tmp_path) == f"{PYTHON} -P {tmp_path}/runs/first 1 cpu"


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"own\.sh\.j2: the job template cannot be read"):
        script(profile(template="own.sh.j2"), root=tmp_path)


@pytest.mark.parametrize("key", OPTION_KEYS)
def test_a_template_that_would_ignore_the_profile_is_refused(tmp_path: Path, key: str) -> None:
    own_template(tmp_path, "{{ log }} {{ profile.setup }}")
    keys: dict[str, object] = {"partition": None, "account": None, key: EVERYTHING[key]}
    ours = profile(template="own.sh.j2", **keys)
    with pytest.raises(TemplateError, match=f"uses neither profile.{key} nor options"):
        script(ours, root=tmp_path)
    for mended in (f"{{{{ profile.{key} }}}}", "{% for each in options %}{% endfor %} mended"):
        own_template(tmp_path, mended)
        assert script(ours, root=tmp_path)


def test_a_template_that_would_leave_the_container_out_is_refused(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ options }} {{ python | sh }}")
    ours = profile(template="own.sh.j2", container={"image": "x.sif"})
    with pytest.raises(TemplateError, match=r"does not use command: begin its last line with"):
        script(ours, root=tmp_path)


def test_a_probe_needs_a_template_that_starts_what_it_is_told(tmp_path: Path) -> None:
    ours = own_template(tmp_path, "{{ options }} {{ python | sh }} -m slidearray work")
    with pytest.raises(TemplateError, match="does not use command"):
        probe_script(ours, project=tmp_path, folder=tmp_path, name="x", words=["doctor-task"])
