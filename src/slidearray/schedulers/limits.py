"""How much of the machine is ours: control groups, affinity, the scheduler's variables.

The number of cores of the machine is nobody's share of it, and is never asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Set by SLURM, PBS (OpenPBS and Torque), LSF and Grid Engine inside a job.
CPU_VARIABLES = ("SLURM_CPUS_PER_TASK", "NCPUS", "PBS_NUM_PPN", "LSB_DJOB_NUMPROC", "NSLOTS")
#: In megabytes; SLURM sets it inside a job, 0 when the whole node's memory was asked for.
MEMORY_VARIABLE = "SLURM_MEM_PER_NODE"
#: Read by OpenMP, OpenBLAS, MKL, BLIS and numexpr when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
MEGABYTE = 2**20
#: Which GPUs are a job's own; the first that is set tells how many.
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_GPUS")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuGrant:
    """How a scheduler hands out GPUs."""

    always_told: bool  # a job without such a variable was given none
    advice: str  # where it was given another number than it asked for


_GPU_GRANTS = {
    "slurm": GpuGrant(
        always_told=True,
        advice="try `gpu_directive: gpus` or `gres` in the profile, or another partition",
    ),
    # Only its cgroups hook hands out devices and names them; without it a job sees them all.
    "pbs": GpuGrant(
        always_told=False,
        advice="this site may count them by another resource than ngpus: its own pages tell",
    ),
}


_ANY_GRANT = GpuGrant(always_told=False, advice="ask those who run the cluster")


def gpu_grant(scheduler: str) -> GpuGrant:
    """How a scheduler hands out GPUs."""
    return _GPU_GRANTS.get(scheduler, _ANY_GRANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this process may use."""

    cpus: int
    memory_mb: int | None  # None: nobody said


class ControlGroups:
    """The control groups of this process, of version 1, 2 or both.

    Parameters
    ----------
    proc
        Folder with the process's ``cgroup`` and ``mountinfo``.
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        mounts = _mounts(_lines(proc / "mountinfo"))
        paths = _paths(_lines(proc / "cgroup"))
        self._unified = _chain(mounts.get(""), paths.get(""))
        self._cpu = _chain(mounts.get("cpu"), paths.get("cpu"))
        self._memory = _chain(mounts.get("memory"), paths.get("memory"))

    def cpus(self) -> float | None:
        """CPUs that the quotas leave us; None without a quota."""
        quotas = [
            *(_quota(_words(folder / "cpu.max")) for folder in self._unified),
            *(
                _quota(
                    [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
                )
                for folder in self._cpu
            ),
        ]
        return min((quota for quota in quotas if quota is not None), default=None)

    def memory_mb(self) -> int | None:
        """Megabytes that the group may use; None without a limit."""
        found = [
            *(_number(_words(folder / "memory.max")) for folder in self._unified),
            *(_number(_words(folder / "memory.limit_in_bytes")) for folder in self._memory),
        ]
        # Version 1 writes "no limit" as a number near 2**63.
        limits = [limit for limit in found if limit is not None and limit < 2**60]
        return min(limits) // MEGABYTE if limits else None

    def oom_kills(self) -> int:
        """Processes of our own group that were killed for memory so far.

        Where the kernel does not count them, how often a limit was hit; either only ever grows.
        """
        files = [
            *(folder / "memory.events" for folder in self._unified[:1]),
            *(folder / "memory.oom_control" for folder in self._memory[:1]),
        ]
        counts = [line.split() for file in files for line in _lines(file)]
        kills = [int(words[1]) for words in counts if words[0] == "oom_kill"]
        if not kills:  # version 1 before Linux 4.13
            hits = (_number(_words(folder / "memory.failcnt")) for folder in self._memory)
            kills = [count for count in hits if count]
        return sum(kills)


def limits_here(
    groups: ControlGroups, *, affinity: Collection[int], environ: Mapping[str, str]
) -> Limits:
    """What this process may use: the least that any source leaves it.

    Parameters
    ----------
    groups
        Control groups of this process.
    affinity
        CPUs it may run on.
    environ
        Environment with the scheduler's variables.
    """
    quota = groups.cpus()
    cpus = [
        len(affinity),
        *([max(1, int(quota))] if quota is not None else []),
        *(granted for name in CPU_VARIABLES if (granted := _granted(environ, name))),
    ]
    memory = [limit for limit in (groups.memory_mb(), _granted(environ, MEMORY_VARIABLE)) if limit]
    return Limits(cpus=min(cpus), memory_mb=min(memory, default=None))


def local_window(cpus_per_task: int) -> int:
    """How many array tasks of so many CPUs run here side by side; at least one."""
    here = limits_here(ControlGroups(), affinity=os.sched_getaffinity(0), environ=os.environ)
    return max(1, here.cpus // cpus_per_task)


def child_environment(environ: Mapping[str, str], *, cpus: int) -> dict[str, str]:
    """`environ` with one thread a CPU for numerical libraries; what the user set stays."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(cpus)), **environ}


def _granted(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def _mounts(lines: list[str]) -> dict[str, tuple[str, Path]]:
    """By controller ("" for version 2): which part of the tree is mounted, and where."""
    mounts: dict[str, tuple[str, Path]] = {}
    for line in lines:
        # proc_pid_mountinfo(5): id parent major:minor root mount-point ... - type source options
        left, _, right = line.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        names = {"cgroup": options.split(","), "cgroup2": [""]}.get(kind, [])
        for name in names:
            mounts.setdefault(name, (root, Path(point)))
    return mounts


def _paths(lines: list[str]) -> dict[str, str]:
    """By controller ("" for version 2): our group's path in the tree."""
    paths = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _chain(mount: tuple[str, Path] | None, path: str | None) -> list[Path]:
    """Folders of our group and of those above it, as far as they can be seen."""
    if mount is None or path is None:
        return []
    root, point = mount
    inside = os.path.relpath(path, root)
    # In a container the path may be the host's, of which only our own part is mounted.
    folder = point / inside if not inside.startswith("..") else point
    folder = folder if folder.is_dir() else point
    return [each for each in (folder, *folder.parents) if each.is_relative_to(point)]


def _quota(words: list[str]) -> float | None:
    """CPUs of ``quota period``; "max" and -1 mean no quota."""
    if len(words) != 2 or not words[0].isdigit():
        return None
    return int(words[0]) / int(words[1])


def _number(words: list[str]) -> int | None:
    return int(words[0]) if words and words[0].isdigit() else None


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    """Lines that hold something; none when the file cannot be read."""
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError:
        return []
