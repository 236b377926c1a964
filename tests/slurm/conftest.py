"""A real SLURM for every test of this folder, and projects to submit to it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.slurm.clusters import SlurmMissingError, check_slurm, clusters_of_this_process
from tests.slurm.person import somebody
from tests.slurm.support import Site, make_slides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.slurm.clusters import Cluster
    from tests.slurm.person import Person

HERE = Path(__file__).parent
SLIDES = 41
CORRUPT = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    """Start a cluster with settings such as ``MAXARRAY=5``; all are stopped at the end.

    Without SLURM the test is skipped; where CI is set, it fails.
    """
    try:
        check_slurm()
    except SlurmMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with clusters_of_this_process() as clusters:
        yield clusters.start


@pytest.fixture(scope="session")
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Three nodes of 8 CPUs and 8000 MB, accounting, arrays up to 1001."""
    return make_cluster()


@pytest.fixture(scope="session")
def small_arrays(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Takes arrays of five tasks at most."""
    return make_cluster(MAXARRAY=5)


@pytest.fixture(scope="session")
def person(cluster: Cluster) -> Iterator[Person]:
    """An unprivileged user of the cluster."""
    with somebody(cluster.dir) as person:
        yield person


@pytest.fixture(scope="session")
def coded_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides 0 to 40, each in the colour of its number; slide 40 is corrupt."""
    folder = tmp_path_factory.mktemp("coded")
    make_slides(folder, SLIDES, corrupt=[CORRUPT])
    return folder


@pytest.fixture(scope="session")
def make_site(coded_slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Site]:
    """Plan a run of some slides, by default for the test's cluster."""

    def make(cluster: Cluster | None, numbers: Sequence[int], **settings: Any) -> Site:
        person = settings.pop("person", None)
        home = person.folder if person else tmp_path_factory.mktemp("site")
        folder = home / f"a project-{next(count)}"  # a blank: as people name folders
        return Site(folder=folder, cluster=cluster, person=person).make(
            coded_slides, numbers, **settings
        )

    count = itertools.count()
    return make


@pytest.fixture(scope="session")
def local_store(make_site: Callable[..., Site]) -> Callable[[Sequence[int]], bytes]:
    """The store of the same slides made here, without faults and without a cluster."""
    made: dict[tuple[int, ...], bytes] = {}

    def store(numbers: Sequence[int]) -> bytes:
        key = tuple(numbers)
        if key not in made:
            site = make_site(None, key, config={"shards": {"slides_per_task": len(key)}})
            complete = CORRUPT not in key
            site("run", "slidearray.yaml", expect=0 if complete else 3)
            made[key] = site.store.read_bytes()
        return made[key]

    return store
