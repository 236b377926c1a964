from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.errors import RunError
from slidearray.storage.records import (
    RecordTail,
    RecordWriter,
    executions_before,
    read_executions,
    read_record,
    read_records,
)
from slidearray.storage.rundir import AttemptDir

if TYPE_CHECKING:
    from collections.abc import Iterable
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


@pytest.mark.parametrize("relist", [False, True])
def test_what_a_network_file_system_leaves_behind_is_no_record(
    attempt: AttemptDir, relist: bool
) -> None:
    _write(attempt, 0, "t", "started")
    for folder in (attempt.root, attempt.records_root, attempt.records_dir(0)):
        (folder / ".nfs000000000000002a").write_bytes(b"\0")
    attempt.record(1, "t").touch()  # made, and nothing written yet
    attempt.record(2, "t").write_bytes(b'{"event": "sta')
    (attempt.records_dir(0) / "3.t.jsonl").symlink_to("gone")
    records = read_records(attempt, relist=relist)
    assert {slot: [len(events) for events in runs] for slot, runs in records.items()} == {
        0: [1],
        1: [0],
        2: [0],
    }
    assert len(RecordTail(attempt).new_events()) == 1


def test_an_execution_is_older_when_fewer_requeues_went_before_it(attempt: AttemptDir) -> None:
    # The clock of the node that ran it second was behind.
    for token, restarts in (("20250101-n2", 1), ("20250102-n1", 0), ("20250103-n3", 1)):
        with RecordWriter(attempt.record(0, token)) as record:
            record.write("started", restarts=restarts, host=token[-2:])
    hosts = [events[0]["host"] for events in read_records(attempt)[0]]
    assert hosts == ["n1", "n2", "n3"]
    names = [execution.name for execution in read_executions(attempt)]
    assert names[0] == "0000/0.20250102-n1.jsonl"


@given(order=st.permutations(range(6)), restarts=st.lists(st.integers(0, 2), min_size=6))
def test_the_order_in_which_files_were_made_and_listed_means_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], restarts: list[int]
) -> None:
    def read(numbers: Iterable[int]) -> list[list[Any]]:
        attempt = AttemptDir(root=tmp_path_factory.mktemp("attempt") / "0001")
        for number in numbers:
            with RecordWriter(attempt.record(0, str(number))) as record:
                record.write("started", restarts=restarts[number], pid=number)
        return [[e["pid"] for e in events] for events in read_records(attempt)[0]]

    assert read(order) == read(range(6))


def test_executions_of_a_slot_are_counted_however_far_they_came(attempt: AttemptDir) -> None:
    assert executions_before(attempt, 2) == 0
    _write(attempt, 2, "a", "started", "done")
    _write(attempt, 2, "begun")
    _write(attempt, 2, "damaged", "started").write_text("?\n")
    for slot in (1, 12, 22, 1002):
        _write(attempt, slot, "another-slot", "started")
    _write(attempt, 2, "stray", "superseded")
    assert executions_before(attempt, 2) == 3


EVENTS = st.fixed_dictionaries({"event": st.text(max_size=3), "why": st.text() | st.integers()})


@given(events=st.lists(EVENTS, max_size=4), tail=st.sampled_from(["", "{", '{"event":"x"}']))
def test_whatever_events_hold_they_read_back(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]], tail: str
) -> None:
    attempt = AttemptDir(root=tmp_path_factory.mktemp("attempt") / "0001")
    path = _write(attempt, 0, "t")
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + tail)
    assert read_records(attempt)[0] == [events]


@pytest.mark.parametrize(
    "line", ["", "?", "[]", "1", "{}", '{"event": 1}', '{"event":"a"},{"event":"b"}', "\ufeff{}"]
)
def test_a_damaged_line_in_the_middle_is_named_with_its_number(
    attempt: AttemptDir, line: str
) -> None:
    path = _write(attempt, 0, "t")
    path.write_text(f'{{"event":"started"}}\n{line}\n{{"event":"finished"}}\n')
    with pytest.raises(RunError, match=rf"{path}: line 2"):
        read_records(attempt)
