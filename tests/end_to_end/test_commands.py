"""What each command promises to the person who types it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.end_to_end.support import Project, json_path, snapshot


def test_a_plan_prints_what_it_will_cost_and_is_made_once(ready: Project) -> None:
    printed = ready.run("plan", "slidearray.yaml").stdout
    for word in ("tasks", "core-hours", "features at most", "inodes"):
        assert word in printed
    before = snapshot(ready.folder)
    again = ready.run("plan", "slidearray.yaml", expect=1).stderr
    assert "runs/one" in again
    assert "is the same plan" in again
    ready.config(tiles={"tile_size": 128, "stride": 256, "level": 0})
    differs = ready.run("plan", "slidearray.yaml", expect=1).stderr
    assert "tiles.tile_size (256 there, 128 now)" in differs
    assert snapshot(ready.folder / "runs") == {
        name.removeprefix("runs/"): data
        for name, data in before.items()
        if name.startswith("runs/")
    }


def test_a_plan_without_a_usable_slide_is_refused_and_leaves_nothing(ready: Project) -> None:
    ready.manifest([{"slide_id": "gone", "path": "gone.svs"}])
    refused = ready.run("plan", "slidearray.yaml", expect=1).stderr
    assert "missing_file" in refused
    assert "row 2" in refused
    assert not (ready.folder / "runs").exists() or not list((ready.folder / "runs").iterdir())


@pytest.mark.parametrize("profile", ["local", "slurm-cpu"])
def test_a_dry_run_prints_scripts_and_commands_and_touches_nothing(
    ready: Project, profile: str
) -> None:
    ready.run("plan", "slidearray.yaml", "--profile", profile)
    before = snapshot(ready.folder)
    printed = ready.run("submit", "runs/one", "--dry-run").stdout
    assert "#!/bin/bash -l" in printed
    assert "-m slidearray work" in printed
    if profile == "slurm-cpu":
        assert "#SBATCH --array=0-0" in printed
        assert "sbatch --parsable --hold" in printed
        assert "scontrol release {array id of 0}" in printed
    assert snapshot(ready.folder) == before


def test_a_run_is_submitted_once_and_resubmit_is_named(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml")
    ready.run("submit", "runs/one", "--local")
    assert "resubmit" in ready.run("submit", "runs/one", "--local", expect=1).stderr
    assert "nothing to send" in ready.run("resubmit", "runs/one", "--local").stdout


def test_the_steps_by_hand_give_the_same_store_as_the_one_liner(ready: Project) -> None:
    ready.run("run", "slidearray.yaml")
    ready.run("plan", "slidearray.yaml", "--run-dir", "runs/two", "--profile", "slurm-cpu")
    ready.run("submit", "runs/two", "--local")
    ready.run("reduce", "runs/two")
    assert ready.store("runs/two").read_bytes() == ready.store().read_bytes()


def test_verify_finds_a_changed_file_and_names_it(ready: Project) -> None:
    ready.run("run", "slidearray.yaml")
    ready.run("verify", "runs/one")
    file = ready.folder / "runs/one/features/color-texture/s0_features.h5"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    faulty = ready.json("verify", "runs/one", expect=3)
    assert [Path(check["path"]).name for check in faulty if check["faults"]] == [file.name]


def test_a_typo_in_a_users_template_is_an_error_that_names_it(ready: Project) -> None:
    (ready.folder / "mine.j2").write_text("#!/bin/bash\necho {{ job_nmae }}\n")
    profile = {"version": 1, "scheduler": "slurm", "walltime": 10, "memory": "1G"}
    (ready.folder / "cluster.yaml").write_text(yaml.safe_dump({**profile, "template": "mine.j2"}))
    ready.run("plan", "slidearray.yaml", "--profile", "cluster.yaml")
    refused = ready.run("submit", "runs/one", "--dry-run", expect=1).stderr
    assert "mine.j2" in refused
    assert "job_nmae" in refused


def test_a_users_template_is_what_runs(ready: Project) -> None:
    template = "#!/bin/bash\ntouch {{ project | sh }}/mine\n"
    template += "exec {{ python | sh }} -m slidearray work {{ run_dir | sh }} {{ attempt }} $1 "
    template += "--walltime {{ shape.walltime_s }} --started $(date +%s)\n"
    (ready.folder / "mine.j2").write_text(template)
    profile = {"version": 1, "scheduler": "local", "walltime": 10, "memory": "1G"}
    (ready.folder / "cluster.yaml").write_text(yaml.safe_dump({**profile, "template": "mine.j2"}))
    ready.run("run", "slidearray.yaml", "--profile", "cluster.yaml")
    assert (ready.folder / "mine").exists()


def test_a_run_directory_moves_with_its_project(ready: Project, tmp_path: Path) -> None:
    ready.run("plan", "slidearray.yaml")
    ready.run("submit", "runs/one", "--local")
    moved = Project(tmp_path / "elsewhere" / "project")
    shutil.move(ready.folder, moved.folder)
    moved.run("reduce", "runs/one")
    assert moved.json("status", "runs/one")["complete"]


def test_a_project_that_moved_alone_is_asked_for_and_can_be_given(
    ready: Project, tmp_path: Path
) -> None:
    run = tmp_path / "scratch" / "one"
    ready.run("plan", "slidearray.yaml", "--run-dir", run)
    shutil.move(ready.folder, tmp_path / "moved")
    away = Project(tmp_path)
    assert "--project" in away.run("submit", run, "--local", expect=1).stderr
    away.run("submit", run, "--local", "--project", "moved")


def test_json_is_one_value_and_nothing_else_also_for_errors(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml")
    assert ready.json("status", "runs/one", expect=3)["states"]["pending"] == 3
    assert ready.json("info", json_path(ready, "s0"))["levels"][0]["width"] == 800
    assert ready.json("manifest", "check", "metadata/slide_manifest.csv")["slides"] == 3
    refused = ready.run("status", "nowhere", "--json", expect=1)
    assert "nowhere" in json.loads(refused.stdout)["error"]


def test_every_error_of_the_user_is_one_line_without_a_traceback(ready: Project) -> None:
    wrong = [
        ("plan", "nowhere.yaml"),
        ("plan", "metadata"),
        ("plan", "slidearray.yaml", "--profile", "nowhere"),
        ("status", "slidearray.yaml"),
        ("info", "gone.svs"),
        ("info", "slidearray.yaml"),
        ("manifest", "check", "nowhere.csv"),
        ("manifest", "build", "nowhere", "-o", "m.csv"),
        ("resubmit", "runs/one", "--include", "bad_luck"),
        ("init", "slidearray.yaml"),
    ]
    for arguments in wrong:
        refused = ready.run(*arguments, expect=1)
        assert refused.stderr.startswith("error: "), arguments
    ready.run("no-such-command", expect=2)


def test_the_demo_goes_on_with_its_own_slides_and_refuses_others(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    first = project.run("demo", "a demo", "--slides", slides).stdout
    for word in ("slides with tiles", "tiles/s", "store ", "FeatureStore("):
        assert word in first
    assert "going on" in project.run("demo", "a demo", "--slides", slides).stdout
    other = tmp_path / "other"
    shutil.copytree(slides, other)
    refused = project.run("demo", "a demo", "--slides", other, expect=1).stderr
    assert "a demo of other slides" in refused


def test_output_that_nobody_reads_on_is_no_error(ready: Project) -> None:
    shown = f"{' '.join(ready.argv('run', 'slidearray.yaml'))} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shown}"],
        cwd=ready.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
