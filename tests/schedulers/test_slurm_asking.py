"""squeue is asked first, and sacct for ends that have to be explained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.fakes.jobs import WAITING, all_tasks, as_job, profile, words

from slidearray.core.classes import FailureClass
from slidearray.core.queue import TaskState
from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.cluster import FakeSlurm


def test_jobs_at_work_need_one_question(queue: Queue, script: Path, fake_slurm: FakeSlurm) -> None:
    fake_slurm.is_busy()
    ids = [queue.submit(script, name=f"sa-{k}") for k in range(5)]
    jobs = [as_job(job_id, f"sa-{k}") for k, job_id in enumerate(ids)]
    told = queue.ask(jobs, all_tasks(*jobs))
    assert {word.state for word in told.tasks.values()} == {TaskState.PENDING}
    assert (len(told.tasks), told.fault) == (15, "")
    assert [len(fake_slurm.calls(each)) for each in ("squeue", "sacct")] == [1, 0]


def test_ends_that_a_record_tells_are_not_asked_for(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job = as_job(queue.submit(script, name="sa-1"))
    told = queue.ask([job], set())
    assert {word.state for word in told.tasks.values()} == {TaskState.ENDED}
    assert fake_slurm.calls("sacct") == []


def test_the_accounting_tells_of_all_tasks_at_once_what_the_queue_forgot(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    jobs = [as_job(queue.submit(script, name=f"sa-{k}"), f"sa-{k}") for k in range(3)]
    fake_slurm.forgets()
    told = queue.ask(jobs, all_tasks(*jobs))
    outcomes = [told.of(job.job_id, 1).outcome for job in jobs]
    assert [outcome and outcome.exit_code for outcome in outcomes] == [7, 7, 7]
    assert [len(fake_slurm.calls(each)) for each in ("squeue", "sacct")] == [1, 1]


def test_an_accounting_that_is_behind_is_waited_for(script: Path, fake_slurm: FakeSlurm) -> None:
    queue = Queue(profile(), patience=WAITING)
    job = as_job(queue.submit(script, name="sa-1"))
    fake_slurm.answers("config", "MinJobAge = 5 sec\n")
    for mode in ("lags", "silent"):
        fake_slurm.accounting(mode)
        told = words(queue, job)
        assert {word.state for word in told} == {TaskState.UNKNOWN}
        assert {word.reason for word in told} == {"accounting lags"}
    fake_slurm.forgets()
    assert {word.state for word in words(queue, job)} == {TaskState.UNKNOWN}
    fake_slurm.accounting("works")
    assert {word.state for word in words(queue, job)} == {TaskState.ENDED}


def test_what_is_behind_for_ever_is_not_waited_for_for_ever(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    job = as_job(queue.submit(script, name="sa-1"))
    fake_slurm.accounting("lags")
    outcomes = [word.outcome for word in words(queue, job)]  # as the queue has them
    assert [outcome and outcome.exit_code for outcome in outcomes] == [0, 7, 0]
    fake_slurm.forgets()
    told = words(queue, job)
    assert [(word.state, word.outcome) for word in told] == [(TaskState.ENDED, None)] * 3


def test_a_requeued_task_is_not_judged_by_its_first_execution(
    script: Path, fake_slurm: FakeSlurm
) -> None:
    queue = Queue(profile(), patience=WAITING)
    job = as_job(queue.submit(script, name="sa-1"))
    fake_slurm.change(job.job_id, 1, restarts=1)  # and the accounting has one execution
    assert [word.state for word in words(queue, job)] == [
        TaskState.ENDED, TaskState.UNKNOWN, TaskState.ENDED,
    ]  # fmt: skip


def test_a_task_that_vanished_from_its_array_was_cancelled(
    script: Path, fake_slurm: FakeSlurm
) -> None:
    queue = Queue(profile(), patience=replace(WAITING, lag_s=60.0))
    job = as_job(queue.submit(script, name="sa-1", held=True))
    fake_slurm.loses(job.job_id, 1)
    first, second, third = words(queue, job)
    assert (first.state, third.state) == (TaskState.PENDING, TaskState.PENDING)
    assert second.outcome
    assert second.outcome.ended_by is FailureClass.CANCELLED


def test_where_people_see_their_own_jobs_only_nothing_is_lost(
    queue: Queue, script: Path, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.answers("config", "MinJobAge = 300 sec\nPrivateData = jobs,users\n")
    (word,) = words(queue, as_job("77", count=1))
    assert word.state is TaskState.UNKNOWN
    assert "ask as the one who submitted" in word.reason


@pytest.mark.parametrize("forgets", [False, True])
def test_without_accounting_the_queue_s_word_counts(
    queue: Queue, script: Path, fake_slurm: FakeSlurm, forgets: bool
) -> None:
    fake_slurm.accounting("off")
    job = as_job(queue.submit(script, name="sa-1"))
    if forgets:
        fake_slurm.forgets()
    told = words(queue, job)
    assert {word.state for word in told} == {TaskState.ENDED}
    codes = [word.outcome and word.outcome.exit_code for word in told]
    assert codes == ([None] * 3 if forgets else [0, 7, 0])


def test_an_accounting_that_does_not_answer_is_a_fault(script: Path, fake_slurm: FakeSlurm) -> None:
    queue = Queue(profile(), patience=WAITING)
    job = as_job(queue.submit(script, name="sa-1"))
    waiting = as_job(queue.submit(script, name="sa-2", held=True), "sa-2")
    refused = "sacct: error: Problem talking to the database: Connection refused\n"
    fake_slurm.fails("sacct", {"works": False, "code": 1, "stderr": refused})
    told = queue.ask([job, waiting], all_tasks(job, waiting))
    assert "Connection refused" in told.fault
    assert told.of(job.job_id, 0).state is TaskState.UNKNOWN
    assert told.of(waiting.job_id, 0).state is TaskState.PENDING
