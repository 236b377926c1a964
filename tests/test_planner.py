from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest
from tests.storage.support import begin_attempt, done, record

from slidearray.core.classes import FailureClass
from slidearray.core.config import Config, parse_config
from slidearray.core.profile import Profile, parse_profile
from slidearray.core.queue import QueueLimits
from slidearray.core.refinement import LEAST_SLIDES
from slidearray.errors import ManifestError, RunError
from slidearray.manifests import build_manifest
from slidearray.planner import PlanReport, plan_run, planned_before
from slidearray.slides.synthetic import write_slide
from slidearray.storage.manifest import read_manifest, write_manifest
from slidearray.storage.plan_files import read_planned, read_rejected
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir


def config(**sections: Any) -> Config:
    raw = {
        "version": 1,
        "manifest": "m.csv",
        "run_dir": "runs/one",
        "tiles": {"tile_size": 64, "mpp": 0.5},
        "encoder": {"name": "color-texture"},
        **sections,
    }
    return parse_config(raw, source="c.yaml")


def profile(**keys: Any) -> Profile:
    raw = {"version": 1, "scheduler": "slurm", "walltime": 60, "memory": "4G", **keys}
    return parse_profile(raw, source="p.yaml", name="p")


def limits(**told: int) -> QueueLimits:
    return QueueLimits(
        max_array_size=told.get("max_array_size"),
        max_array_tasks=told.get("max_array_tasks"),
        max_submit=told.get("max_submit"),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight slides, one mostly glass; one without mpp, one too coarse, one that is none."""
    folder = tmp_path_factory.mktemp("slides")
    for k in range(6):
        write_slide(folder / f"s{k}.svs", width=700 + 50 * k, height=600, seed=k, tissue=0.4)
    write_slide(folder / "full.svs", width=900, height=600, seed=7, tissue=0.95)
    write_slide(folder / "glass.svs", width=900, height=600, seed=8, tissue=0.0)
    whole = (folder / "full.svs").read_bytes()
    (folder / "no-mpp.svs").write_bytes(whole.replace(b"MPP = ", b"XYZ = "))
    write_slide(folder / "coarse.svs", width=900, height=600, seed=9, tissue=0.5, mpp="2.0")
    (folder / "broken.svs").write_bytes(b"II*\0 and nothing more")
    return folder


@pytest.fixture
def project(tmp_path: Path, made: Path) -> Path:
    """A project with a manifest of those slides, without columns of headers."""
    (tmp_path / "raw").symlink_to(made)
    build(tmp_path)
    return tmp_path


def build(project: Path, *, headers: bool = False) -> None:
    build_manifest([project / "raw"], output=project / "m.csv", root=project, headers=headers)


def plan(project: Path, asked: Config | None = None, **given: Any) -> PlanReport:
    given.setdefault("run_dir", None)
    cluster = given.pop("profile", None) or profile()
    return plan_run(asked or config(), cluster, project=project, **given)


def frozen(run: RunDir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.manifest, run.slides_table, run.rejected)}


def test_a_plan_from_the_manifests_columns_is_the_plan_from_the_slides(project: Path) -> None:
    opened = plan(project)
    build(project, headers=True)
    told = plan(project, run_dir=project / "runs" / "two")
    assert frozen(told.run) == frozen(opened.run)
    documents = [read_document(report.run) for report in (opened, told)]
    assert documents[0].manifest_digest == documents[1].manifest_digest
    assert (told.tiles, told.expected_tiles) == (opened.tiles, opened.expected_tiles)
    assert {(r.slide_id, r.failure) for r in told.rejected} == {
        ("no-mpp", FailureClass.MISSING_MPP),
        ("coarse", FailureClass.RESOLUTION_TOO_COARSE),
        ("broken", FailureClass.CORRUPT_SLIDE),
    }


def test_columns_of_headers_stay_out_of_the_run(project: Path) -> None:
    build(project, headers=True)
    report = plan(project)
    columns = read_manifest(report.run.manifest).columns
    assert not [name for name in columns if name.startswith("header_")]
    assert read_manifest(report.run.manifest).digest == read_document(report.run).manifest_digest
    build_without = read_manifest(project / "m.csv").without(["header_levels", "header_tissue"])
    build_without.write(project / "m.csv")
    assert planned_before(config(), profile(), project=project) == report.run


def test_slides_told_by_columns_are_not_opened(project: Path) -> None:
    build(project, headers=True)
    before = plan(project)
    (project / "raw").unlink()
    after = plan(project, run_dir=project / "runs" / "two")
    gone = {r.slide_id for r in after.rejected if r.failure is FailureClass.MISSING_FILE}
    assert gone == {"broken"}  # the columns could not tell of it, so it was looked for
    assert (after.slides, after.tiles) == (before.slides, before.tiles)


def test_a_malformed_column_stops_the_plan_with_its_place(project: Path) -> None:
    build(project, headers=True)
    rows = [row.cells for row in read_manifest(project / "m.csv").rows]
    rows[2]["header_levels"] = "900 x 600"
    write_manifest(project / "m.csv", list(rows[0]), rows)
    with pytest.raises(ManifestError, match="row 4, column header_levels: found '900 x 600'"):
        plan(project)
    assert not (project / "runs").exists()


def test_tissue_makes_the_prediction_and_not_the_bounds(project: Path) -> None:
    report = plan(project)
    assert 0 < report.expected_tiles < report.tiles
    seconds = {slide.slide_id: slide.seconds for slide in read_planned(report.run.slides_table)}
    assert seconds["full"] > 1.005 * seconds["glass"]
    every = plan(project, config(tissue={"method": "none"}), run_dir=project / "runs" / "all")
    assert every.expected_tiles == every.tiles == report.tiles
    assert every.feature_bytes == report.feature_bytes


def test_within_what_the_scheduler_takes_there_are_fewer_and_larger_shards(project: Path) -> None:
    one_each = config(shards={"slides_per_task": 1})
    free = plan(project, one_each)
    assert (free.tasks, free.notes) == (8, ())
    taken = plan(project, one_each, run_dir=project / "runs" / "two", limits=limits(max_submit=5))
    assert taken.tasks == 3
    assert "at most 3 array tasks where shards.max_tasks allows 1000" in taken.notes[0]
    shards = {slide.shard for slide in read_planned(taken.run.slides_table)}
    assert shards == {0, 1, 2}


def test_a_number_in_the_profile_counts_and_not_what_the_scheduler_says(project: Path) -> None:
    few = config(shards={"slides_per_task": 1, "max_tasks": 450})
    told = limits(max_array_size=4, max_array_tasks=6)
    asked = plan(project, few, profile=profile(max_array_size=2), limits=told)
    assert "at most 200 array tasks" in asked.notes[0]
    auto = plan(project, few, run_dir=project / "runs" / "two", limits=told)
    assert "at most 400 array tasks" in auto.notes[0]


def test_here_no_scheduler_bounds_anything(project: Path) -> None:
    here = profile(scheduler="local")
    one_each = config(shards={"slides_per_task": 1})
    assert plan(project, one_each, profile=here, limits=limits(max_submit=3)).tasks == 8


def finish(run: RunDir, *, factor: float) -> None:
    """As if the run's slides had taken `factor` times their prediction."""
    slides = list(read_planned(run.slides_table))
    begin_attempt(run, 1, "x")
    events = [
        done(slide.slide_id, seconds=factor * slide.seconds, peak_mb=400, num_tiles=9)
        for slide in slides
    ]
    record(run, 1, 0, ("started", {"cpus": 1}), *events)
    again = (LEAST_SLIDES + len(slides) - 1) // len(slides)
    for k in range(again - 1):
        record(run, 1, 0, ("started", {"cpus": 1}), *events, token=f"again{k}")


def test_earlier_runs_refine_the_prediction_and_the_report_says_so(project: Path) -> None:
    first = plan(project)
    finish(first.run, factor=3)
    second = plan(project, run_dir=project / "runs" / "two")
    assert second.core_hours == pytest.approx(3 * first.core_hours, rel=1e-3)
    (note,) = second.notes
    assert f"slides of {first.run.root}: seconds x 3.00, 400 MB" in note
    # What is learnt from a refined run is again in terms of the model.
    finish(second.run, factor=0.5)
    first.run.document.unlink()
    third = plan(project, run_dir=project / "runs" / "three")
    assert third.core_hours == pytest.approx(1.5 * first.core_hours, rel=1e-3)
    (slide, *_) = read_planned(third.run.slides_table)
    assert slide.seconds == pytest.approx(1.5 * (slide.model_seconds or 0), abs=0.002)


def test_a_plan_without_a_usable_slide_names_them_and_writes_nothing(project: Path) -> None:
    rows = [{"slide_id": f"gone{k}", "path": f"gone{k}.svs"} for k in range(12)]
    write_manifest(project / "m.csv", ["slide_id", "path"], rows)
    with pytest.raises(RunError, match="none of its 12 slides") as caught:
        plan(project)
    assert "row 2, gone0: missing_file" in str(caught.value)
    assert str(caught.value).endswith("and 2 more")
    assert not (project / "runs").exists()


def test_a_second_plan_is_refused_and_one_of_the_same_is_known(project: Path) -> None:
    assert planned_before(config(), profile(), project=project) is None
    run = plan(project).run
    assert planned_before(config(), profile(), project=project) == run
    with pytest.raises(RunError, match="is the same plan"):
        plan(project)
    with pytest.raises(RunError, match=r"profile\.memory \('4G' there, '8G' now\)"):
        planned_before(config(), profile(memory="8G"), project=project)
    rows = [row.cells for row in read_manifest(project / "m.csv").rows]
    write_manifest(project / "m.csv", list(rows[0]), rows[1:])
    with pytest.raises(RunError, match="differs in the manifest's rows"):
        plan(project)


def test_the_tables_of_a_plan_hold_the_manifests_slides(project: Path) -> None:
    report = plan(project)
    with (report.run.slides_table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    rejected = [slide.slide_id for slide in read_rejected(report.run.rejected)]
    ids = [row.slide_id for row in read_manifest(project / "m.csv").rows]
    assert sorted([row["slide_id"] for row in rows] + rejected) == sorted(ids)
    assert {row["model_seconds"] for row in rows} == {""}
    assert report.inodes == len(rows) + 2 * report.tasks
