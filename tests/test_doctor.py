from __future__ import annotations

import json
import os
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.end_to_end.support import Project

from slidearray.core.profile import Profile, parse_profile
from slidearray.doctor import basics, probe
from slidearray.doctor.checks import Check, Result
from slidearray.doctor.folder import ProbeFolder, Question, own_folder, write_question
from slidearray.errors import RunError
from slidearray.schedulers.limits import ControlGroups

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "a project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def folder(project: Project) -> Iterator[ProbeFolder]:
    with own_folder(project.folder, wait=time.sleep) as folder:
        yield folder


def profile(**keys: Any) -> Profile:
    raw = {"version": 1, "scheduler": "local", "walltime": 60, "memory": "500M", **keys}
    return parse_profile(raw, source="test", name="test")


def results(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.result.value for check in checks}


def checked(project: Project, *args: str, expect: int = 0) -> dict[str, dict[str, str]]:
    """What `doctor --json` says of each check, those of a node as ``node: name``."""
    found = project.json("doctor", *args, expect=expect)
    assert found["sound"] is (expect == 0)
    names = [("node: " if each["where"] else "") + each["name"] for each in found["checks"]]
    assert len(names) == len(set(names))
    return dict(zip(names, found["checks"], strict=True))


def test_every_library_that_the_package_needs_is_looked_at() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    assert [name.split(">")[0] for name in needed] == [name for name, _ in basics.LIBRARIES]


def test_a_sound_machine_passes_every_check_and_keeps_nothing(project: Project) -> None:
    found = checked(project)
    assert {each["result"] for each in found.values()} == {"ok"}
    assert list(found) == [
        *("python", "libraries", "openslide", "hdf5", "files", "space", "temporary files"),
        *("profile", "resources"),
    ]
    assert list(project.folder.iterdir()) == []


def test_a_visit_without_a_scheduler_runs_the_same_script_here(project: Project) -> None:
    found = checked(project, "--submit")
    assert {each["result"] for each in found.values()} == {"ok"}
    both = ("python", "libraries", "openslide", "hdf5", "files", "space", "temporary files")
    assert found.keys() >= {f"node: {name}" for name in both}
    assert found.keys() >= {"node: shared folder", "node: paths", "node: umask", "results"}
    assert list(project.folder.iterdir()) == []


def test_people_read_a_line_a_check_and_below_it_what_to_do(project: Project) -> None:
    (project.folder / "slidearray.yaml").write_text("version: 1\nnonsense: 2\n")
    printed = project.run("doctor", expect=1).stdout
    assert "\nfail  config: " in printed
    assert "nonsense" in printed
    assert "\n      -> mend the config\n" in printed
    assert printed.endswith(", 1 failed\n")


