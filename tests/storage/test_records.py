from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slidearray.errors import RunError
from slidearray.storage.journal import Journal
from slidearray.storage.records import RecordTail, RecordWriter, read_record, read_records
from slidearray.storage.rundir import AttemptDir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptDir:
    return AttemptDir(root=tmp_path / "0001")


def _write(attempt: AttemptDir, slot: int, token: str, *events: str) -> Path:
    path = attempt.record(slot, token)
    with RecordWriter(path) as record:
        for event in events:
            record.write(event, slide_id="s")
    return path


def test_events_read_back_in_order_with_their_time(attempt: AttemptDir) -> None:
    path = _write(attempt, 3, "t", "started", "done")
    events = read_record(path)
    assert [event["event"] for event in events] == ["started", "done"]
    assert all(event["time"].endswith("Z") for event in events)


def test_an_event_is_in_the_file_before_the_next_step(attempt: AttemptDir) -> None:
    with RecordWriter(attempt.record(0, "t")) as record:
        record.write("started", host="h")
        assert read_record(attempt.record(0, "t"))[0]["host"] == "h"


def test_two_executions_never_share_a_record(attempt: AttemptDir) -> None:
    path = _write(attempt, 0, "t", "started")
    with pytest.raises(RunError, match="exists already"):
        RecordWriter(path)
    assert len(read_record(path)) == 1


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_torn_last_line_is_ignored(attempt: AttemptDir, cut: int) -> None:
    path = _write(attempt, 0, "t", "started", "done")
    path.write_bytes(path.read_bytes()[:-cut])
    assert [event["event"] for event in read_record(path)] == ["started"]


def test_another_damaged_line_is_named(attempt: AttemptDir) -> None:
    path = _write(attempt, 0, "t", "started", "done")
    path.write_bytes(b"?" + path.read_bytes())
    with pytest.raises(RunError, match=rf"{path}: line 1: not JSON"):
        read_record(path)


def test_records_are_collected_by_slot_over_all_buckets(attempt: AttemptDir) -> None:
    assert read_records(attempt) == {}
    _write(attempt, 2, "a", "started")
    _write(attempt, 2, "b", "started", "done")
    _write(attempt, 1001, "a", "started")
    (attempt.records_dir(0) / ".2.a.jsonl.partial").touch()
    records = read_records(attempt)
    assert {slot: [len(events) for events in runs] for slot, runs in records.items()} == {
        2: [1, 2],
        1001: [1],
    }


def test_a_tail_gives_every_event_once_and_no_torn_one(attempt: AttemptDir) -> None:
    tail = RecordTail(attempt)
    assert tail.new_events() == []
    path = _write(attempt, 0, "t", "started", "done")
    whole = path.read_bytes()
    for end in range(len(whole) // 2, len(whole)):
        path.write_bytes(whole[:end])
        first = tail.new_events()
        path.write_bytes(whole)
        told = [(slot, event["event"]) for slot, event in first + tail.new_events()]
        assert told == [(0, "started"), (0, "done")]
        tail = RecordTail(attempt)
    assert len(tail.new_events()) == 2
    assert tail.new_events() == []


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
