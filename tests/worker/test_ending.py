"""How a slot ends before its last slide: signals, the deadline, kills, a full disk, a bad setup."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slidearray.worker.deadline import margin_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import Arrival, Bench

RECORDED_WITHIN_S = 2.0  # both are promises
ENDED_WITHIN_S = 4.0


def to_process(process: subprocess.Popen[bytes], signum: int) -> None:
    process.send_signal(signum)


def to_group(process: subprocess.Popen[bytes], signum: int) -> None:
    os.killpg(process.pid, signum)


def partials(bench: Bench) -> list[str]:
    return [path.name for path in bench.run.root.rglob("*.partial")]


@pytest.mark.parametrize("act", ["block", "native"])
@pytest.mark.parametrize("send", [to_process, to_group])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_told_worker_records_within_2_s_and_ends_within_4(
    bench: Bench,
    arrival: Arrival,
    act: str,
    send: Callable[[subprocess.Popen[bytes], int], None],
    signum: int,
) -> None:
    bench.acts("work", act)
    process = bench.start()
    arrival.wait()
    sent, sent_at = time.monotonic(), time.time()
    send(process, signum)
    assert bench.end(process) == 75
    assert time.monotonic() - sent < ENDED_WITHIN_S
    interrupted = bench.event("interrupted")
    assert interrupted["slide_id"] == "b"
    assert signal.Signals(signum).name in interrupted["reason"]
    recorded_at = datetime.fromisoformat(interrupted["time"]).timestamp()
    assert recorded_at - sent_at < RECORDED_WITHIN_S
    assert bench.outcome() == {"a": "done", "b": "interrupted"}
    assert bench.events()[-1]["exit_code"] == 75
    arrival.wait_for_its_end()


def test_a_worker_that_is_told_while_the_encoder_loads_ends_within_4_s(
    bench: Bench, arrival: Arrival
) -> None:
    bench.acts(loading=("native",))
    process = bench.start()
    arrival.wait()
    sent = time.monotonic()
    process.terminate()
    assert bench.end(process) == 75
    assert time.monotonic() - sent < ENDED_WITHIN_S
    assert bench.outcome() == {}
    arrival.wait_for_its_end()


def test_an_interrupted_slot_leaves_no_unfinished_file_of_its_own(
    bench: Bench, arrival: Arrival
) -> None:
    process, other = caught_writing(bench, arrival)
    process.terminate()
    bench.end(process)
    assert partials(bench) == [other]


def test_a_crashed_slide_leaves_no_unfinished_file_of_its_own(
    bench: Bench, arrival: Arrival
) -> None:
    process, other = caught_writing(bench, arrival)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGSEGV)
    assert bench.end(process) == 0
    assert bench.outcome() == {"a": "done", "b": "failed worker_error", "c": "done"}
    assert partials(bench) == [other]


def caught_writing(bench: Bench, arrival: Arrival) -> tuple[subprocess.Popen[bytes], str]:
    """A worker in its second slide, with partial files: its own, and another's, which is named."""
    bench.acts("work", "block")
    process = bench.start()
    arrival.wait()
    return process, leave_partials(bench, "b")


def leave_partials(bench: Bench, slide_id: str) -> str:
    """Half-written files of the execution at work and of another one; the name of the latter."""
    (record,) = bench.run.attempt(1).records_root.glob("*/*.jsonl")
    token = record.name.removeprefix("0.").removesuffix(".jsonl")
    final = bench.run.feature_file("acting", cohort="", slide_id=slide_id)
    names = [f".{final.name}.{token}.partial", f".{final.name}.of-another-host.partial"]
    for name in names:
        (final.parent / name).touch()
    return names[1]


def test_usr1_lets_the_slide_in_flight_end_and_starts_no_other(
    bench: Bench, arrival: Arrival
) -> None:
    bench.acts("work", "block-until-told")
    process = bench.start()
    arrival.wait()
    process.send_signal(signal.SIGUSR1)
    (bench.project / "go").touch()
    assert bench.end(process) == 75
    assert bench.outcome() == {"a": "done", "b": "done"}


