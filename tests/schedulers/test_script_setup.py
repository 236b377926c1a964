"""What runs before the worker in a job script: login profile, setup lines, container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.schedulers.job_scripts import (
    LOCAL,
    TASK_VARIABLE,
    array_job,
    profile,
    program,
    run_script,
    run_task,
    script,
)

from slidearray.errors import RunError
from slidearray.submitter.scripts import probe_script

if TYPE_CHECKING:
    from pathlib import Path

#: Modules as sites define them: a function of the login profile, which reads unset variables.
MODULES = """
module() {
    if [ "$2" = broken ]; then echo "no module $2" >&2; return 1; fi
    echo "loaded $2, before: $LOADED"
    LOADED="$LOADED:$2"
}
"""

#: What `source .../conda.sh` and `conda activate` need of conda.
CONDA = """#!/bin/sh
[ "$1 $2" = "info --base" ] && dirname "$(dirname "$(readlink -f "$0")")"
"""
CONDA_SH = """
conda() {
    [ "$1" = activate ] || return 2
    local unset_on_purpose="$CONDA_NEVER_SET"
    export CONDA_DEFAULT_ENV="$2"
    PATH="$CONDA_ROOT/envs/$2/bin:$PATH"
}
"""

EVERYWHERE = pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])

SHOW_ENVIRONMENT = '#!/bin/sh\nprintf "%s\\n" "$VIRTUAL_ENV" "$CONDA_DEFAULT_ENV" "$MARK" "$0"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose login profile defines `module`, and finds what is in `bin`."""
    (tmp_path / "bin").mkdir()
    # A login shell may set PATH anew (Debian's /etc/profile does), so the profile has to.
    login = f'{MODULES}PATH="{tmp_path}/bin:$PATH"\n'
    (tmp_path / ".bash_profile").write_text(login, encoding="utf-8")
    return tmp_path


@EVERYWHERE
def test_a_function_of_the_login_profile_works_in_setup(home: Path, scheduler: str) -> None:
    setup = ["module load cuda/12", "module load python"]
    ours = profile(scheduler, setup=setup, python="echo")
    code, printed = run_task(ours, script(ours, root=home), home)
    first, second, command = printed.splitlines()
    assert (code, first) == (0, "loaded cuda/12, before: ")
    assert second == "loaded python, before: :cuda/12"
    assert "slidearray" in command


@EVERYWHERE
@pytest.mark.parametrize("line", ["module load broken", "exit_with_failure", "cd /not/there"])
def test_a_setup_line_that_fails_ends_with_its_own_exit_code(
    home: Path, line: str, scheduler: str
) -> None:
    ours = profile(scheduler, setup=["true", line, "echo went on"], python="echo")
    code, printed = run_task(ours, script(ours, root=home), home)
    assert (code, printed.count("went on")) == (78, 0)


@EVERYWHERE
def test_a_virtual_environment_is_activated(home: Path, scheduler: str) -> None:
    bin_dir = home / ".venv" / "bin"
    bin_dir.mkdir(parents=True)
    activate = f'VIRTUAL_ENV={home}/.venv\nexport VIRTUAL_ENV\nPATH="$VIRTUAL_ENV/bin:$PATH"\n'
    (bin_dir / "activate").write_text(activate, encoding="utf-8")
    program(bin_dir / "python", SHOW_ENVIRONMENT)
    ours = profile(scheduler, setup=["source .venv/bin/activate"], python="python")
    _, printed = run_task(ours, script(ours, root=home), home)
    assert printed.splitlines() == [f"{home}/.venv", "", "", str(bin_dir / "python")]


@EVERYWHERE
def test_a_conda_environment_is_activated(home: Path, scheduler: str) -> None:
    conda = home / "conda"
    for folder in ("bin", "etc/profile.d", "envs/slides/bin"):
        (conda / folder).mkdir(parents=True)
    program(conda / "bin" / "conda", CONDA)
    (conda / "etc" / "profile.d" / "conda.sh").write_text(
        f"CONDA_ROOT={conda}\n{CONDA_SH}", encoding="utf-8"
    )
    python = program(conda / "envs" / "slides" / "bin" / "python", SHOW_ENVIRONMENT)
    ours = profile(
        scheduler,
        setup=['source "$(conda info --base)/etc/profile.d/conda.sh"', "conda activate slides"],
        python="python",
    )
    (home / "bin" / "conda").symlink_to(conda / "bin" / "conda")
    _, printed = run_task(ours, script(ours, root=home), home)
    assert printed.splitlines() == ["", "slides", "", str(python)]


