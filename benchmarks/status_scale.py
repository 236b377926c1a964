"""How long `slidearray status` takes on a large run, and what it asks of disk and scheduler.

Makes a run of many slides whose attempt was submitted to SLURM: one record a slot with events of
real size, the last slots still at work. `squeue` and `sacct` are small programs that print what was
prepared and count their calls. The same is measured once more after the attempt is over and
sealed. Prints a Markdown table.

    python benchmarks/status_scale.py [SLIDES [SLOTS [ROUNDS]]]
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slidearray.project import init_project
from slidearray.schedulers.queue import Queue
from slidearray.schedulers.slurm_words import QUEUE_FORMAT
from slidearray.status.report import run_status
from slidearray.storage.configs import load_config, load_profile, run_profile
from slidearray.storage.files import host_name, utc_now
from slidearray.storage.journal import Journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.manifest import read_manifest
from slidearray.storage.plan_files import PlannedSlide, write_planned, write_rejected
from slidearray.storage.rundir import (
    Output,
    RunDir,
    RunDocument,
    open_run,
    relative_project,
    write_document,
)
from slidearray.storage.seals import seal
from slidearray.storage.slots import Slot, SlotSlide, write_slots

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB, ADVANCE_JOB = "4711", "4712"
NAME, ADVANCE_NAME = "sabench0-1-0", "svbench0-1"
LABEL = "color-texture"
AT_WORK = 20  # slots whose last slides are not done: half of them run, half wait
#: Counts what a Python process opens and lists under a folder.
COUNTING = """
import sys
from pathlib import Path
folder, counts, sys.argv = sys.argv[1], sys.argv[2], ["slidearray", *sys.argv[3:]]
seen = {"open": 0, "os.listdir": 0, "os.scandir": 0}
def count(event, args):
    if event in seen and args and str(args[0]).startswith(folder):
        seen[event] += 1