def test_usr1_at_the_last_slide_is_no_interruption(bench: Bench, arrival: Arrival) -> None:
    bench.acts("work", "work", "block-until-told")
    process = bench.start()
    arrival.wait()
    process.send_signal(signal.SIGUSR1)
    (bench.project / "go").touch()
    assert bench.end(process) == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")


def test_the_deadline_is_charged_to_the_slide_in_flight(bench: Bench, arrival: Arrival) -> None:
    bench.acts("block")
    bench.slides[0] = replace(bench.slides[0], seconds=1e6)
    process = bench.start(walltime_s=1000, left_s=margin_s(1000) + 8)
    arrival.wait()
    assert bench.end(process) == 75
    assert bench.outcome() == {"a": "failed timeout"}
    reason = bench.event("failed")["reason"]
    assert "1000000 s were predicted" in reason
    assert "60 s before the end of the walltime of 1000 s" in reason
    arrival.wait_for_its_end()


def test_a_slide_that_will_not_fit_is_not_started(bench: Bench) -> None:
    bench.slides[1] = replace(bench.slides[1], seconds=500.0)
    assert bench.work(walltime_s=1000, left_s=300) == 75
    assert bench.outcome() == {"a": "done"}
    assert "predicted to take 500 s" in bench.log


def test_the_first_slide_is_tried_whatever_was_predicted(bench: Bench) -> None:
    bench.work()
    bench.run.feature_file("acting", cohort="", slide_id="b").unlink()
    bench.slides[1] = replace(bench.slides[1], seconds=500.0)
    assert bench.work(walltime_s=1000, left_s=300) == 0  # a was only found finished


def test_a_walltime_that_is_used_up_starts_nothing(bench: Bench) -> None:
    assert bench.work(walltime_s=1000, left_s=10) == 75
    assert bench.outcome() == {}


def test_killing_the_whole_group_loses_only_the_slide_in_flight(
    bench: Bench, arrival: Arrival, make_bench: Callable[..., Bench]
) -> None:
    undisturbed = make_bench("undisturbed")
    undisturbed.work()
    bench.acts("work", "native")
    process = bench.start()
    arrival.wait()
    os.killpg(process.pid, signal.SIGKILL)
    assert bench.end(process) == -signal.SIGKILL
    arrival.wait_for_its_end()  # the child died with its supervisor
    assert bench.events()[-1]["event"] == "slide_started"
    bench.acts()
    assert bench.work() == 0
    assert bench.features() == undisturbed.features()
    assert len(bench.features()) == 3


def test_a_supervisor_that_is_killed_alone_takes_its_child_with_it(
    bench: Bench, arrival: Arrival
) -> None:
    bench.acts("native")
    process = bench.start()
    arrival.wait()
    process.kill()
    bench.end(process)
    arrival.wait_for_its_end()


def test_an_encoder_that_fills_the_disk_ends_the_slot(bench: Bench) -> None:
    bench.acts("work", "disk-full")
    assert bench.work() == 74
    assert bench.outcome() == {"a": "done", "b": "failed storage_full"}
    assert bench.events()[-1]["exit_code"] == 74


def why_refused(*argv: str) -> str:
    """What a machine says when it does not let a command run; empty when it does."""
    if shutil.which(argv[0]) is None:
        return f"there is no {argv[0]}"
    tried = subprocess.run(argv, capture_output=True, text=True)
    return f"{' '.join(argv)}: {tried.stderr.strip()}" if tried.returncode else ""


