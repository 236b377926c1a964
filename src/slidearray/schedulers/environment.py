"""Environments: what a scheduler's commands get, what a job script gets, what a job tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.schedulers.pbs_ids import bare, subjob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slidearray.core.profile import Profile

#: Where a scheduler is: a command that lacks it asks the name server (SLURM) or a default file.
#: PBS_DEFAULT is what PBS_SERVER was called before (openpbs: pbs_internal.h).
_WHERE = ("SLURM_CONF", "PBS_CONF_FILE", "PBS_DEFAULT", "PBS_SERVER")
#: Who and where the user is.
_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ", "USER", *_WHERE)
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
    restarts: int | None  # how often the scheduler began it again; None: it does not tell
    raw_job_id: str  # the last task of an array to start bears the array's own on SLURM
    node: str  # empty where the scheduler does not name it


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
    """The profile, with a person's defaults where it says nothing; qsub knows no such variables."""
    if profile.scheduler != "slurm":
        return profile
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
        if name in _WHERE or not name.startswith(_FOREIGN)
    }


def job_identity(environ: Mapping[str, str]) -> JobIdentity | None:
    """The job that this process runs in, as its scheduler tells; None outside of one."""
    return _slurm_identity(environ) or _pbs_identity(environ)


def _slurm_identity(environ: Mapping[str, str]) -> JobIdentity | None:
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


def _pbs_identity(environ: Mapping[str, str]) -> JobIdentity | None:
    raw = environ.get("PBS_JOBID", "")
    if not raw:
        return None
    array, index = bare(environ.get("PBS_ARRAY_ID", "")), environ.get("PBS_ARRAY_INDEX", "")
    place = (array, int(index)) if array and index.isdecimal() else subjob(raw)
    return JobIdentity(
        scheduler="pbs",
        job_id=place[0] if place else bare(raw),
        task=place[1] if place else None,
        # No variable tells run_count (openpbs: start_exec.c), and the server counts a run before
        # a node takes it (svr_strtjob2 in req_runjob.c).
        restarts=None,
        raw_job_id=bare(raw),
        node=next(iter(pbs_nodes(environ)), ""),  # its script runs on the first
    )


def pbs_nodes(environ: Mapping[str, str]) -> list[str]:
    """The nodes of a job, each once, as PBS calls them; none where its file cannot be read.

    ``PBS_NODEFILE`` has a line for each process that MPI is to start (pbs_resources.7B).
    """
    path = Path(environ.get("PBS_NODEFILE", ""))
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:  # in a container the server's folders may be out of sight
        return []
    return list(dict.fromkeys(text.split()))
