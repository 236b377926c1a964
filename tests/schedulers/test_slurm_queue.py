"""What only SLURM has: several clusters under one command, and a person's own defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakes.jobs import AT_ONCE, profile

from slidearray.errors import SchedulerError
from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.cluster import FakeSlurm


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
