from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.support import Project

from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


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
