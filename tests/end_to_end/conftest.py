from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.support import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
