"""submit, resubmit and cancel against a scheduler that does what a real one cannot be made to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.fakes.cluster import FakeSlurm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.support import Project

PROFILE = """\
version: 1
scheduler: slurm
walltime: 60
memory: 1G
max_array_size: 2
"""
#: `sbatch --test-only` comes first, and works as ever.
REHEARSAL: tuple[dict[str, Any], ...] = ({},)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "fake")
    fake.put_on_path(monkeypatch)
    return fake


@pytest.fixture
def planned(ready: Project) -> Project:
    """Three slides in three slots of two arrays, the last one a single task."""
    (ready.folder / "cluster_profiles").mkdir()
    (ready.folder / "cluster_profiles" / "ours.yaml").write_text(PROFILE)
    ready.config(shards={"slides_per_task": 1})
    ready.run("plan", "slidearray.yaml", "--profile", "ours")
    return ready


def journal(project: Project, attempt: int = 1) -> list[str]:
    path = project.folder / f"runs/one/attempts/{attempt:04d}/journal.jsonl"
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def started(project: Project) -> int:
    return sum(event["event"] == "started" for event in project.events())


def left_in_queue(slurm: FakeSlurm) -> list[str]:
    return [
        job_id
        for job_id, job in slurm.jobs.items()
        if any(task["state"] in ("PENDING", "RUNNING") for task in job["tasks"].values())
    ]


def test_one_submission_becomes_the_store_that_a_run_here_gives(
    planned: Project, slurm: FakeSlurm
) -> None:
    planned.run("submit", "runs/one")
    # This scheduler runs jobs inside the command that lets them go.
    assert journal(planned)[-3:] == ["sealed", "reduced", "released"]
    planned.run("run", "slidearray.yaml", "--run-dir", "runs/two", "--profile", "local")
    assert planned.store().read_bytes() == planned.store("runs/two").read_bytes()
    assert planned.json("status", "runs/one")["complete"]


def test_everything_is_held_until_all_of_it_is_in_the_queue(
    planned: Project, slurm: FakeSlurm
) -> None:
    planned.run("submit", "runs/one")
    submissions = [call for call in slurm.calls("sbatch") if "--parsable" in call]
    assert [("--hold" in call) for call in submissions] == [True, True, False]
    assert journal(planned)[:5] == ["intent", "submitted", "submitted", "advance", "committed"]
    assert any(word.startswith("--dependency=afterany:") for word in submissions[-1])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_refused_part_takes_the_whole_attempt_back(
    planned: Project, slurm: FakeSlurm, which: int
) -> None:
    words = "sbatch: error: invalid partition specified: nope"
    fault = {"works": False, "stderr": words, "code": 1}
    slurm.fails("sbatch", *REHEARSAL, *[{} for _ in range(which)], fault)
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert "invalid partition specified: nope" in refused
    assert "`partition`" in refused
    assert left_in_queue(slurm) == []
    assert "released" not in journal(planned)
    planned.run("submit", "runs/one")  # mended: the same command does it all
    assert started(planned) == 3


def test_banners_round_the_job_id_do_no_harm(planned: Project, slurm: FakeSlurm) -> None:
    slurm.fails(
        "sbatch", *REHEARSAL, {"before": "*** welcome 2026 ***\n", "behind": "\n*** bye ***\n"}
    )
    planned.run("submit", "runs/one")
    assert started(planned) == 3


def test_jobs_that_would_go_to_another_cluster_are_taken_back_and_refused(
    planned: Project, slurm: FakeSlurm
) -> None:
    slurm.on_cluster("other")
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert "other" in refused
    assert started(planned) == 0


def test_a_submit_limit_says_how_many_tasks_there_may_be(
    planned: Project, slurm: FakeSlurm
) -> None:
    words = (
        "sbatch: error: AssocMaxSubmitJobLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
        "submit limit, user's size and/or time limits)"
    )
    slurm.fails("sbatch", *REHEARSAL, {}, {"works": False, "stderr": words, "code": 1})
    refused = planned.run("submit", "runs/one", expect=1).stderr
    assert "AssocMaxSubmitJobLimit" in refused
    assert "shards.max_tasks" in refused
    assert left_in_queue(slurm) == []


def test_nothing_is_sent_while_the_scheduler_does_not_answer(
    planned: Project, slurm: FakeSlurm
) -> None:
    slurm.is_busy()
    planned.run("submit", "runs/one")
    away = {"works": False, "stderr": "squeue: error: Access denied", "code": 1}
    slurm.fails("squeue", *[away] * 20)
    refused = planned.run("resubmit", "runs/one", expect=1).stderr
    assert "Access denied" in refused
    assert "nothing is sent" in refused
    assert not (planned.folder / "runs/one/attempts/0002").exists()


def test_what_is_in_the_queue_is_not_sent_again(planned: Project, slurm: FakeSlurm) -> None:
    slurm.is_busy()
    planned.run("submit", "runs/one")
    assert "nothing to send again" in planned.run("resubmit", "runs/one", expect=3).stdout
    assert "resubmit" in planned.run("submit", "runs/one", expect=1).stderr


def test_cancel_takes_the_job_that_would_go_on_first(planned: Project, slurm: FakeSlurm) -> None:
    slurm.is_busy()
    planned.run("submit", "runs/one")
    planned.run("cancel", "runs/one")
    assert left_in_queue(slurm) == []
    cancelled = [word for call in slurm.calls("scancel") for word in call[1:] if word.isdigit()]
    assert cancelled[0] == "1002"  # the third that was submitted
    assert planned.json("status", "runs/one", expect=3)["classes"] == {"cancelled": 3}
    assert "nothing to cancel" in planned.run("cancel", "runs/one").stdout


def test_a_dry_resubmission_shows_what_goes_again_and_why(
    planned: Project, slurm: FakeSlurm
) -> None:
    slurm.is_busy()
    planned.run("submit", "runs/one")
    planned.run("cancel", "runs/one")
    calls = len(slurm.calls("sbatch"))
    shown = planned.run("resubmit", "runs/one", "--dry-run").stdout
    assert "s0        cancelled" in shown
    assert "attempts/0002/advance.sh" in shown
    assert len(slurm.calls("sbatch")) == calls
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


def test_tasks_that_could_never_start_are_told_before_they_wait_for_ever(
    planned: Project, slurm: FakeSlurm
) -> None:
    words = "allocation failure: Requested node configuration is not available"
    slurm.fails("sbatch", {"works": False, "stderr": words, "code": 1})
    told = planned.run("submit", "runs/one").stdout
    assert "warning" in told
    assert words in told


def test_the_job_gets_no_variable_of_the_submitter_that_the_profile_does_not_name(
    planned: Project, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "0-99")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    planned.run("submit", "runs/one")
    for environment in slurm.environments("sbatch"):
        assert environment.keys() & {"API_TOKEN", "SBATCH_ARRAY_INX", "SLURM_JOB_ID"} == set()
    assert started(planned) == 3
