"""The fake schedulers on PATH, and what is submitted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakes.cluster import FakeSlurm
from tests.fakes.flavours import FLAVOURS, SCRIPT, Flavour
from tests.fakes.jobs import AT_ONCE, profile

from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Its programs, first on PATH."""
    found = FakeSlurm(tmp_path / "fake")
    found.put_on_path(monkeypatch)
    return found


@pytest.fixture
def queue(fake_slurm: FakeSlurm) -> Queue:
    return Queue(profile(), patience=AT_ONCE)


@pytest.fixture(params=FLAVOURS)
def flavour(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flavour]:
    """Each scheduler that has a queue, its programs first on PATH."""
    found = FLAVOURS[request.param](tmp_path / "fake")
    found.fake.put_on_path(monkeypatch)
    yield found
    found.fake.stop()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An array of three tasks; the second one fails."""
    path = tmp_path / "a b.sh"
    path.write_text(SCRIPT.format(folder=tmp_path))
    return path
