"""How long a very large manifest takes to plan and to dry-run, and how much memory.

Writes manifests whose columns tell of headers, as `manifest build --headers` does, so that no slide
is opened: what is measured is our own work. Each command is a process of its own; CPU time and peak
memory are the kernel's count of it. Prints a Markdown table.

    python benchmarks/plan_scale.py [ROWS ...]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slidearray.core.headers import HEADER_COLUMNS

ROWS = (200_000, 1_000_000)
COLUMNS = ("slide_id", "path", "cohort", "size_bytes", "vendor", "width", "height", "mpp",
           "magnification", "levels", *HEADER_COLUMNS)  # fmt: skip
#: As scanners write them; the last has more digits than 64 bits hold.
RESOLUTIONS = ("0.2525", "0.2527", "0.2498", "0.4990", "0.5026", "0.2201", "0.23387573964497")
CONFIG = """\
version: 1
manifest: manifest.csv
run_dir: run
tiles: {tile_size: 256, stride: 256, mpp: 0.5}
encoder: {name: color-texture}
"""
PROFILE = """\
version: 1
scheduler: slurm
walltime: "04:00:00"
cpus_per_task: 4
memory: 16G
"""
COMMANDS = {
    "`plan`": ("plan", "slidearray.yaml", "--profile", "cluster.yaml"),
    "`submit --dry-run`": ("submit", "run", "--dry-run"),
}


def main() -> None:
    sizes = [int(each) for each in sys.argv[1:]] or list(ROWS)
    print("| rows | command | seconds | CPU seconds | peak memory, MB |")
    print("|---|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_project(Path(folder), rows)
            for name, command in COMMANDS.items():
                seconds, cpu_s, megabytes = measured(Path(folder), command)
                shown = f"{rows:,}".replace(",", " ")
                print(f"| {shown} | {name} | {seconds:.1f} | {cpu_s:.1f} | {megabytes:.0f} |")


def write_project(folder: Path, rows: int) -> None:
    """A project of slides that nobody ever scanned, no two of one size."""
    (folder / "slidearray.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "cluster.yaml").write_text(PROFILE, encoding="utf-8")
    rng = random.Random(1)
    with (folder / "manifest.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(row(rng, number) for number in range(rows))


def row(rng: random.Random, number: int) -> str:
    cohort = f"cohort-{number % 97:02d}"
    slide_id = f"TCGA-{number % 97:02d}-{number:07d}-01Z-00-DX1.{rng.getrandbits(64):016X}"
    width, height = rng.randint(20_000, 140_000), rng.randint(15_000, 110_000)
    steps = (1, 4, 16, 32) if width > 60_000 else (1, 4, 16)
    levels = " ".join(f"{width // step}x{height // step}" for step in steps)
    mpp = rng.choice(RESOLUTIONS)
    cells = (
        *(slide_id, f"raw_slides/{cohort}/{slide_id}.svs", cohort),
        *(width * height // 3, "aperio", width, height, mpp, 40, len(steps)),
        *(levels, mpp, mpp, f"{rng.betavariate(1.5, 3):.4f}"),
    )
    return ",".join(map(str, cells)) + "\n"


def measured(folder: Path, command: tuple[str, ...]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of one command, whose output is thrown away."""
    began = time.perf_counter()
    argv = [sys.executable, "-m", "slidearray", *command]
    child = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(argv)} exited with {child.returncode}")
    seconds = time.perf_counter() - began
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
