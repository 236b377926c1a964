"""The ledger of a run that a scheduler works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.storage.support import (
    STARTED,
    begin_attempt,
    begun,
    classes,
    done,
    ended,
    failed,
    planned_run,
    record,
)

from slidearray.core.classes import FailureClass
from slidearray.core.queue import QueueWord, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.storage.ledger import Ledger, read_ledger
from slidearray.storage.seals import seal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from slidearray.core.queue import SubmittedJob
    from slidearray.storage.rundir import RunDir

PENDING = TaskWord(state=TaskState.PENDING, reason="Priority")
RUNNING = TaskWord(state=TaskState.RUNNING, reason="RUNNING")


class Scheduler:
    """Answers with what it was given, and remembers what it was asked."""

    def __init__(self, tasks: dict[str, TaskWord] | None = None, *, fault: str = "") -> None:
        self.tasks = {(job_id, 0): word for job_id, word in (tasks or {}).items()}
        self.fault = fault
        self.asked: list[tuple[list[str], set[str]]] = []

    def __call__(
        self, jobs: Sequence[SubmittedJob], unsettled: Collection[tuple[str, int]]
    ) -> QueueWord:
        self.asked.append(([job.job_id for job in jobs], {job_id for job_id, _ in unsettled}))
        return QueueWord(tasks=self.tasks, fault=self.fault)


def ended_word(
    code: int | None, by: FailureClass | None = None, *, node: str = "", restarts: int = 0
) -> TaskWord:
    outcome = SlotOutcome(exit_code=code, ended_by=by, node=node)
    return TaskWord(state=TaskState.ENDED, outcome=outcome, restarts=restarts)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """One attempt on a scheduler, a slide a slot; `d` is done, `c` under way."""
    run = planned_run(tmp_path)
    begin_attempt(run, 1, *"dcba", jobs=("10", "11", "12", "13"))
    record(run, 1, 0, STARTED, begun("d"), done("d"))
    record(run, 1, 1, STARTED, begun("c"))
    return run


def test_the_scheduler_is_asked_once_for_everything_that_is_open(run: RunDir) -> None:
    begin_attempt(run, 2, "b", jobs=("20",))
    scheduler = Scheduler({"11": RUNNING})
    read_ledger(run, ask=scheduler)
    ((jobs, unsettled),) = scheduler.asked
    assert jobs == ["10", "11", "12", "13", "99", "20", "99"]
    assert unsettled == {"11", "12", "13", "20"}  # of `d` a record tells the end


def test_slots_are_where_the_scheduler_says(run: RunDir) -> None:
    words = {"11": RUNNING, "12": PENDING, "13": ended_word(None, FailureClass.NODE_FAILURE)}
    ledger = read_ledger(run, ask=Scheduler({"99": PENDING, **words}))
    assert [str(v.failure or v.state) for v in ledger.verdicts.values()] == [
        "done",
        "running",
        "pending",
        "not_started",
    ]
    (report,) = ledger.attempts
    assert report.slots == {TaskState.ENDED: 2, TaskState.RUNNING: 1, TaskState.PENDING: 1}
    assert report.pending_reasons == {"Priority": 1}
    assert report.advance == PENDING
    assert not report.settled
    assert report.outcomes == {
        0: None,
        3: SlotOutcome(exit_code=None, ended_by=FailureClass.NODE_FAILURE),
    }
    assert ledger.verdicts["b"].reason == "Priority"
    assert ledger.fault == ""


def test_without_an_answer_what_no_record_settles_is_unknown(run: RunDir) -> None:
    record(run, 1, 2, STARTED, begun("b"), failed("b", "worker_error"))
    unknown = {"d": "done", "c": "unknown", "b": "worker_error", "a": "unknown"}
    away = Scheduler(fault="squeue: Unable to contact slurm controller")
    assert classes(run, away) == classes(run, None) == unknown
    ledger = read_ledger(run, ask=away)
    assert ledger.fault == ledger.verdicts["c"].reason == away.fault
    assert ledger.attempts[0].slots == {TaskState.ENDED: 2, TaskState.UNKNOWN: 2}
    assert not ledger.attempts[0].settled
    silent = read_ledger(run)
    assert (silent.fault, silent.attempts[0].advance) == ("", None)


def test_what_a_scheduler_that_answers_does_not_know_is_lost(run: RunDir) -> None:
    scheduler = Scheduler()
    assert classes(run, scheduler) == {"d": "done", "c": "lost", "b": "lost", "a": "lost"}
    assert read_ledger(run, ask=scheduler).attempts[0].settled


def test_a_word_of_its_own_on_an_unknown_task_is_kept(run: RunDir) -> None:
    lags = TaskWord(state=TaskState.UNKNOWN, reason="accounting lags")
    ledger = read_ledger(run, ask=Scheduler({"11": lags}))
    assert (ledger.verdicts["c"].state, ledger.verdicts["c"].reason) == ("unknown", lags.reason)


def test_nodes_that_took_a_slot_with_them_are_named(run: RunDir) -> None:
    by = FailureClass.NODE_FAILURE
    words = {"11": ended_word(None, by, node="n7"), "12": ended_word(None, by, node="n2")}
    words["13"] = ended_word(1, node="n3")
    assert read_ledger(run, ask=Scheduler(words)).failed_nodes == ("n2", "n7")
    seal(run.attempt(1), read_ledger(run, ask=Scheduler(words)).attempts[0].outcomes)
    assert read_ledger(run).failed_nodes == ("n2", "n7")


def test_requeues_are_counted_by_scheduler_and_records(run: RunDir) -> None:
    record(run, 1, 1, ("started", {"restarts": 2}), begun("c"), token="u")
    words = {"11": RUNNING, "12": ended_word(0, restarts=1)}
    assert read_ledger(run, ask=Scheduler(words)).attempts[0].requeued == 3


def test_an_end_after_a_requeue_is_not_of_the_execution_that_left_a_record(run: RunDir) -> None:
    words = {"11": ended_word(78, restarts=1)}
    assert classes(run, Scheduler(words))["c"] == "setup_failed"
    seal(run.attempt(1), read_ledger(run, ask=Scheduler(words)).attempts[0].outcomes)
    assert classes(run)["c"] == "setup_failed"


def test_a_cancelled_attempt_says_so_of_every_slide_without_a_result(tmp_path: Path) -> None:
    run = planned_run(tmp_path)
    journal = begin_attempt(run, 1, "dcb", "a", jobs=("10", "11"))
    record(run, 1, 0, STARTED, begun("d"), done("d"), begun("c"))
    journal.append("cancelled")
    cancelled = {"d": "done", "c": "cancelled", "b": "cancelled", "a": "cancelled"}
    assert classes(run, Scheduler()) == cancelled


def test_attempts_that_never_ran_or_were_sealed_are_not_asked_for(run: RunDir) -> None:
    words = {"11": ended_word(137, FailureClass.OUT_OF_MEMORY)}
    seal(run.attempt(1), read_ledger(run, ask=Scheduler(words)).attempts[0].outcomes)
    begin_attempt(run, 2, "c", jobs=("20",))
    begin_attempt(run, 3, "c", jobs=("30",), whole=False)
    begin_attempt(run, 4, "c", jobs=("40",)).append("abandoned", reason="killed")
    scheduler = Scheduler({"20": PENDING})
    reports = read_ledger(run, ask=scheduler).attempts
    assert [jobs for jobs, _ in scheduler.asked] == [["20", "99"]]
    assert [report.number for report in reports] == [1, 2, 3, 4]
    assert reports[2].slots == reports[3].slots == {}


def test_of_a_sealed_attempt_only_the_job_that_goes_on_is_asked_for_until_it_has(
    run: RunDir,
) -> None:
    seal(run.attempt(1), {})
    scheduler = Scheduler({"99": RUNNING})
    assert read_ledger(run, ask=scheduler).attempts[0].advance == RUNNING
    assert scheduler.asked == [(["99"], set())]
    journal = begin_attempt(run, 2, "a", jobs=("20",))
    seal(run.attempt(2), {})
    journal.append("reduced")
    assert read_ledger(run, ask=scheduler).attempts[1].advance is None
    assert len(scheduler.asked) == 1


def test_an_attempt_that_was_run_here_is_no_matter_for_the_scheduler(tmp_path: Path) -> None:
    run, scheduler = planned_run(tmp_path), Scheduler()
    ended(begin_attempt(run, 1, "dcba"), 0, exit_code=-9)
    assert set(classes(run, scheduler).values()) == {"not_started"}
    assert scheduler.asked == []


def test_an_attempt_tells_how_its_slots_failed_and_whether_it_got_anywhere(
    tmp_path: Path,
) -> None:
    run = planned_run(tmp_path)
    begin_attempt(run, 1, "dc", "ba", jobs=("10", "11"))
    gone = {"10": ended_word(None, FailureClass.NODE_FAILURE), "11": ended_word(78)}

    def report() -> Ledger:
        return read_ledger(run, ask=Scheduler(gone))

    first = report().attempts[0]
    assert first.failures == ["not_started", "setup_failed"]
    assert (first.any_done, first.progressed) == (False, False)
    assert first.place(1) == (1, 0)
    record(run, 1, 0, STARTED, begun("d"), failed("d", "corrupt_slide"))
    second = report().attempts[0]
    assert (second.any_done, second.progressed) == (False, True)
    record(run, 1, 1, STARTED, begun("b"), done("b"))
    assert report().attempts[0].any_done
