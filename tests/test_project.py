from __future__ import annotations

import shutil
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from slidearray.core.config import parse_config
from slidearray.core.profile import parse_profile
from slidearray.errors import SlidearrayError
from slidearray.project import FOLDERS, DemoProject, init_project, make_demo
from slidearray.storage.yamls import read_yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoProject:
    """A demo on synthetic slides. Read only."""
    return make_demo(tmp_path_factory.mktemp("demo") / "a demo")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under `folder`, links included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_folder_says_what_goes_there_and_what_writes_it(tmp_path: Path) -> None:
    init_project(tmp_path / "a project")
    for name in FOLDERS:
        text = (tmp_path / "a project" / name / "README.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert "write" in text or "put" in text


def test_the_config_of_a_new_project_is_valid_and_its_values_are_the_documented_ones(
    tmp_path: Path,
) -> None:
    init_project(tmp_path)
    path = tmp_path / "slidearray.yaml"
    config = parse_config(read_yaml(path), source=str(path))
    assert config.manifest == "metadata/slide_manifest.csv"
    assert config.tile_spec().mpp is not None
    assert config.retry_policy().max_attempts == 3


def test_the_config_of_a_new_project_states_the_default_of_every_key_it_names(
    tmp_path: Path,
) -> None:
    init_project(tmp_path)
    path = tmp_path / "slidearray.yaml"
    raw = read_yaml(path)
    assert isinstance(raw, dict)
    short = {key: raw[key] for key in ("version", "manifest", "run_dir", "tiles", "encoder")}
    stated = parse_config(raw, source="stated")
    assert stated.to_json() == parse_config(short, source="defaults").to_json()


def test_the_profiles_of_a_new_project_are_valid(tmp_path: Path) -> None:
    init_project(tmp_path)
    profiles = sorted((tmp_path / "cluster_profiles").glob("*.yaml"))
    assert {path.name for path in profiles} >= {"local.yaml", "slurm-cpu.yaml"}
    for path in profiles:
        parse_profile(read_yaml(path), source=str(path), name=path.stem)


def test_a_second_init_makes_nothing_and_changes_nothing(tmp_path: Path) -> None:
    first = init_project(tmp_path)
    before = contents(tmp_path)
    second = init_project(tmp_path)
    assert (second.made, second.kept) == ((), first.made)
    assert contents(tmp_path) == before


def test_a_file_that_is_there_is_kept_whatever_it_holds(tmp_path: Path) -> None:
    (tmp_path / "slidearray.yaml").write_text("mine")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "README.md").write_text("mine too")
    report = init_project(tmp_path)
    assert {str(path) for path in report.kept} == {"slidearray.yaml", "runs/README.md"}
    assert (tmp_path / "slidearray.yaml").read_text() == "mine"
    assert (tmp_path / "runs" / "README.md").read_text() == "mine too"


def test_a_link_that_leads_nowhere_is_kept_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").symlink_to(tmp_path / "nowhere")
    init_project(tmp_path)
    assert (tmp_path / ".gitignore").is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_nothing_is_written_into_an_archive_that_raw_slides_links_to(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "raw_slides").symlink_to(archive)
    init_project(project)
    assert list(archive.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(SlidearrayError, match=r"models: cannot be made: .*in the way"):
        init_project(tmp_path)
    with pytest.raises(SlidearrayError, match="models: cannot be made"):
        init_project(tmp_path / "models")


def test_a_demo_holds_slides_and_a_valid_config_for_them(demo: DemoProject) -> None:
    slides = sorted(demo.slides.rglob("*.svs"))
    assert demo.slides == demo.folder / "raw_slides"
    assert len(slides) == 4
    assert len({path.parent for path in slides}) == 2
    config = parse_config(read_yaml(demo.config), source="demo")
    assert (config.run_dir, config.tile_spec().mpp) == ("runs/demo", Fraction(1, 2))
    assert demo.manifest == demo.folder / config.manifest
    assert not list(demo.folder.glob(".demo-*"))


def test_a_demo_that_was_stopped_half_way_is_made_whole(demo: DemoProject, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(demo.folder, half)
    (half / "slidearray.yaml").unlink()
    gone, kept, *_ = sorted(half.rglob("*.svs"))
    gone.unlink()
    kept.write_text("somebody's own file")
    whole = contents(demo.folder) | {str(kept.relative_to(half)): b"somebody's own file"}
    assert contents(make_demo(half).folder) == whole


def test_a_demo_in_a_project_that_is_there_changes_none_of_its_files(tmp_path: Path) -> None:
    init_project(tmp_path)
    before = contents(tmp_path)
    make_demo(tmp_path)
    assert contents(tmp_path) == before


def test_a_demo_on_own_slides_uses_them_where_they_lie(tmp_path: Path) -> None:
    own = tmp_path / "own slides"
    own.mkdir()
    demo = make_demo(tmp_path / "demo", slides=own)
    assert demo.slides == own
    assert list(own.iterdir()) == []
    assert [path.name for path in (demo.folder / "raw_slides").iterdir()] == ["README.md"]


def test_a_demo_on_slides_that_are_no_folder_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(SlidearrayError, match=r"absent: not a folder"):
        make_demo(tmp_path / "demo", slides=tmp_path / "absent")
    assert not (tmp_path / "demo").exists()
