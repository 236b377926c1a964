"""What qstat prints as JSON; what it means is told by `pbs_states`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from slidearray.core.queue import TaskState, TaskWord
from slidearray.schedulers.pbs_ids import bare
from slidearray.schedulers.pbs_states import (
    STATES,
    TERMINATED,
    UNHEARD_OF,
    State,
    never_began,
    outcome,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slidearray.core.queue import SubmittedJob
    from slidearray.schedulers.answers import Task

#: One job, queue, node or server, as qstat and pbsnodes print it.
Attributes: TypeAlias = "Mapping[str, Any]"

#: The environment of a job, which no question of ours is about. Versions before 23.12 print a
#: value such as 007 or 1e999 bare, and so no JSON.
_ENVIRONMENT = re.compile(r'("Variable_List"\s*:\s*)\{.*?^\s*\}', re.MULTILINE | re.DOTALL)
#: ``on Sun Nov 22 12:28:47 2026``, ``at Sun Nov 22 at 12:28``
_DATE = re.compile(r"\s*\b(?:on|at) [A-Z][a-z]{2} [A-Z][a-z]{2} +\d+(?: at)? [\d:]+(?: \d{4})?")
#: What the comment of a job says of the time before it was requeued.
_OF_BEFORE = ("Job run", "Job was sent", "Job Array Began")
_QUEUED = "Queued"
_REQUEUED = "requeued"
#: A job behind others, as `slidearray.status.advice` knows it.
_BEHIND = "Dependency"


def answer(stdout: str, kind: str) -> dict[str, Attributes] | None:
    """The objects that qstat or pbsnodes printed, by name; None where it printed no answer.

    Parameters
    ----------
    stdout
        JSON, as far as PBS gets it right: bytes that are no UTF-8 were replaced, control
        characters may stand as they are.
    kind
        The key that holds them: Jobs, Queue, Server or nodes.
    """
    text = stdout[max(stdout.find("{"), 0) :]
    for attempt in (text, _ENVIRONMENT.sub(r"\1{}", text)):
        try:
            raw, _ = json.JSONDecoder(strict=False).raw_decode(attempt)
        except ValueError:
            continue
        if isinstance(raw, dict):
            found = raw.get(kind, {})
            return {name: each for name, each in found.items() if isinstance(each, dict)}
    return None


def number(value: object) -> int | None:
    """A whole number, which PBS prints with or without quotes."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: object) -> str:
    """A text; one that looks like a number was printed as one."""
    return "" if value is None else str(value)


def parse_job(
    told: Mapping[str, Attributes], job: SubmittedJob, *, history: bool
) -> dict[Task, TaskWord]:
    """What a server says of the tasks of one job; of a job of another name, which got its id: {}.

    Parameters
    ----------
    told
        What qstat printed of it.
    job
        The job that was asked for.
    history
        Whether the server remembers ended jobs. One that does not shows a task that has ended as
        it shows one that was deleted before it began, with the array's own attributes; such a
        task is left out.
    """
    jobs = {bare(job_id): each for job_id, each in told.items()}
    own = jobs.get(job.job_id)
    if own is None or text(own.get("Job_Name")) != job.name:
        return {}
    if not job.array:
        word = _word(own, history=history)
        return {} if word is None else {(job.job_id, 0): word}
    words = {}
    for task in range(job.count):
        word = _subjob_word(jobs.get(_subjob_id(job.job_id, task)), own, history=history)
        if word is not None:
            words[job.job_id, task] = word
    return words


def _subjob_id(array_id: str, task: int) -> str:
    return array_id.replace("[]", f"[{task}]")


def _subjob_word(own: Attributes | None, array: Attributes, *, history: bool) -> TaskWord | None:
    """The word on one task of an array; None where the server has forgotten it."""
    if own is not None and (own.get("job_state") != "Q" or number(own.get("run_count"))):
        wiped = number(array.get("substate")) == TERMINATED
        return _word(own, history=history, wiped=wiped)
    # One that waits is told of with the attributes of its array, or not at all.
    state = _state(array).task
    if state is TaskState.PENDING:
        return _word(array, history=history)
    if own is not None:
        return TaskWord(state=TaskState.PENDING, reason=_hold(array) or _QUEUED)
    if state is TaskState.ENDED:
        return None
    return TaskWord(state=TaskState.UNKNOWN, reason="qstat does not list it with its array")


def _word(own: Attributes, *, history: bool, wiped: bool = False) -> TaskWord | None:
    """The word on a job that stands for one task; `wiped`: qdel may have made it look unbegun."""
    state, runs = _state(own), number(own.get("run_count")) or 0
    if state.task is TaskState.PENDING:
        return TaskWord(state=state.task, reason=_pending_reason(own), restarts=runs)
    restarts = max(runs - 1, 0)
    if state.task is not TaskState.ENDED:
        return TaskWord(state=state.task, reason=state.name, restarts=restarts)
    comment = text(own.get("comment"))
    if runs and _cut_off(own):
        return None
    if runs:
        end = outcome(
            number(own.get("Exit_status")),
            substate=number(own.get("substate")),
            comment=comment,
            node=text(own.get("exec_host")).partition("/")[0],
            restarts=restarts,
        )
    elif history:
        said = "" if comment.startswith("Subjob") else without_dates(comment)
        end = never_began(said, wiped=wiped)
    else:
        return None
    return TaskWord(state=state.task, reason=end.word or state.name, outcome=end, restarts=restarts)


def _cut_off(own: Attributes) -> bool:
    """Whether a job ended with the PBS of its node, which tells of it as of one that ended well.

    It says nothing then, and has used nothing (seen with 23.06.06).
    """
    used = own.get("resources_used")
    nothing = isinstance(used, dict) and (used.get("cput"), used.get("mem")) == ("00:00:00", "0kb")
    return nothing and number(own.get("Exit_status")) == 0 and not own.get("comment")


def _state(own: Attributes) -> State:
    return STATES.get(text(own.get("job_state")), UNHEARD_OF)


def _pending_reason(own: Attributes) -> str:
    """Why a job waits: its hold, the scheduler's comment, or its state."""
    comment = without_dates(text(own.get("comment")))
    match own.get("job_state"):
        case "H":
            return _hold(own) or "held"
        case "Q" if comment.startswith(_OF_BEFORE):
            return _REQUEUED
        case "Q":
            return comment or _QUEUED
    return _state(own).name


def _hold(own: Attributes) -> str:
    """What holds a job, or an array with all its tasks; empty when nothing does."""
    kinds = set(text(own.get("Hold_Types"))) - {"n"}
    if not kinds:
        return ""
    if "u" in kinds:
        return "held"
    if kinds == {"s"} and "after" in text(own.get("depend")):
        return _BEHIND
    comment = without_dates(text(own.get("comment")))
    return comment if "held" in comment.lower() else f"held by PBS ({''.join(sorted(kinds))})"


def without_dates(comment: str) -> str:
    """A comment that stays the same as long as its meaning does.

    Examples
    --------
    >>> without_dates("Job held by root on Sun Nov 22 12:28:47 2026")
    'Job held by root'
    """
    return _DATE.sub("", comment)


def is_true(value: object) -> bool:
    """Whether a switch is on; PBS prints ``True``, with quotes or without."""
    return text(value) == "True"
