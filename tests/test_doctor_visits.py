"""Visits to a node: the job that goes there, what comes back, and that nothing is left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.cluster import FakeSlurm

from slidearray.core.profile import Profile, parse_profile
from slidearray.doctor.checks import Check, Result
from slidearray.doctor.folder import ProbeFolder, own_folder
from slidearray.doctor.visit import Visit, visit_node
from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ProbeFolder]:
    project = tmp_path / "a project"
    project.mkdir()
    with own_folder(project, wait=time.sleep) as folder:
        yield folder
    assert list(project.iterdir()) == []


def profile(**keys: Any) -> Profile:
    raw = {"version": 1, "scheduler": "local", "walltime": 60, "memory": "500M", **keys}
    return parse_profile(raw, source="test", name="test")


def visit(folder: ProbeFolder, script: str, **settings: Any) -> list[Check]:
    """A visit by a script of the test's own; Python, our own, stands for {python} in it."""
    text = script.format(python=f"'{sys.executable}' -P -m slidearray", folder=f"'{folder.root}'")
    given: dict[str, Any] = {
        "profile": profile(),
        "render": lambda name: text,
        "news": lambda line: None,
        "wait": time.sleep,
        **settings,
    }
    return visit_node(Visit(folder=folder, paths=[folder.root.parent], **given))


def test_a_script_that_fails_before_the_node_could_look_shows_its_log(folder: ProbeFolder) -> None:
    (found,) = visit(folder, "#!/bin/bash\necho 'module: no such module'\nexit 78\n")
    assert found.result is Result.FAIL
    assert found.found.endswith("exit code 78; its log ends:\nmodule: no such module")


def test_a_report_that_is_damaged_is_no_report(folder: ProbeFolder) -> None:
    (found,) = visit(folder, "#!/bin/bash\necho '[]' >{folder}/probe.json\n")
    assert "its report is damaged" in found.found


def test_results_that_are_not_whole_here_are_found(folder: ProbeFolder) -> None:
    script = (
        "#!/bin/bash\n"
        "{python} doctor-task {folder} 0 --walltime 120 --started $(date +%s)\n"
        "truncate -s 4096 {folder}/from-the-node.h5\n"
    )
    found = {check.name: check for check in visit(folder, script)}
    assert found["results"].result is Result.FAIL
    assert "the file system gives other bytes" in found["results"].advice


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "fake")
    fake.put_on_path(monkeypatch)
    return fake


class Waiter:
    """Waits without waiting, and calls what a test wants to happen meanwhile."""

    def __init__(self, *then: Callable[[], object]) -> None:
        self.waited_s = 0.0
        self.news: list[str] = []
        self._then = list(then)

    def __call__(self, seconds: float) -> None:
        self.waited_s += seconds
        if self._then:
            self._then.pop(0)()

    def visit(self, folder: ProbeFolder, script: str) -> list[Check]:
        asked = profile(scheduler="slurm")
        return visit(folder, script, profile=asked, wait=self, news=self.news.append)


def states(fake: FakeSlurm) -> list[str]:
    return [task["state"] for job in fake.jobs.values() for task in job["tasks"].values()]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_job_that_never_starts_is_told_why_and_taken_back_after_a_while(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.is_busy()
    waiter = Waiter()
    (found,) = waiter.visit(folder, "#!/bin/bash\n")
    assert "has not ended after 30 minutes: pending (Priority: others go first" in found.found
    assert waiter.news[1].startswith("job 1000: pending (Priority")
    assert waiter.news[2:] == ["taken back: 1000"]  # what stays as it is, is said once
    assert states(fake_slurm) == ["CANCELLED"]
    assert waiter.waited_s == 1800
    assert len(fake_slurm.calls("squeue")) < 100


def test_ctrl_c_takes_back_the_job_and_what_the_job_submitted(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.is_busy()

    def submit_as_the_job_does() -> None:
        (job,) = fake_slurm.jobs.values()
        own = Queue(profile(scheduler="slurm"))
        own.submit(folder.script, name=f"{job['name']}h", held=True)

    waiter = Waiter(submit_as_the_job_does, interrupt)
    with pytest.raises(KeyboardInterrupt):
        waiter.visit(folder, "#!/bin/bash\n")
    assert states(fake_slurm) == ["CANCELLED", "CANCELLED"]


def test_jobs_that_cannot_be_taken_back_are_named(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.is_busy()
    away = {"works": False, "code": 1, "stderr": "Access denied"}
    waiter = Waiter(lambda: fake_slurm.fails("scancel", *[away] * 9), interrupt)
    with pytest.raises(KeyboardInterrupt):
        waiter.visit(folder, "#!/bin/bash\n")
    (job,) = fake_slurm.jobs.values()
    assert f"jobs named {job['name']} and {job['name']}h may be left: " in waiter.news[-1]


def test_a_job_that_failed_is_told_at_once_with_its_log(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    script = "#!/bin/bash\n#SBATCH --output={folder}/0.log\necho why; exit 78\n"
    waiter = Waiter()
    (found,) = waiter.visit(folder, script)
    assert found.found == "ended without a report: exit code 78; its log ends:\nwhy"
    assert waiter.waited_s == 0


def test_a_report_that_is_late_is_waited_for(folder: ProbeFolder, fake_slurm: FakeSlurm) -> None:
    late = [lambda: None] * 5
    waiter = Waiter(*late, lambda: folder.report.write_text('{"node": "n1", "checks": []}'))
    found = waiter.visit(folder, "#!/bin/bash\n")
    assert [check.name for check in found] == ["results"]
    assert found[0].found == "no feature file of n1 is seen here"


def test_a_job_that_wrote_its_report_is_left_to_end_by_itself(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.is_busy()
    waiter = Waiter(lambda: folder.report.write_text('{"node": "n1", "checks": []}'))
    waiter.visit(folder, "#!/bin/bash\n")
    assert states(fake_slurm) == ["PENDING"]
    assert not any("taken back" in line for line in waiter.news)


def test_a_job_without_a_log_says_what_the_node_did_not_see(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    waiter = Waiter()
    (found,) = waiter.visit(folder, "#!/bin/bash\n")
    assert found.found == "ended without a report or a log: exit code 0"
    assert waiter.waited_s == 30


def test_a_scheduler_that_is_away_for_a_while_is_waited_for(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    away = {"works": False, "code": 1, "stderr": "squeue: error: Unable to contact controller"}
    fake_slurm.fails("squeue", away)
    waiter = Waiter()
    waiter.visit(folder, "#!/bin/bash\n")
    assert "Unable to contact controller" in waiter.news[1]
    assert states(fake_slurm) == ["COMPLETED"]


def test_a_refused_submission_leaves_nothing_and_says_the_schedulers_words(
    folder: ProbeFolder, fake_slurm: FakeSlurm
) -> None:
    refused = "sbatch: error: Batch job submission failed: Invalid qos specification\n"
    fake_slurm.fails("sbatch", {"works": False, "code": 1, "stderr": refused})
    (found,) = Waiter().visit(folder, "#!/bin/bash\n")
    assert "Invalid qos specification" in found.found
    assert fake_slurm.jobs == {}
