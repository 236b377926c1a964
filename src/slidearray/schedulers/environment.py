"""Environments: what a scheduler's commands get, what a job script gets, what a job tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slidearray.core.profile import Profile

#: Who and where the user is; and SLURM_CONF, without which a command may ask the name server.
_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "TZ", "USER")
#: Defaults of a person for all their jobs, and the keys of a profile that say the same.
SBATCH_DEFAULTS = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_RESERVATION": "reservation",
}
#: Set by an enclosing job, by submitit, or to change what a scheduler's command does and prints.
_FOREIGN = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "PBS_", "SUBMITIT_")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """Which task of which job this process runs in."""

    scheduler: str
    job_id: str  # of the array, or of the plain job
    task: int | None  # number within the array; None: a plain job
    restarts: int  # how often the scheduler began it again
    raw_job_id: str  # the last task of an array to start bears the array's own
    node: str


def scheduler_environment(environ: Mapping[str, str], names: Sequence[str] = ()) -> dict[str, str]:
    """What a scheduler's commands get of `environ`: sbatch hands all of it on to the job.

    Parameters
    ----------
    environ
        Our own environment.
    names
        Variables that a profile wants in its jobs as well.
    """
    kept = {name: environ[name] for name in (*_KEPT, *SBATCH_DEFAULTS, *names) if name in environ}
    return kept | {"LC_ALL": "C"}


def with_defaults(profile: Profile, environ: Mapping[str, str]) -> Profile:
    """The profile, with a person's defaults where it says nothing."""
    missing = {
        key: environ[name]
        for name, key in SBATCH_DEFAULTS.items()
        if environ.get(name) and getattr(profile, key) is None
    }
    return profile.model_copy(update=missing)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what an enclosing job or submitit put there."""
    return {
        name: value
        for name, value in environ.items()
        if name == "SLURM_CONF" or not name.startswith(_FOREIGN)
    }


def job_identity(environ: Mapping[str, str]) -> JobIdentity | None:
    """The job that this process runs in, as its scheduler tells; None outside of one."""
    raw = environ.get("SLURM_JOB_ID", "")
    if not raw:
        return None
    array, task = environ.get("SLURM_ARRAY_JOB_ID", ""), environ.get("SLURM_ARRAY_TASK_ID", "")
    in_array = bool(array) and task.isdecimal()
    restarts = environ.get("SLURM_RESTART_COUNT", "")
    return JobIdentity(
        scheduler="slurm",
        job_id=array if in_array else raw,
        task=int(task) if in_array else None,
        restarts=int(restarts) if restarts.isdecimal() else 0,
        raw_job_id=raw,
        node=environ.get("SLURMD_NODENAME", ""),
    )
