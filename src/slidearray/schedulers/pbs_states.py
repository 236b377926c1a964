"""PBS's states and exit statuses, translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import TaskState
from slidearray.core.verdicts import SlotOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class State:
    """A state of a job."""

    task: TaskState
    name: str  # as a person reads it


#: What a state means to us (qstat.1B).
STATES: Mapping[str, State] = {
    "Q": State(TaskState.PENDING, "Queued"),
    "H": State(TaskState.PENDING, "held"),
    "W": State(TaskState.PENDING, "Waiting"),  # for its time, or for files
    "T": State(TaskState.PENDING, "in transit"),  # between two queues
    "B": State(TaskState.RUNNING, "begun"),  # an array, of which a task has begun
    "R": State(TaskState.RUNNING, "running"),
    "S": State(TaskState.RUNNING, "suspended"),
    "U": State(TaskState.RUNNING, "suspended"),  # while somebody is at the keyboard
    "E": State(TaskState.RUNNING, "exiting"),  # its processes may be there yet
    "X": State(TaskState.ENDED, "ended"),  # a task of an array that goes on
    "F": State(TaskState.ENDED, "ended"),
    "M": State(TaskState.UNKNOWN, "moved to another PBS server"),
}
#: A state of a version to come.
UNHEARD_OF = State(TaskState.UNKNOWN, "in a state that is not known")

#: Substates of a job that has ended (openpbs, src/include/job.h).
_FINISHED = 92
TERMINATED = 91  # by qdel, or by a preemption that deletes


@dataclass(frozen=True, slots=True)
class Status:
    """What a negative `Exit_status` tells; it is PBS's own, not the script's."""

    means: str
    ended_by: FailureClass | None = None  # None: it would happen again


_NODE = FailureClass.NODE_FAILURE
#: (openpbs, src/include/job.h; what the server does about each: on_job_rerun and
#: setup_from_obit in src/server/req_jobobit.c)
STATUSES: Mapping[int, Status] = {
    -1: Status("could not be started", _NODE),
    -2: Status("could not be started", _NODE),
    -3: Status("could not be started, and was to be tried again", _NODE),
    -4: Status("its node's PBS was restarted", _NODE),
    -5: Status("its node's PBS was restarted", _NODE),
    -6: Status("its node's PBS was restarted", _NODE),
    -7: Status("could not be restarted", _NODE),
    -10: Status("the node does not know its user or group"),
    -11: Status("was to run again", _NODE),
    -12: Status("was checkpointed and ended", _NODE),
    -13: Status("its password was refused"),
    -14: Status("was to run again", _NODE),
    -15: Status("was to be restarted", _NODE),
    -16: Status("a hook of the site wants it to run later", _NODE),
    -17: Status("a hook of the site deleted it"),
    -18: Status("a hook of the site wants it to run again", _NODE),
    -19: Status("a hook of the site deleted it"),
    -20: Status("its node was not reached", _NODE),
    -21: Status("its folder on the node was not safe"),
    -22: Status("a hook of the site failed", _NODE),
    -23: Status("it had no Kerberos ticket"),
    -24: Status("used more CPUs than it asked for"),
    -25: Status("used more CPUs than it asked for"),
    -26: Status("exceeded resource vmem", FailureClass.OUT_OF_MEMORY),
    -27: Status("exceeded resource mem", FailureClass.OUT_OF_MEMORY),
    -28: Status("exceeded resource cput", FailureClass.TIMEOUT),
    -29: Status("exceeded resource walltime", FailureClass.TIMEOUT),
    -30: Status("its processes could not be joined to it", _NODE),
}
#: A job that cannot run again is given up with its node (openpbs, src/server/node_manager.c).
_NODE_LOST = Status("given up, as with its node", _NODE)
#: A job that ran into one of these while it was deleted was on its way there before.
_LIMITS = (FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT)
#: What PBS adds to a job's comment, for a version that gives another status.
_SAID = {status.means: status for number, status in STATUSES.items() if -29 <= number <= -26}
#: A status above it is the signal that ended the job's shell (openpbs, src/resmom/linux/
#: mom_start.c).
_SIGNAL = 256
_KILLED = 9


def outcome(
    status: int | None, *, substate: int | None, comment: str, node: str, restarts: int
) -> SlotOutcome:
    """How an execution that began has ended.

    Parameters
    ----------
    status, substate, comment
        The job's `Exit_status`, `substate` and `comment`.
    node
        Where it was.
    restarts
        How often it was started before.
    """
    told = _told(status, comment)
    ended_by, code = None, None
    word = "no Exit_status" if status is None else f"Exit_status {status}"
    if told is not None:
        ended_by = told.ended_by
    elif status is not None and status > _SIGNAL:
        code = _SIGNAL - status
        ended_by = FailureClass.OUT_OF_MEMORY if -code == _KILLED else None
    elif status or substate == _FINISHED:
        code = status
    if substate == TERMINATED and (told is None or ended_by not in _LIMITS):
        ended_by, word = FailureClass.CANCELLED, f"terminated, {word}"
    elif told is not None:
        word = f"{told.means} ({word})"
    return SlotOutcome(exit_code=code, ended_by=ended_by, word=word, node=node, restarts=restarts)


def _told(status: int | None, comment: str) -> Status | None:
    """What PBS itself tells of an end; None where only the script does."""
    said = next((said for words, said in _SAID.items() if comment.endswith(words)), None)
    if status is None:
        return said or _NODE_LOST
    return STATUSES.get(status) or (Status("ended by PBS") if status < 0 else said)


def never_began(comment: str, *, wiped: bool = False) -> SlotOutcome:
    """How a task has ended that was deleted, or dropped, before it began.

    Parameters
    ----------
    comment
        What PBS says of it.
    wiped
        Its whole array was deleted: 23.06.06 takes back then what it told of the tasks that had
        ended (seen), so only their records tell that they ran.
    """
    word = "deleted with its array, before it began or after it ended"
    return SlotOutcome(
        exit_code=None,
        ended_by=FailureClass.CANCELLED,
        word=f"{word if wiped else 'deleted before it began'}{f' ({comment})' if comment else ''}",
        unbegun=True,
    )