def test_a_library_that_breaks_while_it_loads_is_named_without_a_traceback(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    found = checked(project, expect=1)
    assert "opencv-python-headless: ImportError: libGL.so.1" in found["libraries"]["found"]
    assert found["openslide"]["result"] == "fail"
    assert found["hdf5"]["result"] == "ok"


def test_a_profile_that_cannot_be_used_is_one_finding_among_others(project: Project) -> None:
    (project.folder / "mine.yaml").write_text("version: 1\nscheduler: slurm\nmemry: 4G\n")
    found = checked(project, "--profile", "mine.yaml", "--submit", expect=1)
    assert "memry" in found["profile"]["found"]
    assert found["files"]["result"] == "ok"
    assert not any(name.startswith("node") for name in found)


def test_a_cluster_profile_without_its_commands_says_where_to_run_this(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checked(project, "--profile", "slurm-cpu", expect=1)
    assert found["scheduler"]["result"] == "fail"
    assert "login node" in found["scheduler"]["advice"]


def test_a_project_that_is_not_there_is_an_error(project: Project) -> None:
    assert "no such folder" in project.run("doctor", "--project", "gone", expect=1).stderr


def test_what_a_run_directory_is_built_on_is_tried_for_real(tmp_path: Path) -> None:
    found = basics.check_files(tmp_path)
    assert (found.result, f"umask {_umask():04o}" in found.found) == (Result.OK, True)
    no_links = basics.check_files(tmp_path)  # the link's name is taken now
    assert no_links.result is Result.WARN
    assert "no hard links" in no_links.found
    gone = basics.check_files(tmp_path / "gone")
    assert gone.result is Result.FAIL
    assert "cannot create a file: No such file" in gone.found
    (tmp_path / "doctor.old").unlink()
    (tmp_path / "doctor.old").mkdir()
    assert basics.check_files(tmp_path).result is Result.FAIL


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_another_slidearray_is_wrong_and_another_library_is_told() -> None:
    here = basics.found_versions()
    assert basics.check_libraries(here).result is Result.OK
    other = basics.check_libraries({**here, "numpy": "1.0"})
    assert other.result is Result.WARN
    assert f"numpy {here['numpy']} instead of 1.0" in other.found
    assert basics.check_libraries({**here, "slidearray": "9"}).result is Result.FAIL


def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert basics.check_space(tmp_path).result is Result.OK
    monkeypatch.setattr(basics, "LITTLE_BYTES", 10**18)
    assert basics.check_space(tmp_path).result is Result.WARN


def test_a_folder_of_temporary_files_that_python_passes_over_is_told(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    found = checked(project)["temporary files"]
    assert found["result"] == "warn"
    assert found["found"].startswith(f"TMPDIR is {tmp_path / 'gone'}, which cannot be written to; ")


def question(folder: ProbeFolder, made: Profile, *, paths: tuple[str, ...] = ()) -> Question:
    return Question(
        name="sdtest",
        profile=made.to_json(),
        versions=basics.found_versions(),
        umask=_umask(),
        paths=paths,
    )


def test_a_node_that_nobody_answers_says_so_and_looks_at_the_rest(folder: ProbeFolder) -> None:
    write_question(folder, question(folder, profile()))
    probe.run_probe(folder, seconds=0, wait=time.sleep)
    report = json.loads(folder.report.read_text())
    found = {each["name"]: each for each in report["checks"]}
    assert found["shared folder"]["result"] == "fail"
    assert "the project has to lie on a file system" in found["shared folder"]["advice"]
    assert found["hdf5"]["result"] == "ok"


def test_a_node_that_sees_no_question_stops_with_the_path(folder: ProbeFolder) -> None:
    with pytest.raises(RunError, match=r"question\.json: cannot be read on this node"):
        probe.run_probe(folder, seconds=0, wait=time.sleep)


def test_paths_that_a_node_lacks_or_may_not_write_to_are_named(tmp_path: Path) -> None:
    assert probe.check_paths((str(tmp_path),)).result is Result.OK
    missing = probe.check_paths((str(tmp_path), str(tmp_path / "gone")))
    assert missing.result is Result.FAIL
    assert missing.found == f"{tmp_path / 'gone'}: not there"
    closed = probe.check_paths(("/proc/self",))
    assert closed.found == "/proc/self: cannot be written to"


def test_another_umask_is_told_with_the_line_that_mends_it() -> None:
    assert probe.check_umask(_umask()).result is Result.OK
    found = probe.check_umask(0o007)
    assert found.result is Result.WARN
    assert "`umask 0007` in the profile's setup" in found.advice


@pytest.mark.parametrize(
    ("limit", "scheduler", "result"),
    [
        ("max", "slurm", Result.WARN),
        ("max", "local", Result.OK),
        (str(500 * 2**20), "slurm", Result.OK),
        (str(400 * 2**20), "slurm", Result.FAIL),
    ],
)
def test_memory_is_compared_with_what_was_asked_for(
    tmp_path: Path, limit: str, scheduler: str, result: Result
) -> None:
    groups = _groups(tmp_path, limit)
    assert probe.check_resources(profile(scheduler=scheduler), groups).result is result


def test_fewer_cpus_than_asked_for_are_wrong(tmp_path: Path) -> None:
    found = probe.check_resources(profile(cpus_per_task=4096), _groups(tmp_path, "max"))
    assert found.result is Result.FAIL
    assert "asked: 4096 CPUs" in found.found


def _groups(tmp_path: Path, limit: str) -> ControlGroups:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "mountinfo").write_text(
        f"30 24 0:26 / {tmp_path} rw shared:4 - cgroup2 cgroup2 rw\n"
    )
    (tmp_path / "cgroup").write_text("0::/\n")
    return ControlGroups(tmp_path)


GPU = "#!/bin/sh\necho 'GPU 0: Some Card (UUID: 1)'\n"
NO_DRIVER = "#!/bin/sh\necho 'NVIDIA-SMI has failed: no driver'; exit 9\n"


@pytest.mark.parametrize(
    ("given", "tool", "result", "words"),
    [
        ("0", GPU, "ok", "CUDA_VISIBLE_DEVICES=0; GPU 0: Some Card (UUID: 1)"),
        ("0", NO_DRIVER, "fail", "nvidia-smi -L: NVIDIA-SMI has failed: no driver"),
        ("0", "", "warn", "no nvidia-smi, so no driver was seen"),
        ("", GPU, "fail", "no GPU variable set; asked: 1"),
        ("0,1", GPU, "fail", "CUDA_VISIBLE_DEVICES=0,1; asked: 1"),
    ],
)
def test_gpus_are_those_asked_for_and_have_a_driver(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    tool: str,
    result: str,
    words: str,
) -> None:
    if tool:
        (tmp_path / "nvidia-smi").write_text(tool)
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = profile(scheduler="slurm", gpus="a100:1")
    found = probe.check_gpus(asked, {"CUDA_VISIBLE_DEVICES": given})
    assert found.result == result
    assert words in found.found


@pytest.mark.parametrize(
    ("given", "tool", "result", "words"),
    [
        ("", GPU, "warn", "no GPU variable set; 1 GPUs are seen, asked: 1"),
        ("", NO_DRIVER, "fail", "nvidia-smi -L: NVIDIA-SMI has failed: no driver"),
        ("GPU-1", GPU, "ok", "CUDA_VISIBLE_DEVICES=GPU-1; GPU 0: Some Card (UUID: 1)"),
        ("GPU-1,GPU-2", GPU, "fail", "asked: 1"),
    ],
)
def test_pbs_without_its_hook_leaves_every_gpu_to_see(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    tool: str,
    result: str,
    words: str,
) -> None:
    (tmp_path / "nvidia-smi").write_text(tool)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = profile(scheduler="pbs", gpus=1)
    found = probe.check_gpus(asked, {"CUDA_VISIBLE_DEVICES": given})
    assert found.result == result
    assert words in found.found


def test_a_node_tells_which_job_and_task_it_was_seen_in() -> None:
    array = {"PBS_JOBID": "201[3].head", "PBS_ARRAY_ID": "201[].head", "PBS_ARRAY_INDEX": "3"}
    assert probe.check_job(array).found == "pbs job 201[], task 3"
    plain = probe.check_job({"SLURM_JOB_ID": "9"})
    assert (plain.result, plain.found) == (Result.OK, "slurm job 9")


def test_a_container_that_hides_the_job_is_told() -> None:
    found = probe.check_job({"APPTAINER_CONTAINER": "/images/ours.sif"})
    assert found.result is Result.WARN
    assert "hand them on" in found.advice


def test_a_job_outside_of_its_container_is_found() -> None:
    assert probe.check_container({}).result is Result.FAIL
    inside = probe.check_container({"APPTAINER_CONTAINER": "/images/ours.sif"})
    assert (inside.result, inside.found) == (Result.OK, "/images/ours.sif")


def test_the_folder_of_a_run_is_among_the_paths_that_a_node_looks_at(project: Project) -> None:
    (project.folder / "runs").mkdir()
    project.config(run_dir="runs/later/one")
    found = checked(project, "--submit")
    assert found["node: paths"]["found"] == f"{project.folder}, {project.folder / 'runs'}"
    assert yaml.safe_load((project.folder / "slidearray.yaml").read_text())  # still there
