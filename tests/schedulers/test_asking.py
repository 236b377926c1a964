"""What became of tasks is asked for, and silence is never taken for an end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.fakes.jobs import WAITING, all_tasks, as_job, words

from slidearray.core.classes import FailureClass
from slidearray.core.queue import TaskState

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.flavours import Flavour

PENDING, ENDED = TaskState.PENDING, TaskState.ENDED


def test_jobs_that_wait_are_pending(flavour: Flavour, script: Path) -> None:
    flavour.fake.is_busy()
    queue = flavour.queue()
    jobs = [as_job(queue.submit(script, name=f"sa-{k}"), f"sa-{k}") for k in range(3)]
    told = queue.ask(jobs, all_tasks(*jobs))
    assert {word.state for word in told.tasks.values()} == {PENDING}
    assert (len(told.tasks), told.fault) == (9, "")


def test_a_held_job_says_so(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job = as_job(queue.submit(script, name="sa-1", held=True))
    told = words(queue, job)
    assert [word.state for word in told] == [PENDING] * 3
    assert all("held" in word.reason.lower() for word in told)


def test_ends_are_told_with_their_codes(flavour: Flavour, script: Path) -> None:
    queue = flavour.queue()
    job = as_job(queue.submit(script, name="sa-1"))
    flavour.fake.wait_for_end()
    outcomes = [word.outcome for word in words(queue, job)]
    assert [outcome and outcome.exit_code for outcome in outcomes] == [0, 7, 0]


def test_no_job_needs_no_question(flavour: Flavour) -> None:
    assert flavour.queue().ask([], set()).tasks == {}
    assert flavour.fake.calls(flavour.asks) == []


def test_a_job_that_nobody_knows_is_lost(flavour: Flavour, script: Path) -> None:
    # SLURM's queue remembers for 300 s: what it does not know, the accounting would have by now.
    queue = flavour.queue(patience=replace(WAITING, lag_s=60.0))
    job = as_job(queue.submit(script, name="sa-1", held=True))
    flavour.fake.loses(job.job_id)
    told = words(queue, job)
    assert [(word.state, word.outcome) for word in told] == [(ENDED, None)] * 3


def test_a_task_that_was_taken_before_it_began_was_cancelled(
    flavour: Flavour, script: Path
) -> None:
    queue = flavour.queue()
    job = as_job(queue.submit(script, name="sa-1", held=True))
    queue.cancel([flavour.task_id(job.job_id, 1)])
    first, second, third = words(queue, job)
    assert (first.state, third.state) == (PENDING, PENDING)
    assert second.state is ENDED
    assert second.outcome
    assert second.outcome.ended_by is FailureClass.CANCELLED


def test_a_queue_that_does_not_answer_leaves_everything_unknown(
    flavour: Flavour, script: Path
) -> None:
    queue = flavour.queue()
    job = as_job(queue.submit(script, name="sa-1", held=True))
    fault = {"works": False, "code": 1, "stderr": f"{flavour.asks}: error: Hm\n"}
    flavour.fake.fails(flavour.asks, fault)
    told = queue.ask([job], all_tasks(job))
    assert "Hm" in told.fault
    assert told.of(job.job_id, 0).state is TaskState.UNKNOWN
