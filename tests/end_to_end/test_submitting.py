"""submit, resubmit and cancel against schedulers that do what real ones cannot be made to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.flavours import FLAVOURS, Flavour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.support import Project
    from tests.fakes.cluster import FakeSlurm

PROFILE = """\
version: 1
scheduler: {scheduler}
walltime: 60
memory: 1G
max_array_size: 2
"""


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
def planned(ready: Project, flavour: Flavour) -> Project:
    """Three slides in three slots of two jobs, the last one a single task."""
    (ready.folder / "cluster_profiles").mkdir()
    profile = PROFILE.format(scheduler=flavour.scheduler)
    (ready.folder / "cluster_profiles" / "ours.yaml").write_text(profile)
    ready.config(shards={"slides_per_task": 1})
    ready.run("plan", "slidearray.yaml", "--profile", "ours")
    return ready


ON_SLURM = pytest.mark.parametrize("flavour", ["slurm"], indirect=True)


@pytest.fixture
def slurm(planned: Project, flavour: Flavour) -> FakeSlurm:
    """What only SLURM does; for tests that are `ON_SLURM`."""
    found: Any = flavour.fake
    fake: FakeSlurm = found
    return fake


def fails(flavour: Flavour, *faults: dict[str, Any]) -> None:
    """The next submissions go wrong; those that are only asked about work as ever."""
    flavour.fake.fails(flavour.submits, *[{} for _ in range(flavour.rehearsals)], *faults)


def journal(project: Project, attempt: int = 1) -> list[str]:
    path = project.folder / f"runs/one/attempts/{attempt:04d}/journal.jsonl"
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def started(project: Project) -> int:
    return sum(event["event"] == "started" for event in project.events())


def test_one_submission_becomes_the_store_that_a_run_here_gives(
    planned: Project, flavour: Flavour
) -> None:
    planned.run("submit", "runs/one")
    flavour.fake.wait_for_end()
    assert {"sealed", "reduced", "released"} <= set(journal(planned))
    planned.run("run", "slidearray.yaml", "--run-dir", "runs/two", "--profile", "local")
    assert planned.store().read_bytes() == planned.store("runs/two").read_bytes()
    assert planned.json("status", "runs/one")["complete"]


def test_everything_is_held_until_all_of_it_is_in_the_queue(
    planned: Project, flavour: Flavour
) -> None:
    planned.run("submit", "runs/one")
    submissions = flavour.fake.calls(flavour.submits)[flavour.rehearsals :]
    assert [(flavour.hold in call) for call in submissions] == [True, True, False]
    assert journal(planned)[:5] == ["intent", "submitted", "submitted", "advance", "committed"]
    assert any("afterany:" in word for word in submissions[-1])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_refused_part_takes_the_whole_attempt_back(
    planned: Project, flavour: Flavour, which: int
) -> None:
    fault = {"works": False, "stderr": flavour.misplaced, "code": 1}
    fails(flavour, *[{} for _ in range(which)], fault)
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert flavour.misplaced.rpartition(": ")[2] in refused
    assert f"`{flavour.place}`" in refused
    assert flavour.fake.left() == []
    assert "released" not in journal(planned)
    planned.run("submit", "runs/one")  # mended: the same command does it all
    flavour.fake.wait_for_end()
    assert started(planned) == 3


def test_banners_round_the_job_id_do_no_harm(planned: Project, flavour: Flavour) -> None:
    fails(flavour, {"before": "*** welcome 2026 ***\n", "behind": "\n*** bye ***\n"})
    planned.run("submit", "runs/one")
    flavour.fake.wait_for_end()
    assert started(planned) == 3


@ON_SLURM
def test_jobs_that_would_go_to_another_cluster_are_taken_back_and_refused(
    planned: Project, slurm: FakeSlurm
) -> None:
    slurm.on_cluster("other")
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert "other" in refused
    assert started(planned) == 0


def test_a_submit_limit_says_how_many_tasks_there_may_be(
    planned: Project, flavour: Flavour
) -> None:
    fails(flavour, {}, {"works": False, "stderr": flavour.too_many, "code": 1})
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert flavour.too_many.splitlines()[0].rpartition(": ")[2] in refused
    assert "shards.max_tasks" in refused
    assert flavour.fake.left() == []


def test_nothing_is_sent_while_the_scheduler_does_not_answer(
    planned: Project, flavour: Flavour
) -> None:
    flavour.fake.is_busy()
    planned.run("submit", "runs/one")
    away = {"works": False, "stderr": f"{flavour.asks}: error: Access denied", "code": 1}
    # The server's name comes first, and is asked for with the same program.
    named: list[dict[str, Any]] = [{}] if flavour.scheduler == "pbs" else []
    flavour.fake.fails(flavour.asks, *named, *[away] * 20)
    refused = planned.run("resubmit", "runs/one", expect=1).stderr
    assert "Access denied" in refused
    assert "nothing is sent" in refused
    assert not (planned.folder / "runs/one/attempts/0002").exists()


def test_what_is_in_the_queue_is_not_sent_again(planned: Project, flavour: Flavour) -> None:
    flavour.fake.is_busy()
    planned.run("submit", "runs/one")
    assert "nothing to send again" in planned.run("resubmit", "runs/one", expect=3).stdout
    assert "resubmit" in planned.run("submit", "runs/one", expect=1).stderr


def test_cancel_takes_the_job_that_would_go_on_first(planned: Project, flavour: Flavour) -> None:
    flavour.fake.is_busy()
    planned.run("submit", "runs/one")
    *_, advance = flavour.fake.jobs
    planned.run("cancel", "runs/one")
    assert flavour.fake.left() == []
    cancelled = [word for call in flavour.fake.calls(flavour.cancels) for word in call[1:]]
    assert next(word for word in cancelled if word[0].isdigit()) == advance
    assert planned.json("status", "runs/one", expect=3)["classes"] == {"cancelled": 3}
    assert "nothing to cancel" in planned.run("cancel", "runs/one").stdout


def test_a_run_that_a_person_merged_needs_nothing_more(planned: Project, flavour: Flavour) -> None:
    planned.run("submit", "runs/one")
    flavour.fake.wait_for_end()
    journal = planned.folder / "runs/one/attempts/0001/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"reduced"' not in line))  # killed there
    planned.run("reduce", "runs/one")
    shown = planned.run("status", "runs/one").stdout
    assert "which was to go on" not in shown
    assert "merged" in shown


def test_what_was_cancelled_before_it_was_let_go_is_never_let_go(
    planned: Project, flavour: Flavour
) -> None:
    flavour.fake.is_busy()
    planned.run("submit", "runs/one")
    journal = planned.folder / "runs/one/attempts/0001/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"released"' not in line))  # killed there
    planned.run("cancel", "runs/one")
    assert "released" not in planned.run("submit", "runs/one", expect=1).stdout
    shown = planned.run("status", "runs/one", expect=3).stdout
    assert "never let go" not in shown
    assert "3 can go again" in shown
    assert "attempt 2: 3 slides" in planned.run("resubmit", "runs/one").stdout


def test_a_dry_resubmission_shows_what_goes_again_and_why(
    planned: Project, flavour: Flavour
) -> None:
    flavour.fake.is_busy()
    planned.run("submit", "runs/one")
    planned.run("cancel", "runs/one")
    calls = len(flavour.fake.calls(flavour.submits))
    shown = planned.run("resubmit", "runs/one", "--dry-run").stdout
    assert "s0        cancelled" in shown
    assert "attempts/0002/advance.sh" in shown
    assert len(flavour.fake.calls(flavour.submits)) == calls
    assert not (planned.folder / "runs/one/attempts/0002").exists()


def test_without_the_commands_of_a_scheduler_nothing_is_begun(
    planned: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("submit", "resubmit", "cancel"):
        refused = planned.run(command, "runs/one", expect=1).stderr
        assert "login node" in refused
        assert "--local" in refused
    assert not (planned.folder / "runs/one/attempts").exists()


@ON_SLURM
def test_tasks_that_could_never_start_are_told_before_they_wait_for_ever(
    planned: Project, slurm: FakeSlurm
) -> None:
    words = "allocation failure: Requested node configuration is not available"
    slurm.fails("sbatch", {"works": False, "stderr": words, "code": 1})
    told = planned.run("submit", "runs/one").stdout
    assert "warning" in told
    assert words in told


def test_the_job_gets_no_variable_of_the_submitter_that_the_profile_does_not_name(
    planned: Project, flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = ("API_TOKEN", "SBATCH_ARRAY_INX", "SLURM_JOB_ID", "PBS_JOBID")
    for name in foreign:
        monkeypatch.setenv(name, "77")
    planned.run("submit", "runs/one")
    flavour.fake.wait_for_end()
    for environment in flavour.fake.environments(flavour.submits):
        assert environment.keys() & {*foreign} == set()
    assert started(planned) == 3
