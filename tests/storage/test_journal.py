from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.storage.support import ADVANCE, begin_attempt, planned_run

from slidearray.core.classes import FailureClass
from slidearray.core.queue import SubmittedJob
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import RunError
from slidearray.storage.journal import (
    Journal,
    last_committed,
    read_attempt_journal,
    submitted_jobs,
)

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return planned_run(tmp_path)


def begin(run: RunDir, **fields: object) -> Journal:
    """Two splits on a scheduler: slots 0 to 3, and slot 4 as a plain job."""
    attempt = run.attempt(1)
    attempt.root.mkdir(parents=True)
    journal = Journal(attempt.journal)
    names, splits = ["sa-0", "sa-1"], [[0, 4, True], [4, 1, False]]
    intent = {"slots": 5, "scheduler": "slurm", "here": False, "host": "login", "advance": ADVANCE}
    journal.append("intent", names=names, splits=splits, **{**intent, **fields})
    return journal


def test_a_journal_says_each_thing_once(run: RunDir) -> None:
    journal = begin(run, by="7")
    attempt = run.attempt(1)
    found = read_attempt_journal(attempt)
    assert found.intent is not None
    assert (found.number, found.here, found.counts) == (1, False, False)
    assert (found.intent.scheduler, found.intent.host, found.intent.by) == ("slurm", "login", "7")
    journal.append("submitted", split=0, job_id="10")
    journal.append("submitted", split=1, job_id="11")
    journal.append("advance", job_id="12")
    assert not read_attempt_journal(attempt).counts
    journal.append("committed")
    assert read_attempt_journal(attempt).counts  # its jobs may have been released by now
    journal.append("released")
    found = read_attempt_journal(attempt)
    assert (found.job_ids, found.advance_id) == ({0: "10", 1: "11"}, "12")
    assert found.counts
    assert not found.concluded
    for event in ("cancelled", "sealed", "reduced"):
        assert not getattr(found, event)
        journal.append(event)
        assert getattr(read_attempt_journal(attempt), event)
    journal.append("stopped", reason="five slots failed")
    assert read_attempt_journal(attempt).stopped == "five slots failed"
    assert read_attempt_journal(attempt).concluded
    journal.append("abandoned", reason="killed")
    assert not read_attempt_journal(attempt).counts


def test_the_jobs_of_an_attempt_are_those_with_an_id_and_the_one_that_goes_on_is_last(
    run: RunDir,
) -> None:
    journal = begin(run)
    assert submitted_jobs(read_attempt_journal(run.attempt(1))) == []
    journal.append("submitted", split=1, job_id="11")
    plain = SubmittedJob(
        job_id="11", name="sa-1", attempt=1, split=1, offset=4, count=1, array=False
    )
    assert submitted_jobs(read_attempt_journal(run.attempt(1))) == [plain]
    journal.append("advance", job_id="12")
    journal.append("submitted", split=0, job_id="10")
    array, _, behind = submitted_jobs(read_attempt_journal(run.attempt(1)))
    assert (array.job_id, array.name, array.count, array.array) == ("10", "sa-0", 4, True)
    assert (behind.job_id, behind.name, behind.split) == ("12", ADVANCE, None)


def test_a_slot_is_found_in_its_split(run: RunDir) -> None:
    begin(run)
    intent = read_attempt_journal(run.attempt(1)).intent
    assert intent is not None
    assert [intent.place(slot) for slot in range(5)] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_ends_of_slots_are_told_with_how_or_without(run: RunDir) -> None:
    journal = begin_attempt(run, 1, "d", "c", "b")
    outcome = SlotOutcome(exit_code=75, ended_by=FailureClass.TIMEOUT)
    journal.append("slot_ended", slot=0, **outcome.to_json())
    journal.append("slot_ended", slot=1)
    ends = read_attempt_journal(run.attempt(1)).ends
    assert {slot: end.outcome for slot, end in ends.items()} == {0: outcome, 1: None}


def test_a_journal_of_the_first_version_is_of_an_attempt_that_was_run_here(run: RunDir) -> None:
    attempt = run.attempt(1)
    attempt.root.mkdir(parents=True)
    journal = Journal(attempt.journal)
    journal.append("intent", slots=2, scheduler="slurm")
    journal.append("released")
    journal.append("slot_ended", slot=0, exit_code=75, timed_out=True, out_of_memory=False)
    found = read_attempt_journal(attempt)
    assert (found.here, found.counts, submitted_jobs(found)) == (True, True, [])
    assert found.ends[0].outcome == SlotOutcome(exit_code=75, ended_by=FailureClass.TIMEOUT)


def test_an_attempt_without_a_journal_says_nothing(run: RunDir) -> None:
    found = read_attempt_journal(run.attempt(1))
    assert (found.intent, found.counts, submitted_jobs(found)) == (None, False, [])


@pytest.mark.parametrize(
    "event",
    [
        ("submitted", {"split": 0}),
        ("advance", {}),
        ("stopped", {}),
        ("slot_ended", {"exit_code": 0}),
        ("slot_ended", {"slot": 0, "exit_code": "x"}),
        ("slot_ended", {"slot": 0, "exit_code": 1, "ended_by": "magic"}),
        ("intent", {"names": ["a", "b"], "splits": [[0, 1, False]]}),
        ("intent", {"names": ["a"], "splits": [[0, 1]]}),
    ],
)
def test_an_event_without_what_belongs_to_it_names_the_journal(
    run: RunDir, event: tuple[str, dict[str, object]]
) -> None:
    begin(run).append(event[0], **event[1])
    with pytest.raises(RunError, match=str(run.attempt(1).journal)):
        read_attempt_journal(run.attempt(1))


def test_the_last_attempt_that_was_let_go_is_not_one_that_was_abandoned(run: RunDir) -> None:
    assert last_committed(run) is None
    begin_attempt(run, 1, "d", jobs=("1",))
    begin_attempt(run, 2, "d", jobs=("2",)).append("abandoned", reason="killed")
    begin_attempt(run, 3, "d", jobs=("3",), whole=False)
    assert last_committed(run) == 1


def test_a_journal_without_a_file_is_empty_and_appends_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.read() == []
    journal.append("intent", slots=2)
    Journal(journal.path).append("slot_ended", slot=0, exit_code=-9)
    assert [event["event"] for event in journal.read()] == ["intent", "slot_ended"]


def test_a_journal_goes_on_after_a_writer_died_in_mid_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("intent")
    journal.append("committed")
    journal.path.write_bytes(journal.path.read_bytes()[:-5])
    assert [event["event"] for event in journal.read()] == ["intent"]
    journal.append("committed")
    assert [event["event"] for event in journal.read()] == ["intent", "committed"]