@EVERYWHERE
def test_the_warning_signal_does_not_end_the_setup(home: Path, scheduler: str) -> None:
    ours = profile(scheduler, setup=["kill -USR1 $$"], python="echo")
    code, printed = run_task(ours, script(ours, root=home), home)
    assert code == 0
    assert "slidearray" in printed


FAKE_APPTAINER = """#!/bin/sh
echo "pid $$"
env | grep -E '^(APPTAINER|SINGULARITY|SLURM|PBS)_' | sort
printf "%s\\n" "$@"
"""


@pytest.fixture
def apptainer(home: Path) -> None:
    """An `apptainer` that prints its process, what it was told by variables, its arguments."""
    program(home / "bin" / "apptainer", FAKE_APPTAINER)


CONTAINER = {"image": "x y.sif", "binds": ["/data"], "options": ["--nv"]}


@pytest.mark.usefixtures("apptainer")
@EVERYWHERE
def test_the_worker_replaces_the_shell_inside_the_container(home: Path, scheduler: str) -> None:
    ours = profile(scheduler, container=CONTAINER, setup=["echo pid $$"], python=None)
    text = script(ours, root=home, job=array_job(ours, offset=3))
    _, printed = run_task(ours, text, home, task=3 if scheduler == "local" else 0)
    shell, inside, *words, _ = printed.splitlines()
    assert shell == inside
    if scheduler != "local":
        assert words.pop(0) == f"{TASK_VARIABLE[scheduler]}=0"
    run = str(home / "runs" / "first")
    assert words == [
        "exec", "--bind", str(home), "--bind", run, "--bind", "/data", "--nv", "x y.sif",
        "python", "-P", "-m", "slidearray", "work", run, "1", "3",
        "--project", str(home), "--walltime", "14400", "--started",
    ]  # fmt: skip


@pytest.mark.usefixtures("apptainer")
@EVERYWHERE
def test_variables_that_would_cut_the_worker_off_do_not_reach_the_container(
    home: Path, scheduler: str
) -> None:
    setup = [f"export {kind}_{name}=1" for kind in ("APPTAINER", "SINGULARITY")
             for name in ("CLEANENV", "COMPAT", "CONTAINALL", "PID", "UNSHARE_PID")]  # fmt: skip
    setup += ["export APPTAINER_BIND=/scratch"]
    ours = profile(scheduler, container=CONTAINER, setup=setup)
    _, printed = run_task(ours, script(ours, root=home), home)
    told = {line for line in printed.splitlines() if line.startswith(("APPTAINER", "SINGULARITY"))}
    assert told == {"APPTAINER_BIND=/scratch"}


@pytest.mark.usefixtures("apptainer")
@EVERYWHERE
def test_the_profiles_python_is_the_one_in_the_container(home: Path, scheduler: str) -> None:
    ours = profile(scheduler, container=CONTAINER, setup=[], python="/opt/conda/bin/python")
    _, printed = run_task(ours, script(ours, root=home), home)
    words = printed.splitlines()
    assert words[words.index("x y.sif") + 1] == "/opt/conda/bin/python"


@pytest.mark.usefixtures("apptainer")
def test_a_probe_runs_in_the_container_with_its_folder_bound(home: Path) -> None:
    ours = profile(container=CONTAINER, setup=[], python=None)
    folder = home / "probe"
    words = ["doctor-task", str(folder)]
    text = probe_script(ours, project=home, folder=folder, name="saprobe", words=words)
    shown = run_script(text, home).stdout.splitlines()[1:]
    assert shown[:5] == ["exec", "--bind", str(home), "--bind", str(folder)]
    assert shown[8:15] == [
        "x y.sif", "python", "-P", "-m", "slidearray", "doctor-task", str(folder),
    ]  # fmt: skip


def test_a_project_that_cannot_be_bound_is_refused_by_name(tmp_path: Path) -> None:
    ours = LOCAL.model_copy(update={"container": profile(container=CONTAINER).container})
    with pytest.raises(RunError, match="apptainer cannot bind a folder with ':'"):
        script(ours, root=tmp_path / "a:b")
