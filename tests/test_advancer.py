"""What follows from an attempt that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.made_runs import FINISHED, MadeRun, done, failed, make_run

from slidearray.advancer import Advanced, Patience, advance
from slidearray.core.classes import FailureClass
from slidearray.core.queue import QueueWord, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import RefusedError, RunError, TakenError
from slidearray.storage.journal import Journal, read_attempt_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from slidearray.core.queue import SubmittedJob
    from slidearray.storage.ledger import Ledger

AT_ONCE = Patience(
    records_s=0.0, queue_s=0.0, submitter_s=0.0, first_pause_s=0.0, longest_pause_s=0.0
)
ENDED = TaskWord(state=TaskState.ENDED, outcome=SlotOutcome(exit_code=0))


def tells(
    tasks: dict[tuple[str, int], TaskWord], *, fault: str = ""
) -> Callable[[Sequence[SubmittedJob], Collection[tuple[str, int]]], QueueWord]:
    return lambda jobs, unsettled: QueueWord(tasks=tasks, fault=fault)


class Sender:
    """Notes what it was asked to send; `after` is what it then does."""

    def __init__(self, *, sends: bool = True, error: Exception | None = None) -> None:
        self.ledgers: list[Ledger] = []
        self._sends, self._error = sends, error

    def __call__(self, ledger: Ledger) -> bool:
        self.ledgers.append(ledger)
        if self._error:
            raise self._error
        return self._sends


def go_on(
    made: MadeRun, tasks: dict[tuple[str, int], TaskWord], send: Sender, *, fault: str = ""
) -> Advanced:
    return advance(
        made.run,
        1,
        ask=tells(tasks, fault=fault),
        recover=lambda: None,
        send_next=send,
        patience=AT_ONCE,
    )


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    """Two slides in two slots of job 7, with job 8 behind them."""
    made = make_run(tmp_path, "ab")
    made.attempt(1, "a", "b", jobs=["7"], advance="8")
    return made


def journal_events(made: MadeRun, number: int = 1) -> list[str]:
    return [event["event"] for event in Journal(made.run.attempt(number).journal).read()]


def test_what_failed_goes_on_and_the_attempt_is_sealed_first(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, failed("b", "worker_error"), FINISHED)
    send = Sender()
    advanced = go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, send)
    assert advanced.sent
    assert send.ledgers[0].verdicts["b"].failure is FailureClass.WORKER_ERROR
    assert read_attempt_journal(made.run.attempt(1)).sealed
    assert made.run.attempt(1).seal.exists()


def test_a_later_attempt_leaves_nothing_to_do(made: MadeRun) -> None:
    made.attempt(2, "b", jobs=["9"], advance="10")
    send = Sender()
    assert go_on(made, {}, send).ledger is None
    assert not send.ledgers
    assert "sealed" not in journal_events(made)


def test_a_later_attempt_that_was_taken_back_does_not_count(made: MadeRun) -> None:
    made.attempt(2, "b", jobs=["9"], advance="10", until="begun").append("abandoned", reason="x")
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, failed("b", "worker_error"), FINISHED)
    assert go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, Sender()).sent


def test_another_submitter_that_is_half_way_is_waited_for_and_then_told(made: MadeRun) -> None:
    made.attempt(2, "b", jobs=["9"], until="begun")
    with pytest.raises(RunError, match="resubmit"):
        go_on(made, {}, Sender())


def test_what_this_very_job_left_half_way_is_recovered(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, done("b"), FINISHED)
    made.run.attempt(2).root.mkdir()
    journal = Journal(made.run.attempt(2).journal)
    journal.append("intent", slots=1, scheduler="slurm", here=False, by="8", names=[], splits=[])
    advanced = advance(
        made.run,
        1,
        ask=tells({("7", 0): ENDED, ("7", 1): ENDED}),
        recover=lambda: journal.append("abandoned", reason="killed"),
        send_next=Sender(sends=False),
        by="8",
        patience=AT_ONCE,
    )
    assert advanced.ledger is not None
    assert "abandoned" in journal_events(made, 2)


@pytest.mark.parametrize(
    ("tasks", "fault"),
    [
        ({}, "squeue: the controller is away"),
        ({("7", 0): ENDED, ("7", 1): TaskWord(state=TaskState.UNKNOWN, reason="lags")}, ""),
        ({("7", 0): ENDED, ("7", 1): TaskWord(state=TaskState.RUNNING)}, ""),
    ],
)
def test_nothing_is_sent_while_the_scheduler_does_not_tell(
    made: MadeRun, tasks: dict[tuple[str, int], TaskWord], fault: str
) -> None:
    made.record(1, 0, done("a"), FINISHED)
    send = Sender()
    advanced = go_on(made, tasks, send, fault=fault)
    assert advanced.stopped
    assert not send.ledgers
    assert "sealed" not in journal_events(made)
    assert read_attempt_journal(made.run.attempt(1)).stopped == advanced.stopped


def test_slots_that_all_fail_alike_stop_the_run(made: MadeRun) -> None:
    failed_setup = TaskWord(state=TaskState.ENDED, outcome=SlotOutcome(exit_code=78))
    send = Sender()
    advanced = go_on(made, {("7", 0): failed_setup, ("7", 1): failed_setup}, send)
    assert "setup_failed" in advanced.stopped
    assert not send.ledgers


def test_a_full_file_system_stops_the_run(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, failed("b", "storage_full"), FINISHED)
    send = Sender()
    advanced = go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, send)
    assert "storage" in advanced.stopped
    assert not send.ledgers


def test_a_run_that_was_cancelled_meanwhile_sends_nothing(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    Journal(made.run.attempt(1).journal).append("cancelled")
    send = Sender()
    advanced = go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, send)
    assert not advanced.sent
    assert not send.ledgers


def test_where_jobs_may_not_submit_a_person_is_told_what_to_type(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, failed("b", "worker_error"), FINISHED)
    send = Sender(error=RefusedError("sbatch: not allowed on this host"))
    advanced = go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, send)
    assert "not allowed on this host" in advanced.stopped
    assert f"slidearray resubmit {made.run.root}" in advanced.stopped
    assert read_attempt_journal(made.run.attempt(1)).sealed


def test_two_attempts_in_which_no_slide_came_to_an_end_are_enough(tmp_path: Path) -> None:
    made = make_run(tmp_path, "ab")
    lost = TaskWord(
        state=TaskState.ENDED,
        outcome=SlotOutcome(exit_code=None, ended_by=FailureClass.PREEMPTED, word="PREEMPTED"),
    )
    made.attempt(1, "a", "b", jobs=["7"], advance="8")
    made.record(1, 0, ("slide_started", {"slide_id": "a"}))
    send = Sender()
    assert go_on(made, {("7", 0): lost, ("7", 1): lost}, send).sent
    made.attempt(2, "a", "b", jobs=["9"], advance="10")
    made.record(2, 0, ("slide_started", {"slide_id": "a"}))
    advanced = advance(
        made.run,
        2,
        ask=tells({("9", 0): lost, ("9", 1): lost}),
        recover=lambda: None,
        send_next=send,
        patience=AT_ONCE,
    )
    assert "2 attempts" in advanced.stopped
    assert len(send.ledgers) == 1


def test_slides_that_fail_alike_do_not_stop_a_run_in_which_others_were_done(tmp_path: Path) -> None:
    made = make_run(tmp_path, "abc")
    made.attempt(1, "a", "b", "c", jobs=["6"])
    made.record(1, 0, done("a"), FINISHED)
    for slot, name in ((1, "b"), (2, "c")):
        made.record(1, slot, failed(name, "worker_error"), FINISHED)
    made.attempt(2, "b", "c", jobs=["7"], advance="8")
    for slot, name in enumerate("bc"):
        made.record(2, slot, failed(name, "worker_error"), FINISHED)
    tasks = {("6", k): ENDED for k in range(3)} | {("7", k): ENDED for k in range(2)}
    send = Sender()
    advanced = advance(
        made.run,
        2,
        ask=tells(tasks),
        recover=lambda: None,
        send_next=send,
        patience=AT_ONCE,
    )
    assert advanced.sent


def test_a_submitter_that_was_faster_leaves_nothing_to_do(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, failed("b", "worker_error"), FINISHED)
    send = Sender(error=TakenError("attempts/0002: another submitter began this attempt"))
    advanced = go_on(made, {("7", 0): ENDED, ("7", 1): ENDED}, send)
    assert advanced.ledger is None
    assert "stopped" not in journal_events(made)


def test_with_every_slide_done_a_silent_scheduler_is_no_reason_to_stop(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    made.record(1, 1, done("b"), FINISHED)
    advanced = go_on(made, {}, Sender(sends=False), fault="squeue: the controller is away")
    assert not advanced.stopped
    assert advanced.ledger is not None
