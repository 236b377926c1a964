"""What is PBS's own for a worker: its ids, no count of restarts, and how it ends a job."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import PATIENCE_S, running, wait_for

from slidearray.schedulers.pbs import PbsDialect
from slidearray.storage.files import host_name
from slidearray.storage.journal import Journal
from slidearray.storage.records import read_records

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.worker.conftest import Arrival, Bench

ARRAY = "201[]"
RECORDED_WITHIN_S = 2.0  # both are promises
ENDED_WITHIN_S = 4.0


@pytest.fixture(autouse=True)
def job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in task 3 of an array of four, whose id the server and the node write in two ways."""
    bench.patience_s = 0
    for name, value in {
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBID": "201[3].pbshost",
        "PBS_ARRAY_ID": "201[].pbshost.domain",
        "PBS_ARRAY_INDEX": "3",
        "PBS_NODENUM": "0",
    }.items():
        monkeypatch.setenv(name, value)


def submitted_as(bench: Bench, job_id: str) -> None:
    journal = Journal(bench.run.attempt(1).journal)
    journal.append(
        "intent", slots=4, scheduler="pbs", here=False, host="login", names=["x"],
        splits=[[0, 4, True]], advance=None,
    )  # fmt: skip
    journal.append("submitted", split=0, job_id=job_id)


def test_the_array_of_the_journal_works_whatever_its_server_is_called(bench: Bench) -> None:
    submitted_as(bench, ARRAY)
    assert bench.work() == 0
    started = bench.event("started")
    assert {name: started[name] for name in ("job_id", "task", "restarts", "node")} == {
        "job_id": ARRAY,
        "task": 3,
        "restarts": 0,
        "node": host_name(),
    }
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_a_stray_array_touches_no_slide(bench: Bench) -> None:
    submitted_as(bench, "200[]")
    assert bench.work() == 0
    assert (bench.event("superseded")["job_id"], bench.features()) == (ARRAY, {})


def test_a_plain_job_is_known_by_its_bare_id(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted_as(bench, "204")
    monkeypatch.setenv("PBS_JOBID", "204.pbshost")
    monkeypatch.delenv("PBS_ARRAY_ID")
    monkeypatch.delenv("PBS_ARRAY_INDEX")
    assert bench.work() == 0
    assert (bench.event("started")["job_id"], bench.event("started")["task"]) == ("204", None)


def test_restarts_are_counted_by_the_records_that_the_slot_has(bench: Bench) -> None:
    for _ in range(3):
        assert bench.work() == 0
    begun = [events[0] for events in read_records(bench.run.attempt(1))[0]]
    assert [each["restarts"] for each in begun] == [0, 1, 2]
    assert all(each["restarts_counted"] for each in begun)


# How PBS ends a job -----------------------------------------------------------------------------


def session_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Processes of a job, children first: the order in which PBS takes them (kill_session)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(words[3]) == process.pid:
            found.append((int(words[19]), int(path.parent.name)))
    return [pid for _, pid in sorted(found, reverse=True)]


def tell_all(process: subprocess.Popen[bytes], signum: int) -> list[int]:
    """Tell every process of a job, as PBS does at the walltime and for `qdel`; who was told."""
    told = session_of(process)
    for pid in told:
        os.kill(pid, signum)
    return told


@pytest.mark.parametrize("act", ["block", "native"])  # the latter keeps the interpreter lock
def test_term_to_children_and_supervisor_alike_loses_only_the_slide_in_flight(
    bench: Bench, arrival: Arrival, make_bench: Callable[..., Bench], act: str
) -> None:
    undisturbed = make_bench("undisturbed")
    undisturbed.work()
    bench.acts("work", act)
    process = bench.start()
    child = arrival.wait()
    sent, sent_at = time.monotonic(), time.time()
    told = tell_all(process, signal.SIGTERM)
    assert set(told) >= {child, process.pid}
    assert bench.end(process) == 75
    assert time.monotonic() - sent < ENDED_WITHIN_S < PbsDialect.kill_wait_s
    recorded_at = datetime.fromisoformat(bench.event("interrupted")["time"]).timestamp()
    assert recorded_at - sent_at < RECORDED_WITHIN_S
    assert bench.outcome() == {"a": "done", "b": "interrupted"}
    assert not any(map(running, told))
    assert list(bench.features()) == ["a_features.h5"]  # nothing half, under any name
    bench.acts()
    assert bench.work() == 0  # begun again, as a job of PBS is
    assert bench.features() == undisturbed.features()


def test_term_to_the_child_alone_ends_nothing(bench: Bench, arrival: Arrival) -> None:
    bench.acts("block-until-told")
    process = bench.start()
    os.kill(arrival.wait(), signal.SIGTERM)
    (bench.project / "go").touch()
    assert bench.end(process) == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_a_program_of_the_encoder_that_ignores_term_is_left_to_the_kill(
    bench: Bench, arrival: Arrival
) -> None:
    bench.acts("work", "helper", "block")
    process = bench.start()
    child = arrival.wait()
    (helper,) = set(session_of(process)) - {child, process.pid}
    sent = time.monotonic()
    tell_all(process, signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 75
    assert time.monotonic() - sent < ENDED_WITHIN_S
    assert tell_all(process, signal.SIGKILL) == [helper]  # it was nobody's but the job's by then
    wait_for(lambda: not running(helper), "the end of what the encoder began")
    assert bench.outcome() == {"a": "done", "b": "done", "c": "interrupted"}


def test_a_kill_at_any_moment_leaves_whole_files_only(
    bench: Bench, arrival: Arrival, make_bench: Callable[..., Bench]
) -> None:
    undisturbed = make_bench("undisturbed")
    undisturbed.work()
    bench.acts("work", "native")
    process = bench.start()
    arrival.wait()
    process.send_signal(signal.SIGSTOP)  # a supervisor that the kernel keeps from hearing anything
    tell_all(process, signal.SIGTERM)
    tell_all(process, signal.SIGKILL)
    assert bench.end(process) == -signal.SIGKILL
    arrival.wait_for_its_end()
    whole = undisturbed.features()
    assert {name: whole[name] for name in bench.features()} == bench.features()
    bench.acts()
    assert bench.work() == 0
    assert bench.features() == whole
