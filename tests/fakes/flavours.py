"""The same promise on two schedulers: the fake of each, its programs, and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.cluster import FakeSlurm
from tests.fakes.jobs import AT_ONCE, profile
from tests.fakes.pbs_bed import FakePbs

from slidearray.schedulers.queue import Queue

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.schedulers.queue import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One scheduler with a queue."""

    scheduler: str
    fake: FakeSlurm | FakePbs
    submits: str
    releases: str
    cancels: str
    finds: str  # jobs by their names
    asks: str  # what became of tasks
    timed_out: str  # what a submission says that may have got through
    crowded: str  # what passes
    away: str  # what a question is told while the server is not there
    denied: str  # what stays
    gone: str  # what a cancellation says of a job that has ended
    too_many: str  # a submission that is one too many
    misplaced: str  # a submission to nowhere
    place: str  # the key of a profile that says where
    hold: str  # the option that keeps a job from starting
    #: Submissions that are only asked about come first.
    rehearsals: int

    def queue(self, *, patience: Patience = AT_ONCE, **keys: object) -> Queue:
        """A queue of this scheduler."""
        return Queue(profile(scheduler=self.scheduler, **keys), patience=patience)

    def task_id(self, job_id: str, task: int) -> str:
        """What it calls a task of an array."""
        return f"{job_id}_{task}" if self.scheduler == "slurm" else f"{job_id[:-1]}{task}]"


def slurm(folder: Path) -> Flavour:
    """The fake SLURM."""
    unreachable = "Unable to contact slurm controller (connect failure)"
    return Flavour(
        scheduler="slurm",
        fake=FakeSlurm(folder),
        submits="sbatch",
        releases="scontrol",
        cancels="scancel",
        finds="squeue",
        asks="squeue",
        timed_out=(
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
        ),
        crowded="sbatch: error: Rate limit exceeded, please retry momentarily\n",
        away=f"slurm_load_jobs error: {unreachable}\n",
        denied="Access/permission denied\n",
        gone="scancel: error: Kill job error on job id 9: Invalid job id specified\n",
        too_many=(
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
            "(job submit limit, user's size and/or time limits)\n"
        ),
        misplaced="sbatch: error: invalid partition specified: nope",
        place="partition",
        hold="--hold",
        rehearsals=1,
    )


def pbs(folder: Path) -> Flavour:
    """The fake PBS."""
    return Flavour(
        scheduler="pbs",
        fake=FakePbs(folder, kill_delay_s=0.5),
        submits="qsub",
        releases="qrls",
        cancels="qdel",
        finds="qselect",
        asks="qstat",
        timed_out="qsub: cannot connect to server pbshost (errno=15010)\n",
        crowded="qsub: Server connection table full\n",
        away="cannot connect to server pbshost (errno=15010)\n",
        denied="Unauthorized Request  0.pbshost\n",
        gone="qdel: Unknown Job Id 9.pbshost\n",
        too_many="qsub: would exceed complex's per-user limit\n",
        misplaced="qsub: Unknown queue",
        place="queue",
        hold="-h",
        rehearsals=0,
    )


FLAVOURS = {"slurm": slurm, "pbs": pbs}
SCRIPT = """\
#!/bin/bash
#SBATCH --array=0-2
#SBATCH --output=/dev/null
#PBS -J 0-2
#PBS -j oe
#PBS -o /dev/null
task=${{SLURM_ARRAY_TASK_ID:-$PBS_ARRAY_INDEX}}
echo "task $task" >>'{folder}'/"$task.log"
exit $((task == 1 ? 7 : 0))
"""
