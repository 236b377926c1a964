"""Jobs are submitted once, taken back whole, and never called ended on a guess."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.jobs import AT_ONCE, as_job, words

from slidearray.errors import RunError, SchedulerError
from slidearray.schedulers.queue import Queue
from slidearray.storage.configs import load_profile

if TYPE_CHECKING:
    from tests.fakes.flavours import Flavour


def test_a_held_job_runs_once_it_is_released(
    flavour: Flavour, script: Path, tmp_path: Path
) -> None:
    queue = flavour.queue()
    job_id = queue.submit(script, name="sa-1", held=True)
    behind = queue.submit(script, name="sv-1", after=[job_id])
    assert queue.find(["sa-1", "sv-1", "other"]) == {"sa-1": [job_id], "sv-1": [behind]}
    assert not (tmp_path / "0.log").exists()
    queue.release([job_id])
    flavour.fake.wait_for_end()
    assert (tmp_path / "2.log").read_text() == "task 2\n" * 2
    assert queue.find(["sa-1", "sv-1"]) == {}
    outcomes = [word.outcome for word in words(queue, as_job(job_id))]
    assert [outcome and outcome.exit_code for outcome in outcomes] == [0, 7, 0]


def test_a_release_may_come_twice_or_too_late(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job_id = queue.submit(script, name="sa-1", held=True)
    queue.release([job_id])
    queue.release([job_id, "9999"])
    assert "9999" in flavour.fake.calls(flavour.releases)[-1][-1]


def test_a_job_that_stays_held_is_an_error(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job_id = queue.submit(script, name="sa-1", held=True)
    fault = {"works": False, "code": 1, "stderr": flavour.denied}
    flavour.fake.fails(flavour.releases, fault)
    with pytest.raises(SchedulerError, match=flavour.denied.split()[0]):
        queue.release([job_id])


def test_a_release_that_does_not_get_through_is_tried_again(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job_id = queue.submit(script, name="sa-1", held=True)
    fault = {"works": False, "code": 1, "stderr": flavour.away}
    flavour.fake.fails(flavour.releases, fault)
    queue.release([job_id])
    flavour.fake.wait_for_end()
    assert queue.find(["sa-1"]) == {}


@pytest.mark.parametrize("name", ["a b.sh", "-x.sh", "$(touch no).sh", "ä.sh", "a;b\n.sh"])
def test_a_script_of_any_name_is_submitted(
    flavour: Flavour, script: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.rename(script.with_name(name))
    monkeypatch.chdir(script.parent)
    job_id = flavour.queue().submit(Path(name), name="sa-1", held=True)
    assert list(flavour.fake.jobs) == [job_id]
    assert len(flavour.fake.jobs[job_id]["tasks"]) == 3
    assert not Path("no").exists()


def test_banners_around_the_id_are_passed_over(flavour: Flavour, script: Path) -> None:
    banner = "*** 12 nodes are down ***\nYour quota: 80 %\n2026\n"
    flavour.fake.fails(flavour.submits, {"before": banner, "behind": "Thank you.\n"})
    assert flavour.queue().submit(script, name="sa-1", held=True) in flavour.fake.jobs


def test_an_id_that_a_wrapper_hides_is_found_by_name(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    flavour.fake.fails(flavour.submits, {"behind": "x"})  # behind the line's end
    first = queue.submit(script, name="sa-1", held=True)
    flavour.fake.fails(flavour.submits, {"code": 1, "stderr": "wrapper: cannot write its log"})
    assert queue.submit(script, name="sa-2", held=True) != first
    assert len(flavour.fake.jobs) == len(flavour.fake.calls(flavour.submits)) == 2


def test_an_answer_that_makes_no_sense_is_shown(flavour: Flavour, script: Path) -> None:
    flavour.fake.fails(flavour.submits, {"works": False, "before": "Please log in first\n"})
    with pytest.raises(SchedulerError, match=r"Please log in first.*no job sa-1 is in the queue"):
        flavour.queue().submit(script, name="sa-1")
    assert len(flavour.fake.calls(flavour.submits)) == 1


def test_a_refusal_that_passes_is_followed_by_another_try(flavour: Flavour, script: Path) -> None:
    said = (flavour.timed_out, flavour.crowded)
    faults = [{"works": False, "code": 1, "stderr": text} for text in said]
    flavour.fake.fails(flavour.submits, *faults)
    job_id = flavour.queue().submit(script, name="sa-1", held=True)
    assert list(flavour.fake.jobs) == [job_id]
    assert len(flavour.fake.calls(flavour.submits)) == 3
    assert len(flavour.fake.calls(flavour.finds)) >= 2, "looked for before each other try"


def test_a_job_that_got_through_without_an_answer_is_not_submitted_again(
    flavour: Flavour, script: Path
) -> None:
    fault = {"code": 1, "stderr": flavour.timed_out, "before": "\n"}
    flavour.fake.fails(flavour.submits, fault)
    # Not held: it may have ended when the queue is asked.
    job_id = flavour.queue().submit(script, name="sa-1")
    assert list(flavour.fake.jobs) == [job_id]
    assert len(flavour.fake.calls(flavour.submits)) == 1


def test_a_command_that_hangs_is_ended_and_its_job_looked_for(
    flavour: Flavour, script: Path
) -> None:
    # Enough for a program that starts on a busy machine.
    queue = flavour.queue(patience=replace(AT_ONCE, submit_s=5.0))
    flavour.fake.fails(flavour.submits, {"hangs": True})
    job_id = queue.submit(script, name="sa-1", held=True)
    assert list(flavour.fake.jobs) == [job_id]
    assert len(flavour.fake.calls(flavour.submits)) == 1


def test_nothing_is_submitted_again_while_the_queue_does_not_answer(
    flavour: Flavour, script: Path
) -> None:
    silent = {"works": False, "code": 1, "stderr": flavour.away}
    flavour.fake.fails(flavour.submits, {"works": False, "code": 1, "stderr": flavour.timed_out})
    flavour.fake.fails(flavour.finds, silent, silent, silent)
    with pytest.raises(SchedulerError, match=re.escape(flavour.away.strip()[-20:])):
        flavour.queue().submit(script, name="sa-1", held=True)
    assert len(flavour.fake.calls(flavour.submits)) == 1
    assert flavour.fake.jobs == {}


def test_a_refusal_that_stays_is_told_at_once(flavour: Flavour, script: Path) -> None:
    said = flavour.too_many
    flavour.fake.fails(flavour.submits, {"works": False, "code": 1, "stderr": said})
    with pytest.raises(SchedulerError, match=r"a b\.sh: not submitted: .*shards\.max_tasks"):
        flavour.queue().submit(script, name="sa-1")
    assert len(flavour.fake.calls(flavour.submits)) == 1


def test_without_the_scheduler_here_the_way_out_is_told(
    flavour: Flavour, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    queue = flavour.queue()
    assert not queue.works_here
    expected = rf"{flavour.submits}: not found: .*login node.* --local"
    with pytest.raises(SchedulerError, match=expected):
        queue.submit(script, name="sa-1")
    assert "not found" in queue.limits().fault
    assert "not found" in queue.ask([as_job("1")], set()).fault


def test_a_local_profile_has_no_queue(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="scheduler local has no queue"):
        Queue(load_profile("local", project=tmp_path))


def test_cancelling_what_has_ended_is_no_error(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job_id = queue.submit(script, name="sa-1", held=True)
    flavour.fake.fails(flavour.cancels, {"code": 1, "stderr": flavour.gone})
    queue.cancel([job_id, "9"])
    assert queue.find(["sa-1"]) == {}
    refused = {"code": 1, "stderr": flavour.gone + flavour.denied}
    flavour.fake.fails(flavour.cancels, refused)
    with pytest.raises(SchedulerError, match=flavour.denied.split()[0]):
        queue.cancel(["9", "10"])


def test_a_job_gets_nothing_of_the_job_that_submits_it(
    flavour: Flavour, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = ("SLURM_JOB_ID", "PBS_JOBID", "PBS_O_QUEUE", "SUBMITIT_EXECUTOR", "API_TOKEN")
    for name in (*foreign, "WANTED"):
        monkeypatch.setenv(name, "5")
    flavour.queue(environment=["WANTED"]).submit(script, name="sa-1", held=True)
    (given,) = flavour.fake.environments(flavour.submits)
    assert given.keys() & {*foreign} == set()
    assert given["WANTED"] == "5"


def test_the_lock_is_held_by_the_command_that_submits(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    reading, writing = os.pipe()
    queue.submit(script, name="sa-1", held=True, fds=(writing,))
    queue.find(["sa-1"])
    assert writing in flavour.fake.descriptors(flavour.submits)[0]
    assert writing not in flavour.fake.descriptors(flavour.finds)[0]
    os.close(reading)
    os.close(writing)