sys.addaudithook(count)
from slidearray.cli.main import main
code = main(sys.argv[1:])
Path(counts).write_text(f"{seen['open']} {seen['os.listdir'] + seen['os.scandir']}")
sys.exit(code)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A large run, and the programs that stand in for its scheduler."""

    run: RunDir
    bin: Path
    slides: int
    slots: int

    @property
    def calls(self) -> Path:
        """A line a call of the scheduler."""
        return self.bin / "calls"

    def environment(self) -> dict[str, str]:
        """Ours, with these programs first."""
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def ids(self, slot: int) -> range:
        """The slides of a slot, by number."""
        each = self.slides // self.slots
        return range(slot * each, (slot + 1) * each)


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:]]
    slides, slots, rounds = [*given, *(100_000, 1000, 5)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        bench = made(Path(folder), slides=slides - slides % slots, slots=slots)
        at_work = measured(bench, rounds=rounds)
        finish(bench)
        print_table({"at work": at_work, "over, and sealed": measured(bench, rounds=rounds)})


def made(project: Path, *, slides: int, slots: int) -> Bench:
    """The run as it is while its last slots are at work."""
    init_project(project)
    run = RunDir(root=project / "runs" / "large", project=project)
    bench = Bench(run=run, bin=project / "bin", slides=slides, slots=slots)
    run.plan_dir.mkdir(parents=True)
    write_plan(bench)
    write_attempt(bench)
    for slot in range(slots):
        waits = slot >= slots - AT_WORK // 2
        if not waits:
            write_record(bench, slot, part=0.5 if slot >= slots - AT_WORK else 1.0)
    write_programs(bench)
    return bench


def slide_id(number: int) -> str:
    return f"TCGA-{number % 97:02d}-{number:06d}-01Z-00-DX1"


def write_plan(bench: Bench) -> None:
    """run.json, the manifest and the tables of the plan."""
    run = bench.run
    names = map(slide_id, range(bench.slides))
    rows = (f"{name},raw_slides/{name}.svs,LUAD,0.2525\n" for name in names)
    run.manifest.write_text("slide_id,path,cohort,mpp\n" + "".join(rows))
    config, project = load_config(run.project / "slidearray.yaml")
    output = Output(label=LABEL, recipe={}, recipe_digest=digest("recipe"), feature_dim=128)
    write_document(
        run,
        RunDocument(
            run_id=digest("run")[:32],
            created=utc_now(),
            version="0",
            project=relative_project(run.root, project),
            config=config.to_json(),
            profile=load_profile("slurm-cpu", project=project).to_json(),
            manifest_digest=read_manifest(run.manifest).digest,
            outputs=(output,),
            versions={},
        ),
    )
    planned = (
        PlannedSlide(slide_id=slide_id(n), shard=slot, seconds=61.234, megabytes=512)
        for slot in range(bench.slots)
        for n in bench.ids(slot)
    )
    write_planned(run.slides_table, planned)
    write_rejected(run.rejected, [])


def write_attempt(bench: Bench) -> None:
    """An attempt in one array, as its submitter leaves it."""
    attempt = bench.run.attempt(1)
    attempt.root.mkdir(parents=True)
    shape = {"cpus": 4, "memory_mb": 16384, "walltime_s": 14400}
    write_slots(
        attempt.slots,
        (
            Slot(slot=slot, shape=shape, slides=tuple(map(slot_slide, bench.ids(slot))))
            for slot in range(bench.slots)
        ),
    )
    journal = Journal(attempt.journal)
    journal.append(
        "intent",
        slots=bench.slots,
        scheduler="slurm",
        here=False,
        host=host_name(),
        names=[NAME],
        splits=[[0, bench.slots, True]],
        advance=ADVANCE_NAME,
    )
    journal.append("submitted", split=0, job_id=JOB)
    journal.append("advance", job_id=ADVANCE_JOB)
    journal.append("committed")
    journal.append("released")


def slot_slide(number: int) -> SlotSlide:
    path = f"raw_slides/{slide_id(number)}.svs"
    return SlotSlide(slide_id=slide_id(number), path=path, cohort="LUAD", seconds=61.234)


def write_record(bench: Bench, slot: int, *, part: float) -> None:
    """The record of a slot that did a part of its slides and, if not all, works on the next."""
    path = bench.run.attempt(1).record(slot, "20260101T000000000000Z-node17-12345")
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = bench.ids(slot)
    count = int(part * len(numbers))
    with path.open("w") as file:
        for event in events(slot, [*numbers[:count]], begun=[*numbers[count : count + 1]]):
            stamped = {"event": event.pop("event"), "time": utc_now(), **event}
            file.write(json.dumps(stamped, separators=(",", ":")) + "\n")


def events(slot: int, done: list[int], *, begun: list[int]) -> Iterator[dict[str, Any]]:
    """What the worker of a slot writes."""
    here = {"host": "node17.cluster", "pid": 12345, "cpus": 4, "memory_mb": 16384}
    job = {"job_id": JOB, "task": slot, "restarts": 0, "node": "node17"}
    yield {"event": "started", "slot": slot, "attempt": 1, **here, **job, "walltime_s": 14400.0}
    for number in done:
        name = slide_id(number)
        yield {"event": "slide_started", "slide_id": name}
        yield {"event": "done", "slide_id": name, "seconds": 61.234, **result(name)}
    for number in begun:
        yield {"event": "slide_started", "slide_id": slide_id(number)}
    if not begun:
        yield {"event": "finished", "exit_code": 0, "wall_s": 6123.4, "cpu_s": 21234.5}


def result(name: str) -> dict[str, Any]:
    """What a slide's `done` tells."""
    return {
        "slide_key": digest(name),
        "num_tiles": 4321,
        "dropped_tiles": 0,
        "reused": False,
        "file": {
            "label": LABEL,
            "path": f"features/{LABEL}/LUAD/{name}_features.h5",
            "size": 2_345_678,
            "sha256": digest(name + "bytes"),
            "content_digest": digest(name + "content"),
        },
        "cpu_s": 212.34,
        "peak_mb": 1234,
    }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_programs(bench: Bench) -> None:
    """`squeue`, which knows every task, and `sacct`, which is not needed."""
    bench.bin.mkdir()
    answer = bench.bin / "answer"
    rows = [queue_row(bench, slot) for slot in range(bench.slots)]
    behind = {"ArrayJobID": ADVANCE_JOB, "ArrayTaskID": "N/A", "Name": ADVANCE_NAME}
    rows.append(columns(behind | {"State": "PENDING", "Reason": "Dependency"}))
    answer.write_text("".join(rows))
    for program, does in (("squeue", f"cat {answer}"), ("sacct", "exit 1")):
        path = bench.bin / program
        path.write_text(f"#!/bin/sh\necho {program} >> {bench.calls}\n{does}\n")
        path.chmod(0o755)


