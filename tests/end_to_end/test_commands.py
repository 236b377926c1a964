"""What each command promises to the person who types it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.end_to_end.support import Project

from slidearray import FeatureStore
from slidearray.slides.synthetic import write_slide

ENCODER = """
import numpy as np

class Mean:
    name = "mean"
    dim = 3
    def encode(self, tiles):
        {body}
        return tiles.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

def make():
    return Mean()
"""


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for k in range(3):
        write_slide(folder / f"s{k}.svs", width=800, height=600, seed=k, tissue=0.8)
    return folder


@pytest.fixture
def ready(project: Project, slides: Path) -> Project:
    """A project with a manifest and a config, not planned."""
    project.manifest(
        {"slide_id": path.stem, "path": str(path)} for path in sorted(slides.iterdir())
    )
    project.config()
    return project


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def use_encoder(project: Project, body: str, **config: object) -> None:
    (project.folder / "encoder.py").write_text(ENCODER.format(body=body))
    project.config(encoder={"name": "python:encoder.py:make"}, **config)


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
        assert "scontrol release {array id}" in printed
    assert snapshot(ready.folder) == before


def test_a_slurm_profile_says_what_this_version_can_do_with_it(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml", "--profile", "slurm-cpu")
    refused = ready.run("submit", "runs/one", expect=1).stderr
    assert "--local" in refused
    assert "--dry-run" in refused
    assert not (ready.folder / "runs/one/attempts").exists()


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


def test_a_lost_feature_file_is_named_by_reduce_and_sent_again_by_resubmit(ready: Project) -> None:
    ready.run("run", "slidearray.yaml")
    whole = ready.store().read_bytes()
    ready.store().unlink()
    (ready.folder / "runs/one/features/color-texture/s1_features.h5").unlink()
    refused = ready.run("reduce", "runs/one", expect=3).stdout
    assert "s1" in refused
    assert "lost" in refused
    assert not ready.store().exists()
    ready.run("reduce", "runs/one", "--allow-missing", expect=3)
    partial = FeatureStore(ready.store())
    assert not partial.complete
    assert [missing.slide_id for missing in partial.missing] == ["s1"]
    ready.run("resubmit", "runs/one", "--local")
    ready.run("reduce", "runs/one")
    assert ready.store().read_bytes() == whole


def test_verify_finds_a_changed_file_and_names_it(ready: Project) -> None:
    ready.run("run", "slidearray.yaml")
    ready.run("verify", "runs/one")
    file = ready.folder / "runs/one/features/color-texture/s0_features.h5"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    faulty = ready.json("verify", "runs/one", expect=3)
    assert [Path(check["path"]).name for check in faulty if check["faults"]] == [file.name]


def test_an_encoder_that_raises_is_tried_again_and_then_listed_with_its_words(
    ready: Project,
) -> None:
    use_encoder(ready, "raise ValueError('no such weights')", retry={"max_attempts": 2})
    ready.manifest([{"slide_id": "s0", "path": json_path(ready, "s0")}])
    ready.run("run", "slidearray.yaml", expect=3)
    status = ready.json("status", "runs/one", expect=3)
    (trouble,) = status["troubles"]
    assert trouble["class"] == "worker_error"
    assert "no such weights" in trouble["reason"]
    assert status["attempts"] == 2
    assert "nothing to send" in ready.run("resubmit", "runs/one", "--local", expect=3).stdout
    more = ready.run("resubmit", "runs/one", "--local", "--include", "worker_error", expect=3)
    assert "worker_error" in more.stdout
    assert ready.json("status", "runs/one", expect=3)["attempts"] == 3


def json_path(project: Project, slide_id: str) -> str:
    text = (project.folder / "metadata/slide_manifest.csv").read_text()
    return next(line.split(",")[1] for line in text.splitlines() if line.startswith(slide_id))


def test_a_run_stops_when_slot_after_slot_fails_alike_and_shows_a_log(ready: Project) -> None:
    use_encoder(ready, "raise ValueError('no such weights')", shards={"slides_per_task": 1})
    stopped = ready.run("run", "slidearray.yaml", expect=3)
    assert "slot after slot failed with worker_error" in stopped.stdout
    assert "no such weights" in stopped.stdout
    assert ready.json("status", "runs/one", expect=3)["attempts"] == 1
    assert not (ready.folder / "runs/one/stores").exists()


def test_a_setup_line_that_fails_is_not_tried_again_by_itself_and_its_log_is_shown(
    ready: Project,
) -> None:
    profile = {
        "version": 1,
        "scheduler": "local",
        "walltime": 10,
        "memory": "1G",
        "setup": ["module() { echo no such module >&2; return 1; }", "module load cuda/12"],
    }
    (ready.folder / "cluster.yaml").write_text(yaml.safe_dump(profile))
    failed = ready.run("run", "slidearray.yaml", "--profile", "cluster.yaml", expect=78)
    assert "setup_failed" in failed.stdout
    assert "no such module" in failed.stdout
    assert ready.json("status", "runs/one", expect=3)["attempts"] == 1


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


def test_a_slide_whose_header_cannot_be_read_just_now_is_planned_by_its_size(
    ready: Project,
) -> None:
    (ready.folder / "flaky.svs").symlink_to("/proc/self/mem")  # reading it gives EIO
    good = json_path(ready, "s0")
    ready.manifest([{"slide_id": "s0", "path": good}, {"slide_id": "flaky", "path": "flaky.svs"}])
    ready.config(retry={"max_attempts": 2})
    ready.run("run", "slidearray.yaml", expect=3)
    (trouble,) = ready.json("status", "runs/one", expect=3)["troubles"]
    assert trouble == {
        "slide_id": "flaky",
        "class": "worker_error",
        "reason": trouble["reason"],
        "attempts": 2,
    }
    assert "Input/output error" in trouble["reason"]


def test_a_file_that_changed_after_it_was_recorded_never_shrinks_a_store_and_is_made_anew(
    ready: Project,
) -> None:
    ready.run("run", "slidearray.yaml")
    whole = ready.store().read_bytes()
    file = ready.folder / "runs/one/features/color-texture/s0_features.h5"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    stopped = ready.run("run", "slidearray.yaml", expect=75).stdout
    assert "s0" in stopped
    assert "--include lost" in stopped
    assert ready.store().read_bytes() == whole
    ready.run("resubmit", "runs/one", "--local", "--include", "lost")
    ready.run("reduce", "runs/one")
    assert ready.store().read_bytes() == whole


def test_a_slide_that_failed_at_work_goes_again_when_its_class_is_included(
    ready: Project,
) -> None:
    slide = ready.folder / "s0.svs"
    good = Path(json_path(ready, "s0")).read_bytes()
    slide.write_bytes(good)
    ready.manifest([{"slide_id": "s0", "path": "s0.svs"}])
    ready.run("plan", "slidearray.yaml")
    slide.unlink()
    ready.run("submit", "runs/one", "--local", expect=3)
    listed = ready.run("status", "runs/one", expect=3).stdout
    assert "resubmit" in listed
    assert "--include missing_file" in listed
    slide.write_bytes(good)
    assert "nothing to send again" in ready.run("resubmit", "runs/one", expect=3).stdout
    dry = ready.run("resubmit", "runs/one", "--include", "missing_file", "--dry-run").stdout
    assert "attempt 2: 1 slide in 1 array task" in dry
    ready.run("resubmit", "runs/one", "--include", "missing_file")
    ready.run("reduce", "runs/one")


def test_what_the_plan_rejected_is_said_to_need_another_plan(ready: Project) -> None:
    ready.manifest(
        [{"slide_id": "s0", "path": json_path(ready, "s0")}, {"slide_id": "g", "path": "gone.svs"}]
    )
    ready.run("run", "slidearray.yaml", expect=3)
    said = ready.run("resubmit", "runs/one", "--include", "missing_file", expect=3).stdout
    assert "1 rejected by the plan" in said
    assert "--run-dir" in said


def test_resubmit_of_a_run_that_was_never_submitted_names_submit(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml")
    assert "slidearray submit" in ready.run("resubmit", "runs/one", expect=1).stderr
    assert "not submitted yet" in ready.run("status", "runs/one", expect=3).stdout


def test_a_slide_without_a_tile_is_listed_with_its_reason(ready: Project) -> None:
    ready.config(tiles={"tile_size": 700, "stride": 700, "level": 0})
    ready.run("run", "slidearray.yaml")
    status = ready.json("status", "runs/one")
    assert status["states"]["empty"] == 3
    assert status["empties"][0] == {
        "slide_id": "s0",
        "reason": "no tile fits: 800x600 px where a tile has 700",
    }
    assert "no tile fits" in ready.run("status", "runs/one").stdout


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


def test_a_manifest_edited_after_the_plan_is_refused_by_every_command(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml")
    frozen = ready.folder / "runs/one/manifest.csv"
    frozen.write_text(frozen.read_text().replace("s1.svs", "s0.svs"))
    for command in (["submit", "runs/one"], ["status", "runs/one"], ["reduce", "runs/one"]):
        assert "changed after the plan" in ready.run(*command, expect=1).stderr


def test_a_table_of_the_plan_that_was_cut_is_refused(ready: Project) -> None:
    ready.run("plan", "slidearray.yaml")
    table = ready.folder / "runs/one/plan/slides.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    assert "slides.csv" in ready.run("submit", "runs/one", expect=1).stderr


@pytest.mark.parametrize("line", ["exit 1", "exit 0", "if true; then"])
def test_a_script_that_never_gets_to_the_worker_is_a_failed_setup(
    ready: Project, line: str
) -> None:
    profile = {"version": 1, "scheduler": "local", "walltime": 10, "memory": "1G", "setup": [line]}
    (ready.folder / "cluster.yaml").write_text(yaml.safe_dump(profile))
    failed = ready.run("run", "slidearray.yaml", "--profile", "cluster.yaml", expect=78)
    assert "setup_failed" in failed.stdout
    assert ready.json("status", "runs/one", expect=3)["attempts"] == 1


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
