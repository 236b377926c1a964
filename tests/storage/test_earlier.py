"""What a plan learns from earlier runs, and from which."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.storage.support import begin_attempt, done, record
from tests.support import run_document

from slidearray.storage import earlier
from slidearray.storage.earlier import earlier_costs
from slidearray.storage.manifest import write_manifest
from slidearray.storage.plan_files import PlannedSlide, write_planned
from slidearray.storage.rundir import Output, RunDir, RunDocument, write_document

if TYPE_CHECKING:
    from pathlib import Path

USED = {"seconds": 24.0, "peak_mb": 700}


def document(
    *, encoder: str = "e", tiles: str = "mpp", project: str = "..", **profile: Any
) -> RunDocument:
    recipe = {"encoder": {"name": encoder}, "tiles": {tiles: 1}}
    output = Output(label="e", recipe=recipe, recipe_digest="d", feature_dim=1_000_000)
    return run_document(
        outputs=(output,), profile={"cpus_per_task": 4, "gpus": None, **profile}, project=project
    )


def finished(folder: Path, name: str, *, slides: str = "ab", age: int = 0, **like: Any) -> RunDir:
    """A run whose slides were predicted to take 8 seconds each, and took 24."""
    run = RunDir(root=folder / name, project=folder)
    run.plan_dir.mkdir(parents=True)
    write_manifest(run.manifest, ["slide_id", "path"], [{"slide_id": s, "path": s} for s in slides])
    planned = [PlannedSlide(slide_id=s, shard=0, seconds=8.0, megabytes=600) for s in slides]
    write_planned(run.slides_table, planned)
    write_document(run, document(**like))
    os.utime(run.document, (1e9 - age, 1e9 - age))
    begin_attempt(run, 1, slides)
    record(run, 1, 0, ("started", {"cpus": 4}), *(done(s, num_tiles=25, **USED) for s in slides))
    return run


def found(folder: Path, *others: RunDir) -> list[tuple[str, int]]:
    new = RunDir(root=folder / "new", project=folder)
    return [
        (run.root.name, len(slides))
        for run, slides in earlier_costs(new, document(), others=others)
    ]


def test_runs_beside_the_new_one_tell_what_slides_took(tmp_path: Path) -> None:
    finished(tmp_path, "old")
    new = RunDir(root=tmp_path / "new", project=tmp_path)
    ((run, slides),) = earlier_costs(new, document(), others=())
    assert run.root == tmp_path / "old"
    assert [(s.model_s, s.real_s, s.base_mb) for s in slides] == [(8, 24, 700 - 100)] * 2


def test_what_counts_is_the_prediction_before_it_was_refined(tmp_path: Path) -> None:
    run = finished(tmp_path, "old")
    refined = [
        PlannedSlide(slide_id=s, shard=0, seconds=24.0, megabytes=600, model_seconds=8.0)
        for s in "ab"
    ]
    write_planned(run.slides_table, refined)
    new = RunDir(root=tmp_path / "new", project=tmp_path)
    ((_, slides),) = earlier_costs(new, document(), others=())
    assert {slide.model_s for slide in slides} == {8.0}


@pytest.mark.parametrize(
    "unlike",
    [
        {"encoder": "other"},
        {"tiles": "level"},
        {"cpus_per_task": 8},
        {"gpus": 1},
        {"project": "../elsewhere"},
    ],
)
def test_a_run_of_another_kind_tells_nothing(tmp_path: Path, unlike: dict[str, Any]) -> None:
    (tmp_path / "elsewhere").mkdir()
    finished(tmp_path, "old", **unlike)
    finished(tmp_path, "like")
    assert found(tmp_path) == [("like", 2)]


def test_a_run_of_another_project_counts_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = finished(tmp_path / "elsewhere", "theirs", project="../../elsewhere")
    assert found(tmp_path) == []
    assert found(tmp_path, other, other) == [("theirs", 2)]


def test_the_newest_runs_are_looked_at_and_no_more_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in (3, 1, 5, 2, 4):
        finished(tmp_path, f"run{age}", age=age)
    assert [name for name, _ in found(tmp_path)] == ["run1", "run2", "run3"]
    monkeypatch.setattr(earlier, "ENOUGH_SLIDES", 3)
    assert [name for name, _ in found(tmp_path)] == ["run1", "run2"]
    monkeypatch.setattr(earlier, "MOST_NEIGHBOURS", 1)
    assert [name for name, _ in found(tmp_path)] == ["run1"]


def test_a_run_of_too_many_records_without_a_seal_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(tmp_path, "old")
    monkeypatch.setattr(earlier, "MOST_RECORDS", 1)
    assert found(tmp_path) == [("old", 2)]
    record(run, 1, 0, ("started", {}), token="again")
    assert found(tmp_path) == []


def test_a_run_of_very_many_slides_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = finished(tmp_path, "old").slides_table.stat().st_size
    monkeypatch.setattr(earlier, "MOST_BYTES", size)
    assert found(tmp_path) == [("old", 2)]
    monkeypatch.setattr(earlier, "MOST_BYTES", size - 1)
    assert found(tmp_path) == []


def test_damaged_and_unfinished_runs_do_not_stop_a_plan(tmp_path: Path) -> None:
    finished(tmp_path, "fine", age=9)
    finished(tmp_path, "cut").slides_table.write_text("slide_id\n")
    finished(tmp_path, "gone").manifest.unlink()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text("{")
    (tmp_path / "file").write_text("no folder")
    assert ("fine", 2) in found(tmp_path)
    assert "cut" not in dict(found(tmp_path))


def test_without_neighbours_there_is_nothing_to_learn(tmp_path: Path) -> None:
    assert found(tmp_path / "not" / "there") == []
