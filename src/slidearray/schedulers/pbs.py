"""PBS: arrays within its limits, the argument lists of its commands, and what they answer."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from slidearray.core import pbs_directives
from slidearray.schedulers import pbs_questions, pbs_refusals, pbs_rules, pbs_survey
from slidearray.schedulers.answers import Accepted
from slidearray.schedulers.arrays import array_jobs, check_range
from slidearray.schedulers.pbs_asking import PbsAsker
from slidearray.schedulers.pbs_ids import bare, is_job_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.core.shapes import Shape
    from slidearray.schedulers.answers import Refusal
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.schedulers.cluster import Tell

#: max_array_size where nobody changed it (pbs_server_attributes.7B): it caps the number of tasks.
DEFAULT_MAX_ARRAY_SIZE = 10_000


class PbsDialect:
    """The words of OpenPBS and PBS Pro."""

    template = "pbs.sh.j2"
    runs_here = False
    kill_wait_s = 8.0  # the least that was seen with 23.06.06; `kill_delay` of a queue says
    program = "qsub"
    query_environment: Mapping[str, str] = MappingProxyType({})

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
        """Jobs for all slots of an attempt; one slot is a plain job, for qsub refuses ``0-0``."""
        largest = limits.largest_array(profile.max_array_size)
        return array_jobs(
            shapes,
            limit=DEFAULT_MAX_ARRAY_SIZE if largest is None else largest,
            max_running=profile.max_running,
            token=token,
            attempt=attempt,
            lone_plain=True,
        )

    def array_options(
        self, profile: Profile, shape: Shape, *, exclude: Sequence[str] = ()
    ) -> list[str]:
        """What follows ``#PBS`` in an array's script; nodes cannot be left out by name."""
        return pbs_directives.array_options(profile, shape)

    def advance_options(self, profile: Profile) -> list[str]:
        """What follows ``#PBS`` in the script of the job behind the arrays."""
        return pbs_directives.advance_options(profile)

    def check_script(self, text: str, *, profile: Profile, array: str | None, source: str) -> None:
        """Refuse what qsub would refuse, or take and never run.

        Raises
        ------
        RunError
            With each fault and what to change.
        """
        size = profile.max_array_size
        pbs_rules.check_script(text, source=source, max_array_size=None if size == "auto" else size)
        check_range(pbs_rules.ranges(text), array, source=source)

    def submit_argv(
        self, script: Path, *, name: str, after: Sequence[str] = (), held: bool
    ) -> list[str]:
        """`qsub`, without the process that it would leave behind (``-f``)."""
        return [
            "qsub",
            "-f",
            *(["-h"] if held else []),
            "-N",
            name,
            *(["-W", f"depend=afterany:{':'.join(after)}"] if after else []),
            _as_path(script),
        ]

    def submission(self, job: ArrayJob, script: Path) -> list[str]:
        """`qsub`, held."""
        after = [] if job.after is None else [f"{{array id of {job.after}}}"]
        return self.submit_argv(script, name=job.name, after=after, held=True)

    def rehearse_argv(self, script: Path) -> list[str] | None:
        """None: qsub cannot be asked without submitting."""
        return None

    def parse_accepted(self, stdout: str) -> Accepted | None:
        """The last line that is an id: a hook of the site may print something before it."""
        for line in reversed(stdout.splitlines()):
            if is_job_id(line.strip()):
                return Accepted(job_id=bare(line.strip()))
        return None

    def task_id(self, job_id: str, task: int) -> str:
        """``12[3]``."""
        return job_id.replace("[]", f"[{task}]")

    def explain(self, words: str) -> Refusal:
        """What an error means, and what to change."""
        return pbs_refusals.explain(words)

    def advice_for(self, reason: str) -> str | None:
        """What a pending reason means."""
        return pbs_refusals.advice_for(reason)

    def release_argv(self, job_ids: Sequence[str]) -> list[str]:
        """`qrls`: an array's id stands for all its tasks."""
        return ["qrls", *job_ids]

    def cancellations(self, job_ids: Sequence[str], *, cluster: str = "") -> list[list[str]]:
        """`qdel`, one id a call: several, an unknown one with them, end the server (23.06.06)."""
        return [["qdel", job_id] for job_id in job_ids]

    def forgives(self, words: str) -> bool:
        """Whether each line says that a job has ended, or is not known any more."""
        return pbs_refusals.is_over(words)

    def said_by(self, script: str) -> list[str]:
        """None: a script of ours says by ``#PBS`` lines what it wants, and they win."""
        return []

    def tasks_of(self, script: str) -> int:
        """How many tasks a script of ours asks for."""
        last = re.search(r"^#PBS -J 0-([0-9]+)", script, re.MULTILINE)
        return int(last[1]) + 1 if last else 1

    def find(
        self, tell: Tell, names: Sequence[str], *, ended: bool = False
    ) -> dict[str, list[str]]:
        """Ids by name, from one `qselect` a name; two, when the ended ones are wanted as well."""
        found: dict[str, list[str]] = {}
        for name in names:
            ids = pbs_questions.ids_of(tell, name)
            # With -x a server that keeps no history names none at all.
            ids += pbs_questions.ids_of(tell, name, ended=True) if ended else []
            if ids:
                found[name] = list(dict.fromkeys(ids))
        return found

    def held(self, tell: Tell, ids: Sequence[str], *, user: str) -> set[str]:
        """Those of `ids` that a person holds, from one `qstat` each."""
        return {job_id for job_id in ids if pbs_questions.waits_for_release(tell, job_id)}

    def count(self, tell: Tell, *, user: str) -> int:
        """How many tasks are queued, held or at work, from one `qselect`."""
        return pbs_questions.tasks_of_user(tell, user)

    def asker(self, tell: Tell, *, lag_s: float) -> PbsAsker:
        """Who asks qstat."""
        return PbsAsker(tell)

    def cluster_name(self, tell: Tell) -> str:
        """The server's name."""
        return pbs_questions.server(tell).name

    def survey(self, tell: Tell, *, user: str) -> pbs_survey.PbsSurvey:
        """What qstat and pbsnodes tell."""
        return pbs_survey.survey(tell, user=user)

    def task_arguments(self, job: ArrayJob, task: int) -> list[str]:
        """None: the script takes its slot from the array."""
        return []

    def task_environment(self, job: ArrayJob, task: int) -> dict[str, str]:
        """Variables of a job, as pbs_mom sets them, with ids that no two tasks share."""
        number = job.offset
        environment = {
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBID": str(number),
            "PBS_JOBNAME": job.name,
            "NCPUS": str(job.shape.cpus),
            "OMP_NUM_THREADS": str(job.shape.cpus),
        }
        if job.array is None:
            return environment
        return environment | {
            "PBS_JOBID": f"{number}[{task}]",
            "PBS_ARRAY_ID": f"{number}[]",
            "PBS_ARRAY_INDEX": str(task),
        }

    def log_pattern(self, folder: Path, job: ArrayJob) -> str:
        """The folder: the script opens a log in it, for PBS delivers its own only at the end."""
        return str(folder)


def _as_path(script: Path) -> str:
    """A script's path, never read as an option."""
    text = str(script)
    return f"./{text}" if text.startswith("-") else text
