"""One set of tests for every scheduler: [slurm], [pbs] and [local].

``SLIDEARRAY_REAL_PBS=1`` takes the PBS that is on PATH in place of the fake one.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.pbs_bed import FakePbs
from tests.one_set.beds import LocalBed, PbsBed, QueueBed, SlurmBed
from tests.one_set.support import BedSite
from tests.slurm.clusters import SlurmMissingError, check_slurm, clusters_of_this_process
from tests.slurm.support import make_slides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.one_set.beds import Bed
    from tests.slurm.clusters import Cluster

SLIDES, CORRUPT = 7, 6
QUEUES = [pytest.param("slurm", marks=pytest.mark.slurm), "pbs"]


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A cluster; without SLURM the test is skipped, and fails where CI is set."""
    try:
        check_slurm()
    except SlurmMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with clusters_of_this_process() as clusters:
        yield clusters.start()


@pytest.fixture(scope="session")
def pbs_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PbsBed]:
    """The fake PBS, or the real one that is asked for."""
    if os.environ.get("SLIDEARRAY_REAL_PBS"):
        assert shutil.which("qsub"), "SLIDEARRAY_REAL_PBS is set, and there is no qsub on PATH"
        yield PbsBed(env=os.environ, fake=None)
        return
    fake = FakePbs(tmp_path_factory.mktemp("pbs") / "fake", enforces_memory=True)
    path = f"{fake.programs}:{os.environ['PATH']}"
    yield PbsBed(env={**os.environ, "PATH": path}, fake=fake)
    fake.stop()


def _bed(request: pytest.FixtureRequest) -> Bed:
    match request.param:
        case "slurm":
            return SlurmBed(cluster=request.getfixturevalue("slurm_cluster"))
        case "pbs":
            found: PbsBed = request.getfixturevalue("pbs_bed")
            return found
        case _:
            return LocalBed()


@pytest.fixture(scope="session", params=[*QUEUES, "local"])
def bed(request: pytest.FixtureRequest) -> Bed:
    """Each of the three."""
    return _bed(request)


@pytest.fixture(scope="session", params=QUEUES)
def queue_bed(request: pytest.FixtureRequest) -> QueueBed:
    """Those where jobs wait, and go on by themselves."""
    found = _bed(request)
    assert isinstance(found, QueueBed)
    return found


@pytest.fixture(scope="session")
def coded_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides by number, each in the colour of its number; the last one is corrupt."""
    folder = tmp_path_factory.mktemp("coded")
    make_slides(folder, SLIDES, corrupt=[CORRUPT])
    return folder


@pytest.fixture(scope="session")
def make_site(
    coded_slides: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., BedSite]:
    """Plan a run of some slides for a bed."""

    def make(bed: Bed, numbers: Sequence[int], **settings: Any) -> BedSite:
        folder = tmp_path_factory.mktemp("site") / f"a project-{next(count)}"  # as people do
        return BedSite(folder=folder, bed=bed).make(coded_slides, numbers, **settings)

    count = itertools.count()
    return make


@pytest.fixture(scope="session")
def local_store(make_site: Callable[..., BedSite]) -> Callable[[Sequence[int]], bytes]:
    """The store of the same slides made here by one command, without faults."""
    made: dict[tuple[int, ...], bytes] = {}

    def store(numbers: Sequence[int]) -> bytes:
        key = tuple(numbers)
        if key not in made:
            site = make_site(LocalBed(), key, config={"shards": {"slides_per_task": len(key)}})
            site("run", "slidearray.yaml", *site.planned_with, expect=3 if CORRUPT in key else 0)
            made[key] = site.store.read_bytes()
        return made[key]

    return store


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePbs]:
    """A fake PBS of the test's own, that kills soon; the test works in an empty folder."""
    fake = FakePbs(tmp_path / "fake", kill_delay_s=0.5)
    fake.put_on_path(monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield fake
    fake.stop()
