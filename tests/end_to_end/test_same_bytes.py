from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.support import Project, digest
from tests.support import running, wait_for

from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from pathlib import Path

SLIDES = 7


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    for k in range(SLIDES):
        write_slide(
            folder / f"s{k}.svs", width=1500 + 100 * k, height=1500, seed=k, tissue=0.4 + 0.05 * k
        )
    return folder


def planned(project: Project, slides: Path, *, per_task: int) -> Project:
    project.folder.mkdir(exist_ok=True)
    project.manifest(
        {
            "slide_id": path.stem,
            "path": str(path),
            "score": f"0.{k}",
            "cohort": "c" if k % 2 else "",
        }
        for k, path in enumerate(sorted(slides.glob("*.svs"), reverse=True))
    )
    project.config(shards={"slides_per_task": per_task})
    return project


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, slides: Path) -> Path:
    project = planned(Project(tmp_path_factory.mktemp("whole")), slides, per_task=SLIDES)
    project.run("run", "slidearray.yaml")
    return project.store()


@pytest.mark.parametrize(("per_task", "tasks"), [(7, 1), (3, 3), (1, 7)])
def test_the_store_does_not_depend_on_the_shards(
    project: Project, slides: Path, undisturbed: Path, per_task: int, tasks: int
) -> None:
    planned(project, slides, per_task=per_task)
    project.run("run", "slidearray.yaml")
    slots = (project.folder / "runs/one/attempts/0001/slots.jsonl").read_text().splitlines()
    assert len(slots) == tasks
    assert project.store().read_bytes() == undisturbed.read_bytes()


def test_the_store_does_not_depend_on_the_second_in_which_it_was_merged(
    project: Project, slides: Path
) -> None:
    planned(project, slides, per_task=4)
    project.run("run", "slidearray.yaml")
    first, second = digest(project.store()), int(time.time())
    wait_for(lambda: int(time.time()) > second, "the next second")
    project.store().unlink()
    project.run("reduce", "runs/one")
    assert digest(project.store()) == first


def supervisors(project: Project) -> list[int]:
    return [event["pid"] for event in project.events() if event["event"] == "started"]


def count(project: Project, name: str) -> int:
    return sum(event["event"] == name for event in project.events())


def test_the_store_is_the_same_after_a_workers_process_group_was_killed(
    project: Project, slides: Path, undisturbed: Path
) -> None:
    planned(project, slides, per_task=SLIDES)
    run = project.start("run", "slidearray.yaml")
    wait_for(lambda: count(project, "slide_started") > 1, "the second slide")
    os.killpg(supervisors(project)[0], signal.SIGKILL)
    done_before = count(project, "done")
    assert run.wait(120) == 0  # it sends the rest again by itself
    assert done_before < SLIDES
    assert len(supervisors(project)) > 1
    assert project.store().read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_killed_goes_on_when_it_is_started_again(
    project: Project, slides: Path, undisturbed: Path, signum: signal.Signals
) -> None:
    planned(project, slides, per_task=SLIDES)
    run = project.start("run", "slidearray.yaml")
    wait_for(lambda: count(project, "done"), "the first slide")
    run.send_signal(signum)
    assert run.wait(120) == (-signal.SIGKILL if signum == signal.SIGKILL else 75)
    wait_for(lambda: not any(map(running, supervisors(project))), "the slots to end")
    first = {e["slide_id"] for e in project.events() if e["event"] == "done"}
    assert len(first) < SLIDES
    project.run("run", "slidearray.yaml")
    again = [e["slide_id"] for e in project.events() if e["event"] == "slide_started"]
    assert all(again.count(slide_id) == 1 for slide_id in first)
    assert project.store().read_bytes() == undisturbed.read_bytes()
    assert not list((project.folder / "runs/one/features").rglob("*.partial"))
