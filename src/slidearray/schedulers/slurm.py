"""SLURM: arrays within its limits, the argument lists of its commands, and what they answer."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from slidearray.core import slurm_directives
from slidearray.core.queue import TaskState
from slidearray.errors import RunError
from slidearray.schedulers import (
    slurm_cluster,
    slurm_questions,
    slurm_refusals,
    slurm_words,
)
from slidearray.schedulers.answers import Accepted
from slidearray.schedulers.arrays import array_jobs, check_range
from slidearray.schedulers.environment import SBATCH_DEFAULTS
from slidearray.schedulers.slurm_settling import Settler
from slidearray.schedulers.slurm_states import task_state
from slidearray.schedulers.slurm_survey import SlurmSurvey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.core.shapes import Shape
    from slidearray.schedulers.answers import Refusal
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.schedulers.cluster import Tell

#: MaxArraySize where nobody changed it (slurm.conf): it caps the index, so 0 to 1000 are allowed.
DEFAULT_MAX_ARRAY_SIZE = 1001
#: What `sbatch --parsable` prints: the id, and the cluster's name where it chose among several.
_PARSABLE = re.compile(r"([0-9]+)(?:;(\S+))?")
#: What scancel says of jobs that are gone.
_OVER = re.compile(r"Invalid job id specified|already (completing|completed|finished)|has finished")
#: An option in a script for which a person may have set a default.
_OPTION = re.compile(
    r"^#SBATCH\s+(?:--(account|partition|qos|reservation)\b|-([Apq]))", re.MULTILINE
)
_ARRAY = re.compile(r"^#SBATCH\s+(?:--array[= ]|-a\s*)[\"']?([^\s\"']+)", re.MULTILINE)
_SHORT_OPTIONS = {"A": "account", "p": "partition", "q": "qos"}


class SlurmDialect:
    """SLURM's words."""

    template = "slurm.sh.j2"
    runs_here = False
    kill_wait_s = 30.0  # KillWait where nobody changed it (slurm.conf.5)
    program = "sbatch"
    # Lists of tasks whole, and not cut at 64 characters (squeue.1).
    query_environment: Mapping[str, str] = MappingProxyType({"SLURM_BITSTR_LEN": "0"})

    def at_once(self, cpus_per_task: int) -> int:
        """One: how much of the cluster is free, nobody knows."""
        return 1

    def arrays(
        self,
        shapes: Sequence[Shape],
        *,
        profile: Profile,
        token: str,
        attempt: int,
        limits: QueueLimits,
    ) -> list[ArrayJob]:
        """Jobs for all slots of an attempt; a throttle holds over all of them together."""
        return array_jobs(
            shapes,
            limit=_or_default(limits.largest_array(profile.max_array_size)),
            max_running=profile.max_running,
            token=token,
            attempt=attempt,
        )

    def array_options(
        self, profile: Profile, shape: Shape, *, exclude: Sequence[str] = ()
    ) -> list[str]:
        """What follows ``#SBATCH`` in an array's script, beside what its template says itself."""
        return slurm_directives.array_options(profile, exclude=exclude)

    def advance_options(self, profile: Profile) -> list[str]:
        """What follows ``#SBATCH`` in the script of the job behind the arrays."""
        return slurm_directives.advance_options(profile)

    def check_script(self, text: str, *, profile: Profile, array: str | None, source: str) -> None:
        """See that it asks for its own tasks; at all else sbatch itself looks."""
        check_range(_ARRAY.findall(text), array, source=source)

    def submit_argv(
        self, script: Path, *, name: str, after: Sequence[str] = (), held: bool
    ) -> list[str]:
        """`sbatch`, printing the id alone."""
        return [
            "sbatch",
            "--parsable",
            *(["--hold"] if held else []),
            f"--job-name={name}",
            *([f"--dependency=afterany:{':'.join(after)}"] if after else []),
            _as_path(script),
        ]

    def submission(self, job: ArrayJob, script: Path) -> list[str]:
        """`sbatch`, held."""
        after = [] if job.after is None else [f"{{array id of {job.after}}}"]
        return self.submit_argv(script, name=job.name, after=after, held=True)

    def rehearse_argv(self, script: Path) -> list[str]:
        """`sbatch`, without submitting."""
        return ["sbatch", "--test-only", _as_path(script)]

    def parse_accepted(self, stdout: str) -> Accepted | None:
        """The last line that is an id: many sites print something before it, or behind."""
        for line in reversed(stdout.splitlines()):
            if match := _PARSABLE.fullmatch(line.strip()):
                return Accepted(job_id=match[1], cluster=match[2] or "")
        return None

    def task_id(self, job_id: str, task: int) -> str:
        """``12_3``."""
        return f"{job_id}_{task}"

    def explain(self, words: str) -> Refusal:
        """What an error means, and what to change."""
        return slurm_refusals.explain(words)

    def advice_for(self, reason: str) -> str | None:
        """What a pending reason means."""
        return slurm_refusals.advice_for(reason)

    def release_argv(self, job_ids: Sequence[str]) -> list[str]:
        """`scontrol release`: an array's id stands for all its tasks."""
        return ["scontrol", "release", ",".join(job_ids)]

    def cancellations(self, job_ids: Sequence[str], *, cluster: str = "") -> list[list[str]]:
        """`scancel`, which says nothing of jobs that have ended."""
        return [["scancel", *([f"--clusters={cluster}"] if cluster else []), *job_ids]]

    def find(
        self, tell: Tell, names: Sequence[str], *, ended: bool = False
    ) -> dict[str, list[str]]:
        """Ids by name, from one `squeue`."""
        return parse_found(tell(slurm_questions.find_argv(names)), ended=ended)

    def held(self, tell: Tell, ids: Sequence[str], *, user: str) -> set[str]:
        """Those of `ids` that a person holds, from one `squeue` of everything that he has."""
        rows = slurm_words.queue_rows(tell(slurm_questions.own_argv(user)))
        return set(ids) & {
            row.job_id
            for row in rows
            if task_state(row.state) is TaskState.PENDING and row.reason == "JobHeldUser"
        }

    def count(self, tell: Tell, *, user: str) -> int:
        """How many tasks are pending or at work, from one `squeue`."""
        rows = slurm_words.queue_rows(tell(slurm_questions.own_argv(user)))
        return sum(task_state(row.state) is not TaskState.ENDED for row in rows)

    def tasks_of(self, script: str) -> int:
        """How many tasks a script of ours asks for."""
        last = re.search(r"^#SBATCH --array=0-([0-9]+)", script, re.MULTILINE)
        return int(last[1]) + 1 if last else 1

    def asker(self, tell: Tell, *, lag_s: float) -> Settler:
        """Who asks squeue, and sacct for what squeue does not tell."""
        return Settler(tell, lag_s=lag_s)

    def forgives(self, words: str) -> bool:
        """Whether each line says that a job has ended, or is not known any more."""
        return all(map(_OVER.search, filter(str.strip, words.splitlines())))

    def said_by(self, script: str) -> list[str]:
        """`SBATCH_*` that stand for an option of the script: sbatch prefers the environment."""
        said = {long or _SHORT_OPTIONS[short] for long, short in _OPTION.findall(script)}
        return [name for name, key in SBATCH_DEFAULTS.items() if key in said]

    def cluster_name(self, tell: Tell) -> str:
        """ClusterName of `scontrol show config`."""
        return slurm_cluster.basics(tell).name

    def survey(self, tell: Tell, *, user: str) -> SlurmSurvey:
        """What scontrol and sacctmgr tell."""
        return SlurmSurvey(slurm_cluster.survey(tell, user=user))

    def task_arguments(self, job: ArrayJob, task: int) -> list[str]:
        """None: the script takes its slot from the array."""
        return []

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """Variables of a batch script, with ids that no two tasks of an attempt share."""
        # The id of an array is the id of one of its tasks, and ids are numbers (job_array.html).
        environment = {
            "SLURM_JOB_ID": str(job.offset + task + 1),
            "SLURM_JOB_NAME": job.name,
            "SLURM_CPUS_PER_TASK": str(job.shape.cpus),
            "SLURM_MEM_PER_NODE": str(job.shape.memory_mb),
        }
        if job.array is None:
            return environment
        return environment | {
            "SLURM_ARRAY_JOB_ID": str(job.offset + 1),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": str(job.count - 1),
            "SLURM_ARRAY_TASK_COUNT": str(job.count),
            "SLURM_ARRAY_TASK_STEP": "1",
        }

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """Path for ``--output``: ``%a`` stands for the task, a real ``%`` is doubled.

        Raises
        ------
        RunError
            When the path holds a backslash: it turns the pattern off, and goes missing itself
            (slurm, src/slurmd/slurmstepd/fname.c).
        """
        if "\\" in str(folder):
            raise RunError(
                f"{folder}: SLURM cannot write logs to a path with a backslash; "
                "choose another run_dir"
            )
        name = "0.log" if job.array is None else "%a.log"
        return f"{str(folder).replace('%', '%%')}/{name}"


def _as_path(script: Path) -> str:
    """A script's path, never read as an option."""
    text = str(script)
    return f"./{text}" if text.startswith("-") else text


def _or_default(largest: int | None) -> int:
    return DEFAULT_MAX_ARRAY_SIZE if largest is None else largest


def parse_found(stdout: str, *, ended: bool = False) -> dict[str, list[str]]:
    """Ids of jobs by name, those that have not ended first; a state of a later SLURM is no end."""
    rows = [
        (task_state(row.state) is TaskState.ENDED, row) for row in slurm_words.queue_rows(stdout)
    ]
    found: dict[str, list[str]] = {}
    for has_ended, row in sorted(rows, key=lambda each: each[0]):
        if ended or not has_ended:
            found.setdefault(row.name, []).append(row.job_id)
    return {name: list(dict.fromkeys(ids)) for name, ids in found.items()}