def queue_row(bench: Bench, slot: int) -> str:
    left = bench.slots - slot
    state = "COMPLETED" if left > AT_WORK else "RUNNING" if left > AT_WORK // 2 else "PENDING"
    told = {"ArrayJobID": JOB, "ArrayTaskID": str(slot), "State": state, "Name": NAME}
    return columns(told | {"NodeList": "node17", "Reason": "None"})


def columns(told: dict[str, str]) -> str:
    """A line of squeue, with the columns that it is asked for."""
    asked = (column.split(":") for column in QUEUE_FORMAT.split(","))
    return "".join(told.get(name, "0").ljust(int(width)) for name, width in asked) + "\n"


def finish(bench: Bench) -> None:
    """Let every slot end, seal the attempt, and let the job behind it merge."""
    for slot in range(bench.slots - AT_WORK, bench.slots):
        write_record(bench, slot, part=1.0)
    began = time.perf_counter()
    seal(bench.run.attempt(1), {})
    took = time.perf_counter() - began
    size = bench.run.attempt(1).seal.stat().st_size
    raw = sum(path.stat().st_size for path in bench.run.attempt(1).records_root.rglob("*.jsonl"))
    print(f"sealed in {took:.1f} s: {raw / 1e6:.0f} MB of records in {size / 1e6:.0f} MB\n")
    Journal(bench.run.attempt(1).journal).append("reduced")


def measured(bench: Bench, *, rounds: int) -> dict[str, str]:
    """Each figure, as text."""
    argv = ["status", str(bench.run.root)]
    seconds_of(bench, "-m", "slidearray", *argv)  # what is read from now on is in memory
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = [seconds_of(bench, "-m", "slidearray", *argv) for _ in range(rounds)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    bench.calls.unlink(missing_ok=True)
    counts = bench.bin / "counts"
    seconds_of(bench, "-c", COUNTING, str(bench.run.root), str(counts), *argv)
    opened, listed = counts.read_text().split()
    calls = len(bench.calls.read_text().splitlines()) if bench.calls.exists() else 0
    inside = [seconds_inside(bench) for _ in range(rounds)]
    return {
        "`slidearray status`, median": f"{statistics.median(whole):.2f} s",
        "the same, fastest": f"{min(whole):.2f} s",
        "CPU time of it, mean": f"{cpu_s / rounds:.2f} s",
        "ledger and status in a process that is there, fastest": f"{min(inside):.2f} s",
        "peak memory": f"{after.ru_maxrss / 1024:.0f} MB",
        "files opened in the run directory": opened,
        "folders listed in it": listed,
        "scheduler calls": str(calls),
    }


def seconds_of(bench: Bench, *arguments: str) -> float:
    """Seconds that a Python process takes; 3 tells that slides are missing."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=bench.environment(),
    )
    took = time.perf_counter() - start
    if done.returncode not in (0, 3):
        sys.exit(f"{arguments} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took


def seconds_inside(bench: Bench) -> float:
    before = os.environ["PATH"]
    os.environ["PATH"] = bench.environment()["PATH"]
    try:
        start = time.perf_counter()
        run = open_run(bench.run.root)
        ask = Queue(run_profile(run)).ask
        run_status(run, read_ledger(run, ask=ask), ask=ask)
        return time.perf_counter() - start
    finally:
        os.environ["PATH"] = before


def print_table(columns: dict[str, dict[str, str]]) -> None:
    print("| |", " | ".join(columns), "|")
    print("|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} |", " | ".join(column[name] for column in columns.values()), "|")


if __name__ == "__main__":
    main()
