"""Names that would run, split or escape if anything treated them as code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.support import Project

from slidearray import FeatureStore
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    'it\'s "quoted"',
    "$(touch pwned)",
    "`touch pwned`",
    "a; touch pwned; b",
    "100%done %j %a",
    "-rf",
    "naïve-组织-😐",
    "two\nlines",
    "& > pwned |",
    "{{ 7 * 7 }}[red]",
    "{slot} {array id}",
    "wide\u3000space, narrow\u00a0one",
    "👩\u200d🔬",
]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "slide.svs"
    write_slide(path, width=600, height=400, seed=1, tissue=0.9)
    return path


def assert_nothing_ran(folder: Path) -> None:
    assert not list(folder.rglob("pwned*"))


@pytest.mark.parametrize("profile", [None, "slurm-cpu"])
def test_hostile_project_folders_paths_and_columns_work_and_run_nothing(
    tmp_path: Path, slide: Path, profile: str | None
) -> None:
    project = Project(tmp_path / 'it\'s $(touch pwned); 100% `touch pwned` "组织"')
    project.folder.mkdir()
    paths = [f"raw {name}/{name}.svs" for name in HOSTILE]
    for path in paths:
        (project.folder / path).parent.mkdir()
        (project.folder / path).symlink_to(slide)
    project.manifest(
        {"slide_id": f"s{k}", "path": path, "cohort": "", HOSTILE[k % 3]: HOSTILE[k]}
        | {HOSTILE[j]: "" for j in range(3) if j != k % 3}
        for k, path in enumerate(paths)
    )
    project.config(run_dir="runs/$(touch pwned) 50% 'x'")
    arguments = ["--profile", profile, "--local"] if profile else []
    project.run("run", "slidearray.yaml", *arguments)
    store = FeatureStore(project.store("runs/$(touch pwned) 50% 'x'"))
    assert list(store.slide_ids) == [f"s{k}" for k in range(len(HOSTILE))]
    assert set(HOSTILE[:3]) <= set(store.slides.columns)
    assert_nothing_ran(tmp_path)


@pytest.mark.parametrize("name", [n for n in HOSTILE if not n.startswith("-") and "\n" not in n])
@pytest.mark.parametrize("column", ["slide_id", "cohort"])
def test_hostile_but_legal_ids_and_cohorts_reach_the_store(
    project: Project, slide: Path, column: str, name: str
) -> None:
    row = {"slide_id": "a", "path": str(slide), "cohort": "b"} | {column: name}
    project.manifest([row])
    project.config()
    project.run("run", "slidearray.yaml")
    table = FeatureStore(project.store()).slides
    assert list(table[column]) == [name]
    assert_nothing_ran(project.folder)


@pytest.mark.parametrize("name", ["-rf", "two\nlines", "a/b", ".hidden", "..", "x" * 181, "a\x00b"])
@pytest.mark.parametrize("column", ["slide_id", "cohort"])
def test_names_that_cannot_be_files_are_refused_with_row_and_column(
    project: Project, slide: Path, column: str, name: str
) -> None:
    good = {"slide_id": "good", "path": str(slide), "cohort": ""}
    project.manifest([good, {"slide_id": "a", "path": str(slide), "cohort": ""} | {column: name}])
    project.config()
    for command in (
        ["manifest", "check", "metadata/slide_manifest.csv"],
        ["plan", "slidearray.yaml"],
    ):
        refused = project.run(*command, expect=1)
        assert refused.stderr.startswith("error: ")
        assert "row 3" in refused.stderr
        assert column in refused.stderr
    assert not (project.folder / "runs").exists()


def test_ids_that_look_like_numbers_or_nothing_survive_to_the_store(
    project: Project, slide: Path
) -> None:
    ids = ["0012", "1e5", "NA", "null", "1.0", "True", "007"]
    project.manifest({"slide_id": i, "path": str(slide), "stage": i} for i in ids)
    project.config()
    project.run("run", "slidearray.yaml")
    store = FeatureStore(project.store())
    assert list(store.slide_ids) == ids
    assert list(store.slides["stage"]) == ids


def test_a_folder_whose_name_cannot_be_written_into_a_script_is_refused(
    tmp_path: Path, slide: Path
) -> None:
    project = Project(tmp_path / "two\nlines")
    project.folder.mkdir()
    project.manifest([{"slide_id": "a", "path": str(slide)}])
    project.config()
    refused = project.run("plan", "slidearray.yaml", expect=1)
    assert "the control character" in refused.stderr
    assert not (project.folder / "runs").exists()
