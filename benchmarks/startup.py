"""How long the command line and a worker take to start, against a bare Python.

Everything is measured in one interleaved run, so that a busy machine slows all of it alike.
Prints a Markdown table.

    python benchmarks/startup.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.project import init_project
from slidearray.slides.synthetic import write_slide
from slidearray.storage.records import RecordTail
from slidearray.storage.rundir import open_run

if TYPE_CHECKING:
    from slidearray.storage.rundir import RunDir

POLL_S = 0.0005
SLIDEARRAY = (sys.executable, "-m", "slidearray")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        run = planned_run(Path(folder))
        results = [one_round(run) for _ in range(rounds)]
    print_table({name: [result[name] for result in results] for name in results[0]})


def one_round(run: RunDir) -> dict[str, float]:
    """Seconds that each thing took, once."""
    bare = seconds_of(sys.executable, "-c", "pass")
    shown = seconds_of(*SLIDEARRAY, "--help")
    begun, done = seconds_of_worker(run)
    return {
        "`python -c pass`": bare,
        "`slidearray --help`": shown,
        "worker, to its `started` record": begun,
        "worker, to the first slide `done`": done,
    }


def planned_run(project: Path) -> RunDir:
    """A run of one tiny slide whose first attempt has run."""
    init_project(project)
    write_slide(project / "raw_slides" / "tiny.svs", width=512, height=512, seed=1, tissue=0.9)
    slides, root = str(project / "raw_slides"), str(project)
    manifest, config = (
        str(project / "metadata/slide_manifest.csv"),
        str(project / "slidearray.yaml"),
    )
    quiet(*SLIDEARRAY, "manifest", "build", slides, "-o", manifest, "--root", root)
    quiet(*SLIDEARRAY, "run", config, "--run-dir", str(project / "run"))
    return open_run(project / "run")


def seconds_of_worker(run: RunDir) -> tuple[float, float]:
    """Seconds from the start of a worker to its `started` event and to its first `done`."""
    for features in run.features_dir.rglob("*.h5"):
        features.unlink()  # or the worker would find its work done
    tail = RecordTail(run.attempt(1))
    tail.new_events()
    argv = [*SLIDEARRAY, "work", str(run.root), "1", "0", "--project", str(run.project)]
    argv += ["--walltime", "3600", "--started", str(time.time())]
    start = time.perf_counter()
    seen: dict[str, float] = {}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        while worker.poll() is None:
            events = tail.new_events()
            seen = {event["event"]: time.perf_counter() - start for _, event in events} | seen
            time.sleep(POLL_S)
    if worker.returncode or not {"started", "done"} <= seen.keys():
        sys.exit(f"the worker exited with {worker.returncode} after the events {sorted(seen)}")
    return seen["started"], seen["done"]


def seconds_of(*argv: str) -> float:
    start = time.perf_counter()
    quiet(*argv)
    return time.perf_counter() - start


def quiet(*argv: str) -> None:
    """Run a command whose output matters only when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")


def print_table(seconds: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    bare = next(iter(medians.values()))
    print("| | median, ms | fastest, ms | times a bare Python |")
    print("|---|---|---|---|")
    for name, median in medians.items():
        fastest = min(seconds[name])
        print(f"| {name} | {median * 1e3:.0f} | {fastest * 1e3:.0f} | {median / bare:.1f} |")


if __name__ == "__main__":
    main()
