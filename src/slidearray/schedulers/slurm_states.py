"""SLURM's states and exit codes, translated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import TaskState
from slidearray.core.verdicts import SlotOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What a state means to us (https://slurm.schedmd.com/job_state_codes.html).
STATES: Mapping[str, TaskState] = {
    "PENDING": TaskState.PENDING,
    "REQUEUED": TaskState.PENDING,
    "REQUEUE_FED": TaskState.PENDING,
    "REQUEUE_HOLD": TaskState.PENDING,
    "RESV_DEL_HOLD": TaskState.PENDING,
    "SPECIAL_EXIT": TaskState.PENDING,  # requeued and held, by a prolog or a person
    "LAUNCH_FAILED": TaskState.PENDING,  # requeued and held
    "RECONFIG_FAIL": TaskState.PENDING,
    "EXPEDITING": TaskState.PENDING,  # first in the queue, after its epilog failed
    "RUNNING": TaskState.RUNNING,
    "CONFIGURING": TaskState.RUNNING,  # it has nodes, and they boot
    "POWER_UP_NODE": TaskState.RUNNING,
    "COMPLETING": TaskState.RUNNING,  # processes may be left, and its exit code is not final
    "RESIZING": TaskState.RUNNING,
    "SIGNALING": TaskState.RUNNING,
    "STAGE_OUT": TaskState.RUNNING,
    "STOPPED": TaskState.RUNNING,
    "SUSPENDED": TaskState.RUNNING,
    "COMPLETED": TaskState.ENDED,
    "FAILED": TaskState.ENDED,
    "OUT_OF_MEMORY": TaskState.ENDED,
    "TIMEOUT": TaskState.ENDED,
    "NODE_FAIL": TaskState.ENDED,
    "BOOT_FAIL": TaskState.ENDED,
    "PREEMPTED": TaskState.ENDED,
    "CANCELLED": TaskState.ENDED,
    "DEADLINE": TaskState.ENDED,
    "REVOKED": TaskState.ENDED,  # a sibling runs on another cluster of the federation
}
#: Ends that are a class of ours.
_CLASSES = {
    "OUT_OF_MEMORY": FailureClass.OUT_OF_MEMORY,
    "TIMEOUT": FailureClass.TIMEOUT,
    "NODE_FAIL": FailureClass.NODE_FAILURE,
    "BOOT_FAIL": FailureClass.NODE_FAILURE,
    "PREEMPTED": FailureClass.PREEMPTED,
    "CANCELLED": FailureClass.CANCELLED,
    "DEADLINE": FailureClass.CANCELLED,  # a person set it: `scontrol update Deadline=`
    "REVOKED": FailureClass.CANCELLED,
}
#: Real-time signals end here; what SLURM puts above (0:125, out of memory) is none.
#: What sacct has for the node of a task that never started.
_NO_NODE = "None assigned"
#: A "signal" by which SLURM tells that a script was not even started, such as for want of its log.
_NOT_LAUNCHED = 53
_LAST_SIGNAL = 64


def base_state(text: str) -> str:
    """The state alone.

    Examples
    --------
    >>> base_state("CANCELLED by 1000"), base_state("CANCELLED+"), base_state("")
    ('CANCELLED', 'CANCELLED', '')
    """
    return text.split()[0].rstrip("+") if text.strip() else ""


def task_state(text: str) -> TaskState:
    """Where a task in such a state is; a state of a version to come is `UNKNOWN`."""
    return STATES.get(base_state(text), TaskState.UNKNOWN)


def from_wait_status(status: int) -> str:
    """``code:signal`` of an exit status as the kernel gives it, which squeue prints.

    Examples
    --------
    >>> from_wait_status(768), from_wait_status(9), from_wait_status(253)  # 253: a core, and 125
    ('3:0', '0:9', '0:125')
    """
    return f"{status >> 8 & 0xFF}:{status & 0x7F}"


def outcome(
    state: str, exit_code: str, *, node: str, restarts: int, steps: Sequence[tuple[str, str]] = ()
) -> SlotOutcome:
    """How an execution ended: the worst of the job and its steps.

    Parameters
    ----------
    state
        The job's.
    exit_code
        The job's, as ``code:signal``.
    node
        Where it was.
    restarts
        How often it was requeued before.
    steps
        Name and state of each step: one that was out of memory leaves the job FAILED, or even
        COMPLETED, when the script went on.
    """
    starved = [name for name, word in steps if base_state(word) == "OUT_OF_MEMORY"]
    own = _CLASSES.get(base_state(state))
    word = state if exit_code in ("0:0", "") else f"{state} {exit_code}"
    if starved and own not in (FailureClass.OUT_OF_MEMORY, FailureClass.CANCELLED):
        own, word = FailureClass.OUT_OF_MEMORY, f"{word}, its step {starved[0]} OUT_OF_MEMORY"
    node = "" if node == _NO_NODE else node
    return SlotOutcome(
        exit_code=_exit_code(exit_code, completed=base_state(state) == "COMPLETED"),
        ended_by=own,
        word=word,
        node=node,
        restarts=restarts,
        unbegun=own is FailureClass.CANCELLED and not node,
    )


def _exit_code(text: str, *, completed: bool) -> int | None:
    """The exit code as `subprocess` has it; None where SLURM's zero says nothing."""
    code, _, signum = text.partition(":")
    if not (code.isdecimal() and signum.isdecimal()):
        return None
    if int(signum):
        real = int(signum) <= _LAST_SIGNAL and int(signum) != _NOT_LAUNCHED
        return -int(signum) if real else None
    return int(code) or (0 if completed else None)
