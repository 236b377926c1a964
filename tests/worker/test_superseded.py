"""A job that its attempt does not count on touches no slide."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest
from tests.support import PATIENCE_S, wait_for

from slidearray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.worker.conftest import Bench

OURS, OTHER = "10", "9"


@pytest.fixture
def journal(bench: Bench) -> Journal:
    """The journal of an attempt of one array of four tasks, and a job behind it of its own."""
    journal = Journal(bench.run.attempt(1).journal)
    intend(journal)
    return journal


def intend(journal: Journal, *, here: bool = False) -> None:
    splits = [[0, 4, True], [4, 1, False]]
    journal.append(
        "intent", slots=5, scheduler="slurm", here=here, host="login", names=["x", "y"],
        splits=splits, advance=None,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in task 3 of array 10, whose own id is 12."""
    bench.patience_s = 0
    for name, value in {
        "SLURM_JOB_ID": "12",
        "SLURM_ARRAY_JOB_ID": OURS,
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_RESTART_COUNT": "2",
        "SLURMD_NODENAME": "n7",
    }.items():
        monkeypatch.setenv(name, value)


def stood_aside(bench: Bench, *expected: str) -> bool:
    (event,) = bench.events()
    assert bench.features() == {}
    assert "superseded" in bench.log
    return (event["event"], event["job_id"], event["expected"]) == ("superseded", OURS, [*expected])


def test_the_job_of_the_journal_works_and_tells_who_it_is(bench: Bench, journal: Journal) -> None:
    journal.append("submitted", split=0, job_id=OURS)
    assert bench.work() == 0
    started = bench.event("started")
    told = {name: started[name] for name in ("job_id", "task", "restarts", "node")}
    assert told == {"job_id": OURS, "task": 3, "restarts": 2, "node": "n7"}
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_the_last_task_bears_the_id_of_its_array(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append("submitted", split=0, job_id=OURS)
    monkeypatch.setenv("SLURM_JOB_ID", OURS)
    assert bench.work() == 0
    assert (bench.event("started")["job_id"], bench.event("started")["task"]) == (OURS, 3)


def test_a_plain_job_is_known_by_its_own_id(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append("submitted", split=0, job_id="12")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert bench.work() == 0
    assert (bench.event("started")["job_id"], bench.event("started")["task"]) == ("12", None)


@pytest.mark.parametrize("other_split", [None, OURS])
def test_a_job_that_the_journal_does_not_name_for_the_slot_touches_no_slide(
    bench: Bench, journal: Journal, other_split: str | None
) -> None:
    journal.append("submitted", split=0, job_id=OTHER)
    if other_split:
        journal.append("submitted", split=1, job_id=other_split)
    assert bench.work() == 0
    assert stood_aside(bench, OTHER)


def test_a_job_of_an_abandoned_attempt_touches_no_slide(bench: Bench, journal: Journal) -> None:
    journal.append("submitted", split=0, job_id=OURS)
    journal.append("abandoned", reason="killed")
    assert bench.work() == 0
    assert stood_aside(bench)


def test_a_job_works_where_the_journal_names_none_for_its_slot(
    bench: Bench, journal: Journal
) -> None:
    journal.append("submitted", split=1, job_id=OTHER)
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_an_attempt_that_is_run_here_asks_for_no_job(bench: Bench) -> None:
    journal = Journal(bench.run.attempt(1).journal)
    intend(journal, here=True)
    journal.append("submitted", split=0, job_id=OTHER)
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_outside_of_a_job_there_is_nothing_to_compare(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append("submitted", split=0, job_id=OTHER)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")
    assert {"job_id", "task", "restarts", "node"}.isdisjoint(bench.event("started"))


def test_a_journal_that_cannot_be_read_stops_nobody(bench: Bench, journal: Journal) -> None:
    journal.append("submitted", split=0, job_id=OTHER)
    journal.path.write_bytes(b"{\n" + journal.path.read_bytes())
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


@contextmanager
def shown(pipe: Path) -> Iterator[IO[bytes]]:
    """What the next reader of `pipe` finds in it; returns once that reader has it all."""
    held: list[int] = []

    def is_read() -> bool:
        held.extend(writing_end(pipe))
        return bool(held)

    wait_for(is_read, "a look at the journal")
    with open(held.pop(), "wb") as file:
        yield file

    def is_over() -> bool:
        ends = writing_end(pipe)
        for end in ends:
            os.close(end)
        return not ends

    wait_for(is_over, "the end of the look")


def writing_end(pipe: Path) -> list[int]:
    """A descriptor to write to `pipe`; none while nobody reads it."""
    try:
        return [os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)]
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return []


@pytest.fixture
def staged(bench: Bench, journal: Journal) -> tuple[Path, bytes]:
    """A journal that shows what the test gives it, look by look; and one that names another job."""
    bench.patience_s = PATIENCE_S
    journal.append("submitted", split=0, job_id=OTHER)
    stale = journal.path.read_bytes()
    journal.path.unlink()
    os.mkfifo(journal.path)
    return journal.path, stale


def test_a_journal_that_lags_is_read_again(bench: Bench, staged: tuple[Path, bytes]) -> None:
    pipe, stale = staged
    process = bench.start()
    with shown(pipe) as file:
        file.write(stale)
    with shown(pipe) as file:
        file.write(stale.replace(f'"job_id":"{OTHER}"'.encode(), f'"job_id":"{OURS}"'.encode()))
    assert bench.end(process) == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_the_patience_and_nothing_is_claimed(
    bench: Bench, staged: tuple[Path, bytes], signum: int
) -> None:
    pipe, stale = staged
    process = bench.start()
    with shown(pipe) as file:
        file.write(stale)
    process.send_signal(signum)
    with shown(pipe) as file:  # it looks once more before it believes the journal
        file.write(stale)
    assert bench.end(process) == 75
    assert bench.events() == []
