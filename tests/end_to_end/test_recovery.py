"""What happens when something went wrong, and what a person can do then."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.end_to_end.support import Project, json_path, use_encoder

from slidearray import FeatureStore


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
