"""What the tests of job scripts share: profiles, scripts of a run, and bash that runs them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.core.profile import parse_profile
from slidearray.schedulers.arrays import ArrayJob
from slidearray.storage.configs import load_profile
from slidearray.storage.rundir import RunDir
from slidearray.submitter.scripts import array_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.core.profile import Profile

PYTHON = "/opt/python/bin/python"

CLUSTER: dict[str, object] = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": "04:00:00",
    "cpus_per_task": 8,
    "memory": "32G",
    "partition": "cpu",
    "account": "pathology",
    "max_running": 4,
    "setup": ["module purge", "module load python/3.11"],
    "python": PYTHON,
}

#: Every key that changes a script, at once.
EVERYTHING: dict[str, object] = {
    **CLUSTER,
    "partition": "gpu",
    "qos": "high",
    "reservation": "course",
    "constraint": "a100|h100",
    "nodelist": "n[1-9]",
    "exclude": "n9",
    "nice": 10,
    "gpus": "a100:2",
    "directives": ["--exclusive", '--comment=the "second" centre #2'],
    "mail": {"to": "me@example.org", "on": ["END", "FAIL"]},
    "advance_job": {
        "partition": "small",
        "constraint": "fast",
        "walltime": "00:30:00",
        "cpus_per_task": 2,
        "memory": "8G",
        "directives": ["--comment=merge"],
    },
    "environment": ["OMP_PLACES"],
    "setup": ["module load apptainer"],
    "container": {
        "image": "images/it's mine.sif",
        "binds": ["/data/slides:/data/slides:ro"],
        "options": ["--nv"],
    },
    "python": None,
}

#: The same cluster under PBS.
PBS: dict[str, object] = {
    **{key: value for key, value in CLUSTER.items() if key != "partition"},
    "scheduler": "pbs",
    "queue": "cpu",
}
PBS_EVERYTHING: dict[str, object] = {
    **{key: EVERYTHING[key] for key in ("environment", "setup", "container", "python")},
    **{key: value for key, value in PBS.items() if key not in {"setup", "python"}},
    "queue": "gpu",
    "project": "ab12",
    "group": "lab",
    "constraint": "gpu_type=a100:net=ib",
    "gpus": 2,
    "pbs_resources": "flat",
    "directives": ["-l filesystems=home:eagle", "-p -100"],
    "mail": {"to": "me@example.org", "on": ["END", "FAIL"]},
    "advance_job": {
        "queue": "small",
        "constraint": "arch=zen3",
        "walltime": "00:30:00",
        "cpus_per_task": 2,
        "memory": "8G",
        "directives": ["-l filesystems=home:eagle"],
    },
}
CLUSTERS = {
    "slurm": CLUSTER,
    "pbs": PBS,
    "local": {key: CLUSTER[key] for key in ("version", "walltime", "cpus_per_task", "memory")}
    | {"scheduler": "local"},
}
#: What tells a script its number within the array.
TASK_VARIABLE = {"slurm": "SLURM_ARRAY_TASK_ID", "pbs": "PBS_ARRAY_INDEX", "local": "UNUSED"}

LOCAL = load_profile("local", project=Path("/nowhere"))


def profile(scheduler: str = "slurm", **keys: object) -> Profile:
    """The cluster's profile, with some keys changed."""
    return parse_profile({**CLUSTERS[scheduler], **keys}, source="p.yaml", name="p")


def run_in(root: Path) -> RunDir:
    """A run of the project in `root`; nothing of it is on disk."""
    return RunDir(root=root / "runs" / "first", project=root)


def array_job(profile: Profile, **fields: object) -> ArrayJob:
    """Twelve slots as one array, four at a time."""
    values = {"index": 0, "name": "sak3f9a2-1-0", "offset": 0, "count": 12, "array": "0-11%4"}
    return ArrayJob(shape=profile.shape(), **{**values, **fields})  # type: ignore[arg-type]


def plain_job(profile: Profile, slot: int = 1) -> ArrayJob:
    """One slot as a job of its own."""
    name = f"sak3f9a2-1-{slot}"
    return array_job(profile, index=slot, name=name, offset=slot, count=1, array=None)


def script(
    profile: Profile, *, root: Path, job: ArrayJob | None = None, exclude: Sequence[str] = ()
) -> str:
    """The script of a run's first attempt, as `submit` renders it."""
    return array_script(run_in(root), profile, job or array_job(profile), number=1, exclude=exclude)


def run_script(
    text: str, folder: Path, *, arguments: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as a scheduler does: as a program, so that its first line decides how."""
    file = program(folder / "script.sh", text)
    return subprocess.run(
        [file, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def run_task(
    ours: Profile, text: str, home: Path, *, task: int | None = 0, root: Path | None = None
) -> tuple[int, str]:
    """Run a task's script from `home`: its exit code, and what the log of that task gets.

    Parameters
    ----------
    ours
        The profile.
    text
        The script of the first attempt's split 0.
    home
        Where it runs; also the home of its user.
    task
        Number within the array; None: not told.
    root
        The project; `home` when it is None.
    """
    logs = run_in(root or home).attempt(1).logs_dir(0)
    logs.mkdir(parents=True, exist_ok=True)
    told = {} if task is None else {TASK_VARIABLE[ours.scheduler]: str(task)}
    arguments = [] if task is None else [str(task)]
    done = run_script(text, home, arguments=arguments, **told)
    printed = done.stdout + done.stderr
    if ours.scheduler == "pbs" and task is not None:  # its scripts write their logs themselves
        assert printed == ""
        printed = (logs / f"{task}.log").read_text(encoding="utf-8")
    return done.returncode, printed


def program(path: Path, text: str) -> Path:
    """A program with the text `text`."""
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
