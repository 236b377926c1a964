"""Jobs are submitted once, taken back whole, and never called ended on a guess."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.jobs import AT_ONCE, as_job, profile, words

from slidearray.errors import RunError, SchedulerError
from slidearray.schedulers.queue import Queue
from slidearray.storage.configs import load_profile

if TYPE_CHECKING:
    from tests.fakes.cluster import FakeSlurm

TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"


def test_a_held_job_runs_once_it_is_released(
    queue: Queue, script: Path, fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    job_id = queue.submit(script, name="sa-1", held=True)
    behind = queue.submit(script, name="sv-1", after=[job_id])
    assert queue.find(["sa-1", "sv-1", "other"]) == {"sa-1": [job_id], "sv-1": [behind]}
    assert not (tmp_path / "0.log").exists()
    queue.release([job_id])
    assert (tmp_path / "2.log").read_text() == "task 2\n" * 2
    assert queue.find(["sa-1", "sv-1"]) == {}
    outcomes = [word.outcome for word in words(queue, as_job(job_id))]
    assert [outcome and outcome.exit_code for outcome in outcomes] == [0, 7, 0]


def test_a_release_may_come_twice_or_too_late(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job_id = queue.submit(script, name="sa-1", held=True)
    queue.release([job_id])
    queue.release([job_id, "9999"])
    assert fake_slurm.calls("scontrol")[-1] == ["scontrol", "release", f"{job_id},9999"]


def test_a_job_that_stays_held_is_an_error(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job_id = queue.submit(script, name="sa-1", held=True)
    fake_slurm.fails("scontrol", {"works": False, "code": 1, "stderr": "Access/permission denied"})
    with pytest.raises(SchedulerError, match="Access/permission denied"):
        queue.release([job_id])


def test_a_release_that_does_not_get_through_is_tried_again(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job_id = queue.submit(script, name="sa-1", held=True)
    away = "slurm_suspend error: Unexpected message received\n"  # the controller restarts
    fake_slurm.fails("scontrol", {"works": False, "code": 1, "stderr": away})
    queue.release([job_id])
    assert queue.find(["sa-1"]) == {}


@pytest.mark.parametrize("name", ["a b.sh", "-x.sh", "$(touch no).sh", "ä.sh", "a;b\n.sh"])
def test_a_script_of_any_name_is_submitted(
    queue: Queue, script: Path, name: str, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.rename(script.with_name(name))
    monkeypatch.chdir(script.parent)
    job_id = queue.submit(Path(name), name="sa-1")
    assert fake_slurm.jobs[job_id]["script"] == str(script.with_name(name))


def test_banners_around_the_id_are_passed_over(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    banner = "*** 12 nodes are down ***\nYour quota: 80 %\n2026\n"
    fake_slurm.fails("sbatch", {"before": banner, "behind": "Thank you.\n"})
    assert queue.submit(script, name="sa-1", held=True) in fake_slurm.jobs


def test_an_id_that_a_wrapper_hides_is_found_by_name(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.fails("sbatch", {"behind": "x"})  # behind the line's end
    first = queue.submit(script, name="sa-1", held=True)
    fake_slurm.fails("sbatch", {"code": 1, "stderr": "wrapper: cannot write its log"})
    assert queue.submit(script, name="sa-2", held=True) != first
    assert len(fake_slurm.jobs) == len(fake_slurm.calls("sbatch")) == 2


def test_an_answer_that_makes_no_sense_is_shown(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.fails("sbatch", {"works": False, "before": "Please log in first\n"})
    with pytest.raises(SchedulerError, match=r"Please log in first.*no job sa-1 is in the queue"):
        queue.submit(script, name="sa-1")
    assert len(fake_slurm.calls("sbatch")) == 1


def test_a_job_on_another_cluster_is_taken_back(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.on_cluster("east")
    with pytest.raises(SchedulerError, match="went to the cluster east, and was cancelled"):
        queue.submit(script, name="sa-1", held=True)
    assert (fake_slurm.state / "cancelled-elsewhere").read_text() == "--clusters=east 1000"
    fake_slurm.fails("scancel", {"works": False, "code": 1, "stderr": "denied"})
    with pytest.raises(SchedulerError, match="type: scancel --clusters=east 1001"):
        queue.submit(script, name="sa-1", held=True)


def test_a_refusal_that_passes_is_followed_by_another_try(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    limited = "sbatch: error: Rate limit exceeded, please retry momentarily\n"
    faults = [{"works": False, "code": 1, "stderr": text} for text in (TIMED_OUT, limited)]
    fake_slurm.fails("sbatch", *faults)
    job_id = queue.submit(script, name="sa-1", held=True)
    assert list(fake_slurm.jobs) == [job_id]
    assert [len(fake_slurm.calls(each)) for each in ("sbatch", "squeue")] == [3, 2]


def test_a_job_that_got_through_without_an_answer_is_not_submitted_again(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.fails("sbatch", {"code": 1, "stderr": TIMED_OUT, "before": "\n"})
    # Not held: it has ended when the queue is asked.
    job_id = queue.submit(script, name="sa-1")
    assert list(fake_slurm.jobs) == [job_id]
    assert len(fake_slurm.calls("sbatch")) == 1


def test_a_command_that_hangs_is_ended_and_its_job_looked_for(
    script: Path, fake_slurm: FakeSlurm
) -> None:
    # Enough for a program that starts on a busy machine.
    queue = Queue(profile(), patience=replace(AT_ONCE, submit_s=5.0))
    fake_slurm.fails("sbatch", {"hangs": True})
    job_id = queue.submit(script, name="sa-1", held=True)
    assert list(fake_slurm.jobs) == [job_id]
    assert len(fake_slurm.calls("sbatch")) == 1


def test_nothing_is_submitted_again_while_the_queue_does_not_answer(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    away = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    silent = {"works": False, "code": 1, "stderr": away}
    fake_slurm.fails("sbatch", {"works": False, "code": 1, "stderr": TIMED_OUT})
    fake_slurm.fails("squeue", silent, silent, silent)
    with pytest.raises(SchedulerError, match="Unable to contact slurm controller"):
        queue.submit(script, name="sa-1", held=True)
    assert len(fake_slurm.calls("sbatch")) == 1
    assert fake_slurm.jobs == {}


def test_a_refusal_that_stays_is_told_at_once(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    said = (
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
        "(job submit limit, user's size and/or time limits)\n"
    )
    fake_slurm.fails("sbatch", {"works": False, "code": 1, "stderr": said})
    expected = r"a b\.sh: not submitted: sbatch: QOSMaxSubmitJobPerUserLimit.*shards\.max_tasks"
    with pytest.raises(SchedulerError, match=expected):
        queue.submit(script, name="sa-1")
    assert len(fake_slurm.calls("sbatch")) == 1


def test_a_refusal_that_may_be_for_too_many_tasks_is_told_with_their_number(
    script: Path, fake_slurm: FakeSlurm
) -> None:
    queue = Queue(profile(account="lab"), patience=AT_ONCE)
    fake_slurm.answers("config", "ClusterName=c\nAccountingStorageEnforce=limits\n")
    fake_slurm.answers("sacctmgr-user", "c|lab|lab||normal||5\n")
    fake_slurm.answers("sacctmgr-qos", "normal||||\n")
    fake_slurm.answers("sacctmgr-associations", "|\n")
    assert queue.limits().max_submit == 5
    queue.submit(script, name="sa-1", held=True)
    unclear = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy\n"
    fault = {"works": False, "code": 1, "stderr": unclear}
    fake_slurm.fails("sbatch", fault)
    expected = "3 tasks of yours are queued, 3 were to follow, and the limit is 5: .*max_tasks"
    with pytest.raises(SchedulerError, match=expected):
        queue.submit(script, name="sa-2")
    fake_slurm.answers("sacctmgr-user", "c|lab|lab||normal||50\n")
    fake_slurm.fails("sbatch", fault)
    with pytest.raises(SchedulerError, match="does not say which limit"):
        queue.submit(script, name="sa-2")


def test_without_the_scheduler_here_the_way_out_is_told(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    queue = Queue(profile(), patience=AT_ONCE)
    assert not queue.works_here
    with pytest.raises(SchedulerError, match=r"sbatch: not found: .*login node.* --local"):
        queue.submit(script, name="sa-1")
    assert "not found" in queue.limits().fault
    assert "not found" in queue.ask([as_job("1")], set()).fault


def test_a_local_profile_has_no_queue(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="scheduler local has no queue"):
        Queue(load_profile("local", project=tmp_path))


def test_cancelling_what_has_ended_is_no_error(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job_id = queue.submit(script, name="sa-1", held=True)
    gone = "scancel: error: Kill job error on job id 9: Invalid job id specified\n"
    fake_slurm.fails("scancel", {"code": 1, "stderr": gone})
    queue.cancel([job_id, "9"])
    assert queue.find(["sa-1"]) == {}
    fake_slurm.fails("scancel", {"code": 1, "stderr": gone + "scancel: error: Access denied\n"})
    with pytest.raises(SchedulerError, match="Access denied"):
        queue.cancel(["9", "10"])


def test_a_job_gets_nothing_of_an_enclosing_one(
    script: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_ARRAY_INX", "0-99")
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("API_TOKEN", "secret")
    monkeypatch.setenv("WANTED", "yes")
    monkeypatch.setenv("SBATCH_PARTITION", "mine")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lab")
    queue = Queue(profile(environment=["WANTED", "NOT_SET"]), patience=AT_ONCE)
    script.write_text(script.read_text() + "#SBATCH --partition=gpu\n")
    queue.submit(script, name="sa-1", held=True)
    (given,) = fake_slurm.environments("sbatch")
    given.pop("LC_CTYPE", None)  # Python's own
    kept = {"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "TZ", "USER"}
    assert given.keys() - kept == {"LC_ALL", "WANTED", "SBATCH_ACCOUNT"}
    assert given["LC_ALL"] == "C"
    queue.find(["sa-1"])
    assert fake_slurm.environments("squeue")[0]["SLURM_BITSTR_LEN"] == "0"


def test_what_a_script_leaves_open_a_person_may_have_a_default_for(
    queue: Queue, script: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "mine")
    queue.submit(script, name="sa-1", held=True)
    assert fake_slurm.environments("sbatch")[0]["SBATCH_PARTITION"] == "mine"


def test_the_lock_is_held_by_the_command_that_submits(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    reading, writing = os.pipe()
    queue.submit(script, name="sa-1", held=True, fds=(writing,))
    queue.find(["sa-1"])
    assert writing in fake_slurm.descriptors("sbatch")[0]
    assert writing not in fake_slurm.descriptors("squeue")[0]
    os.close(reading)
    os.close(writing)