def test_a_feature_file_that_does_not_fit_ends_the_slot(make_bench: Callable[..., Bench]) -> None:
    unshare = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    if refused := why_refused(*unshare, "true"):
        pytest.skip(
            f"no small file system can be mounted here: {refused}; that a full disk ends the slot "
            "with exit code 74 is tested by the encoder that writes to /dev/full"
        )
    bench = make_bench(dim=40_000)  # 640 kB a slide
    bench.run.features_dir.mkdir()
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    prefix = (*unshare, "sh", "-c", mount, str(bench.run.features_dir))
    assert bench.work(prefix=prefix) == 74
    assert bench.outcome() == {"a": "done", "b": "failed storage_full"}
    reason = bench.event("failed")["reason"]
    assert "b_features.h5: cannot be written: No space left on device" in reason


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("raise", "ValueError: no features today"),
        ("killed", "ended with signal 9 (SIGKILL) while it loaded the encoder"),
        ("vanish", "ended with exit code 3 while it loaded the encoder"),
        ("leave", "SystemExit"),
    ],
)
def test_an_encoder_that_cannot_be_loaded_is_a_failed_setup(
    bench: Bench, act: str, reason: str
) -> None:
    bench.acts(loading=(act,))
    assert bench.work() == 78
    assert reason in bench.event("setup_failed")["reason"]
    assert bench.events()[-1]["exit_code"] == 78
    assert bench.outcome() == {}


def test_another_encoder_than_the_planned_one_is_refused(bench: Bench) -> None:
    with (bench.project / "acting_encoder.py").open("a") as file:
        file.write("# changed\n")
    assert bench.work() == 78
    reason = bench.event("setup_failed")["reason"]
    assert "encoder.source_sha256 was" in reason
    assert "plan a new run" in reason
    assert bench.features() == {}


def test_other_rules_than_the_planned_ones_are_refused(bench: Bench) -> None:
    document = json.loads(bench.run.document.read_text())
    document["outputs"][0]["recipe"]["pixel_rule"] = 0
    bench.run.document.write_text(json.dumps(document))
    assert bench.work() == 78
    assert "pixel_rule" in bench.event("setup_failed")["reason"]


def test_a_changed_recipe_is_refused(bench: Bench) -> None:
    document = json.loads(bench.run.document.read_text())
    document["outputs"][0]["recipe"]["tiles"]["stride"] = 128
    bench.run.document.write_text(json.dumps(document))
    assert bench.work() == 78
    assert "the file was changed after the plan" in bench.event("setup_failed")["reason"]


def test_a_run_directory_that_cannot_be_used_is_told_without_a_traceback(bench: Bench) -> None:
    bench.run.document.write_text("{")
    assert bench.work() == 78
    assert bench.log.startswith("error: ")
    assert "Traceback" not in bench.log
    assert bench.events() == []


@pytest.mark.parametrize("act", ["copy", "copy-and-leave"])
def test_an_encoder_that_copies_its_process_mixes_up_no_slides(bench: Bench, act: str) -> None:
    bench.acts(act, "work", act)
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")
    names = [(e["event"], e.get("slide_id")) for e in bench.events() if "slide_id" in e]
    assert names == [(name, slide) for slide in "abc" for name in ("slide_started", "done")]


SWEEP = """
import os, sys
from pathlib import Path
from slidearray.errors import StorageFullError
from slidearray.storage.feature_file import check_feature_file, write_feature_file
from tests.support import feature_data
folder = Path(sys.argv[1])
data = feature_data(tiles=40, dim=72)
full = whole = 0
for room_kb in range(4, 120, 4):
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(max(0, free - room_kb * 1024)))
    file = folder / "s_features.h5"
    try:
        write_feature_file(file, data)
        assert check_feature_file(file) == [], room_kb
        whole += 1
    except StorageFullError:
        assert not file.exists(), room_kb
        full += 1
    file.unlink(missing_ok=True)
    (folder / "filler").unlink()
print(full, whole)
"""


def test_however_little_room_there_is_no_damaged_file_gets_its_final_name(tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else unshare
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    inside = [*unshare, "sh", "-c", mount, str(tmp_path)]
    tried = subprocess.run([*inside, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no small file system can be mounted here: {tried.stderr.decode().strip()}")
    done = subprocess.run(
        [*inside, sys.executable, "-c", SWEEP, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    full, whole = map(int, done.stdout.split())
    assert full
    assert whole
