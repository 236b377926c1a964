from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.support import (
    STARTED,
    RecordEvent,
    begin_attempt,
    begun,
    classes,
    done,
    failed,
    planned_run,
    record,
)

from slidearray.core.classes import FailureClass
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import RunError
from slidearray.storage.journal import Journal, read_attempt_journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.seals import read_seal, seal

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir

KILLED = SlotOutcome(exit_code=137, ended_by=FailureClass.OUT_OF_MEMORY, word="OUT_OF_ME+")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """One attempt of two slots: `d` done, `c` killed, `b` begun twice, `a` behind."""
    run = planned_run(tmp_path)
    begin_attempt(run, 1, "dc", "ba", jobs=("10", "11"))
    record(run, 1, 0, STARTED, begun("d"), done("d", reason="é\udc80"), begun("c"))
    record(run, 1, 1, STARTED, begun("b"), failed("b", "worker_error"))
    record(run, 1, 1, ("started", {"restarts": 1, "host": "n2"}), begun("b"), token="s")
    return run


def lines(run: RunDir) -> list[dict[str, Any]]:
    with gzip.open(run.attempt(1).seal) as file:
        return [json.loads(line) for line in file]


def test_a_sealed_attempt_is_read_from_its_seal_alone(run: RunDir) -> None:
    seal(run.attempt(1), {0: KILLED, 1: None})
    before = read_ledger(run)
    sealed = {"d": "done", "c": "out_of_memory", "b": "worker_error", "a": "lost"}
    assert classes(run) == sealed
    for path in run.attempt(1).records_root.rglob("*.jsonl"):
        path.write_text("whoever reads this fails\n")
    assert read_ledger(run).verdicts == before.verdicts
    result = before.verdicts["d"].result
    assert result is not None
    assert (result["host"], result["reason"]) == ("node7", "é\udc80")


def test_a_seal_tells_what_it_was_made_of(run: RunDir) -> None:
    torn = run.attempt(1).record(1, "s")
    torn.write_bytes(torn.read_bytes()[:-3])
    seal(run.attempt(1), {0: KILLED})
    head, *slots = lines(run)
    assert head["version"] == 1
    sizes = [[f"0000/{name}", (torn.parent / name).stat().st_size] for name, _ in named(head)]
    assert head["records"] == sizes
    assert [name for name, _ in named(head)] == ["0.t.jsonl", "1.t.jsonl", "1.s.jsonl"]
    assert [(one["slot"], bool(one["outcome"])) for one in slots] == [(0, True), (1, False)]
    assert [[e["event"] for e in events] for events in slots[1]["executions"]] == [
        ["started", "slide_started", "failed"],
        ["started"],
    ]
    event = Journal(run.attempt(1).journal).read()[-1]
    assert (event["event"], event["records"], event["slots"]) == ("sealed", 3, 2)


def named(head: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name.removeprefix("0000/"), size) for name, size in head["records"]]


def test_sealing_again_gives_the_same_bytes_and_no_second_line_in_the_journal(
    run: RunDir,
) -> None:
    attempt = run.attempt(1)
    seal(attempt, {0: KILLED})
    before, journal = attempt.seal.read_bytes(), attempt.journal.read_bytes()
    assert before[3:8] == bytes(5)  # of the header: neither a file's name nor a time
    os.utime(attempt.record(0, "t"), (1, 1))
    seal(attempt, {0: KILLED})
    assert (attempt.seal.read_bytes(), attempt.journal.read_bytes()) == (before, journal)


def test_a_seal_counts_once_the_journal_says_so(run: RunDir) -> None:
    attempt = run.attempt(1)
    journal = attempt.journal.read_bytes()
    seal(attempt, {0: KILLED})
    attempt.journal.write_bytes(journal)
    assert not read_attempt_journal(attempt).sealed
    assert classes(run)["c"] == "unknown"


def test_where_a_seal_is_missing_the_records_serve(run: RunDir) -> None:
    seal(run.attempt(1), {0: KILLED})
    run.attempt(1).seal.unlink()
    assert classes(run)["d"] == "done"
    assert read_seal(run.attempt(1)) is None
    run.attempt(1).records_root.rename(run.root / "elsewhere")
    with pytest.raises(RunError, match=r"sealed\.jsonl\.gz: not there, and neither is records/"):
        read_ledger(run)


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_seal_that_was_cut_is_named_with_what_to_do(run: RunDir, cut: int) -> None:
    path = run.attempt(1).seal
    seal(run.attempt(1), {})
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RunError, match=rf"{path}: damaged .*; remove it, and .*records serves"):
        read_ledger(run)


@pytest.mark.parametrize(
    "content",
    [
        [],
        ["no object"],
        [{"version": 2, "records": []}],
        [{"version": 1}, {"slot": 1, "outcome": None, "executions": []}],
        [{"version": 1}, {"slot": 0, "outcome": {}, "executions": []}],
        [{"version": 1}, {"slot": 0, "outcome": None, "executions": [[{"no": "event"}]]}],
        [{"version": 1}, {"slot": 0, "outcome": None, "executions": []}],  # one slot of two
    ],
)
def test_a_seal_that_is_none_is_refused(run: RunDir, content: list[Any]) -> None:
    seal(run.attempt(1), {})
    with gzip.open(run.attempt(1).seal, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in content)
    with pytest.raises(RunError, match="damaged"):
        read_ledger(run)


def test_an_attempt_that_was_never_let_go_has_nothing_to_seal(tmp_path: Path) -> None:
    run = planned_run(tmp_path)
    begin_attempt(run, 1, "d", jobs=("10",), whole=False)
    run.attempt(2).root.mkdir()
    for number in (1, 2):
        seal(run.attempt(number), {})
        assert not run.attempt(number).seal.exists()


EVENTS = st.sampled_from(
    [
        *(make(slide_id) for make in (begun, done) for slide_id in "dc"),
        *(failed("d", failure) for failure in ("worker_error", "corrupt_slide", "storage_full")),
        ("interrupted", {"slide_id": "c", "reason": "told"}),
        ("superseded", {}),
        ("setup_failed", {"reason": "no"}),
    ]
)
OUTCOMES = st.builds(
    SlotOutcome,
    exit_code=st.sampled_from([None, 0, 74, 78, -9]),
    ended_by=st.sampled_from([None, FailureClass.NODE_FAILURE, FailureClass.CANCELLED]),
    restarts=st.integers(0, 2),
)


@given(
    executions=st.lists(st.tuples(st.integers(0, 1), st.lists(EVENTS, max_size=5)), max_size=3),
    outcome=st.none() | OUTCOMES,
)
def test_whatever_was_written_a_seal_changes_no_verdict(
    tmp_path_factory: pytest.TempPathFactory,
    executions: list[tuple[int, list[RecordEvent]]],
    outcome: SlotOutcome | None,
) -> None:
    from slidearray.core.queue import QueueWord, TaskState, TaskWord

    run = planned_run(tmp_path_factory.mktemp("run"))
    begin_attempt(run, 1, "dc", jobs=("10",))
    for number, (restarts, events) in enumerate(executions):
        record(run, 1, 0, ("started", {"restarts": restarts}), *events, token=str(number))
    word = TaskWord(state=TaskState.ENDED, outcome=outcome)
    raw = read_ledger(run, ask=lambda jobs, unsettled: QueueWord(tasks={("10", 0): word}))
    seal(run.attempt(1), raw.attempts[0].outcomes)
    assert read_ledger(run).verdicts == raw.verdicts
