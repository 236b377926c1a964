from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support import run_document

from slidearray.errors import RunError
from slidearray.storage.rundir import (
    RunDir,
    open_run,
    read_document,
    relative_project,
    write_document,
)

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = run_document()


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    root = tmp_path / "project" / "runs" / "r 1"
    root.mkdir(parents=True)
    run = RunDir(root=root, project=tmp_path / "project")
    write_document(run, replace(DOCUMENT, project=relative_project(root, run.project)))
    return run


def test_a_run_document_reads_back_equal(run: RunDir) -> None:
    assert read_document(run) == DOCUMENT


def test_a_run_finds_its_project(run: RunDir) -> None:
    assert open_run(run.root) == run


def test_a_run_moves_with_its_project(run: RunDir, tmp_path: Path) -> None:
    run.project.rename(tmp_path / "moved")
    assert open_run(tmp_path / "moved/runs/r 1").project == tmp_path / "moved"


def test_a_run_that_left_its_project_asks_where_it_is(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "x/y/z").mkdir(parents=True)
    write_document(run, replace(DOCUMENT, project="../../gone"))
    shutil.move(run.root, tmp_path / "x/y/z/r")
    with pytest.raises(RunError, match=r"x/y/gone is not there; .* --project DIR"):
        open_run(tmp_path / "x/y/z/r")
    assert open_run(tmp_path / "x/y/z/r", run.project).project == run.project
    with pytest.raises(RunError, match="no such folder"):
        open_run(tmp_path / "x/y/z/r", tmp_path / "nowhere")


def test_a_run_behind_a_link_finds_its_project(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "scratch/deep/runs/r").mkdir(parents=True)
    (tmp_path / "project/runs").symlink_to(tmp_path / "scratch/deep/runs")
    root = tmp_path / "project/runs/r"
    run = RunDir(root=root, project=tmp_path / "project")
    write_document(run, replace(DOCUMENT, project=relative_project(root, run.project)))
    assert open_run(root) == run


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"format_version": 2}'])
def test_what_is_no_run_directory_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=str(tmp_path)):
        open_run(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"config": ...},
        {"outputs": []},
        {"outputs": [{"label": "x"}]},
        {"project": 5},
        {"profile": []},
    ],
)
def test_a_damaged_run_document_is_refused_by_name(run: RunDir, damage: dict[str, object]) -> None:
    raw = json.loads(run.document.read_text())
    for key, value in damage.items():
        del raw[key]
        if value is not ...:
            raw[key] = value
    run.document.write_text(json.dumps(raw))
    name = "recipe" if damage == {"outputs": [{"label": "x"}]} else next(iter(damage))
    with pytest.raises(RunError, match=rf"run\.json: .*{name}"):
        open_run(run.root)


def test_attempts_are_listed_by_number(run: RunDir) -> None:
    assert run.attempts() == []
    for number in (2, 1, 10, 12345):
        run.attempt(number).root.mkdir(parents=True)
    (run.attempts_dir / "notes").mkdir()
    assert run.attempts() == [1, 2, 10, 12345]
    assert run.attempt(10).number == 10


def test_the_files_of_a_run_have_the_documented_names(run: RunDir) -> None:
    attempt = run.attempt(1)
    names = {
        run.document: "run.json",
        run.manifest: "manifest.csv",
        run.slides_table: "plan/slides.csv",
        run.rejected: "plan/rejected.jsonl",
        run.lock: "run.lock",
        attempt.journal: "attempts/0001/journal.jsonl",
        attempt.slots: "attempts/0001/slots.jsonl",
        attempt.script(2): "attempts/0001/arrays-02.sh",
        attempt.log(0, 7): "attempts/0001/logs/00/7.log",
        attempt.record(1999, "t"): "attempts/0001/records/0001/1999.t.jsonl",
        run.feature_file("demo", "", "a"): "features/demo/a_features.h5",
        run.feature_file("demo", "x", "a"): "features/demo/x/a_features.h5",
        run.store("demo"): "stores/demo.h5",
    }
    assert {str(path.relative_to(run.root)) for path in names} == set(names.values())
    assert all(path == run.root / name for path, name in names.items())
