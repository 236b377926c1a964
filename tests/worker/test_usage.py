"""What work took is in the records: time, CPU time, memory."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.worker.conftest import Arrival, Bench

SPIKE_MB = 256  # of the encoder's word


def test_each_slide_tells_its_cpu_time_and_memory(bench: Bench) -> None:
    assert bench.work() == 0
    for event in (event for event in bench.events() if event["event"] == "done"):
        assert 0 < event["cpu_s"] < 60
        assert 10 < event["peak_mb"] < 2000


def test_the_memory_of_one_slide_is_not_charged_to_the_next(bench: Bench) -> None:
    bench.acts("work", "spike", "work")
    assert bench.work() == 0
    first, spike, last = (event["peak_mb"] for event in bench.events() if event["event"] == "done")
    assert min(spike - first, spike - last) > SPIKE_MB / 2


def test_a_failed_slide_tells_its_use_too(bench: Bench) -> None:
    bench.acts("raise")
    assert bench.work() == 0
    assert {"cpu_s", "peak_mb"} <= bench.event("failed").keys()


def test_a_slot_tells_what_all_of_it_took(bench: Bench) -> None:
    bench.acts("spike")
    assert bench.work(walltime_s=3600, left_s=3000) == 0
    finished = bench.event("finished")
    slides = [event for event in bench.events() if event["event"] == "done"]
    assert finished["wall_s"] >= 600  # since the job script started
    assert finished["cpu_s"] > sum(event["cpu_s"] for event in slides)
    assert finished["peak_mb"] > max(event["peak_mb"] for event in slides)


def test_the_memory_of_a_child_that_died_is_known_of_the_slot(bench: Bench) -> None:
    bench.acts("spike-and-vanish")
    assert bench.work() == 0
    assert bench.outcome() == {"a": "failed worker_error", "b": "done", "c": "done"}
    assert bench.event("finished")["peak_mb"] > SPIKE_MB


def test_an_interrupted_slot_tells_what_it_took(bench: Bench, arrival: Arrival) -> None:
    bench.acts("block")
    process = bench.start()
    arrival.wait()
    process.send_signal(signal.SIGTERM)
    assert bench.end(process) == 75
    assert {"wall_s", "cpu_s", "peak_mb"} <= bench.event("finished").keys()
