"""What squeue and sacct print, as text; what it means is told by `slurm_states`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.queue import SubmittedJob, TaskState, TaskWord
from slidearray.schedulers.slurm_states import from_wait_status, outcome, task_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slidearray.schedulers.answers import Task

#: Columns of squeue, and how wide each is printed. The reason is last: it may hold any text.
_QUEUE_COLUMNS = {
    "ArrayJobID": 20,
    "ArrayTaskID": 64,
    "State": 24,
    "exit_code": 12,
    "RestartCnt": 12,
    "NodeList": 100,
    "Name": 40,
    "Reason": 200,
}
QUEUE_FORMAT = ",".join(f"{name}:{width}" for name, width in _QUEUE_COLUMNS.items())
#: Fields of sacct. The name is last: that of a step may hold the separator.
HISTORY_FORMAT = "JobID,State,ExitCode,NodeList,Submit,JobName"
#: What slurmdbd calls a job whose name has not come through yet.
_UNNAMED = "allocation"
#: ``9``, ``9_3``, ``9_[1,4-6%2]``, each alone or with a step: ``.batch``, ``.0``
_JOB_ID = re.compile(r"([0-9]+)(?:_([0-9]+|\[[^\]]*\]?))?(?:\.(.+))?")
#: ``4``, ``4-6``, ``4-8:2``
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")
#: The reason of a job that the scheduler has not come to yet.
_NOT_LOOKED_AT = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What sacct tells."""

    tasks: Mapping[Task, TaskWord] = field(default_factory=dict)
    known: frozenset[str] = frozenset()  # ids of jobs of which it has any task


def task_numbers(text: str) -> list[int]:
    """The tasks of a list as SLURM writes it; those of a list that was cut are told up to there.

    Examples
    --------
    >>> task_numbers("[0,3-5,8-12:2%4]"), task_numbers("[1-2,7-...]")
    ([0, 3, 4, 5, 8, 10, 12], [1, 2])
    """
    numbers: list[int] = []
    for part in text.strip("[]").partition("%")[0].split(","):
        if not (match := _RANGE.fullmatch(part)):
            break
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        numbers += range(first, last + 1, step)
    return numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One line of squeue: a task, or the pending tasks of an array in one."""

    job_id: str
    tasks: str  # a number, a list, or N/A of a plain job
    state: str
    exit_code: str
    restarts: int
    node: str
    name: str
    reason: str


def queue_rows(stdout: str) -> Iterator[QueueRow]:
    """The lines of squeue; what else was printed is passed over."""
    for line in stdout.splitlines():
        cells, begin = {}, 0
        for column, width in _QUEUE_COLUMNS.items():
            cells[column] = line[begin : begin + width].strip()
            begin += width
        status, restarts = cells["exit_code"], cells["RestartCnt"]
        if cells["ArrayJobID"].isdecimal() and status.isdecimal():
            yield QueueRow(
                job_id=cells["ArrayJobID"],
                tasks=cells["ArrayTaskID"],
                state=cells["State"],
                exit_code=from_wait_status(int(status)),
                restarts=int(restarts) if restarts.isdecimal() else 0,
                node=cells["NodeList"],
                name=cells["Name"],
                reason="" if cells["Reason"] == _NOT_LOOKED_AT else cells["Reason"],
            )


def parse_queue(stdout: str, jobs: Sequence[SubmittedJob]) -> dict[Task, TaskWord]:
    """What squeue says of the tasks of `jobs`; a job of another name has a used id."""
    names = {job.job_id: job.name for job in jobs}
    words: dict[Task, TaskWord] = {}
    for row in queue_rows(stdout):
        if names.get(row.job_id) == row.name:
            numbers = [0] if row.tasks == "N/A" else task_numbers(row.tasks)
            words |= {(row.job_id, number): _queue_word(row) for number in numbers}
    return words


def _queue_word(row: QueueRow) -> TaskWord:
    state = task_state(row.state)
    if state is not TaskState.ENDED:
        reason = row.reason if state is TaskState.PENDING else row.state
        return TaskWord(state=state, reason=reason, restarts=row.restarts)
    ended = outcome(row.state, row.exit_code, node=row.node, restarts=row.restarts)
    return TaskWord(state=state, reason=row.state, outcome=ended, restarts=row.restarts)


@dataclass(slots=True, kw_only=True)
class _Execution:
    """One execution of a task, in the accounting."""

    state: str
    exit_code: str
    node: str
    submit: str
    steps: list[tuple[str, str]] = field(default_factory=list)  # name, state

    def word(self, *, restarts: int) -> TaskWord:
        state = task_state(self.state)
        if state is not TaskState.ENDED:
            return TaskWord(state=state, reason=self.state, restarts=restarts)
        ended = outcome(
            self.state, self.exit_code, node=self.node, restarts=restarts, steps=self.steps
        )
        return TaskWord(state=state, reason=self.state, outcome=ended, restarts=restarts)


def parse_history(stdout: str, jobs: Sequence[SubmittedJob]) -> History:
    """What sacct says of the tasks of `jobs`.

    With ``--duplicates`` each execution of a requeued task is a line; the newest one counts. A
    line of an array that names no task is passed over: its last task bears the array's own id, and
    the accounting learns only later which one that is (seen with 22.05).
    """
    names = {job.job_id: job.name for job in jobs}
    arrays = {job.job_id for job in jobs if job.array}
    ran: dict[Task, list[_Execution]] = {}
    together: dict[Task, TaskWord] = {}  # tasks that never began are one line
    known: set[str] = set()
    current: _Execution | None = None  # the steps of a job follow its own line
    for line in stdout.splitlines():
        cells = line.split("|", 5)
        match = _JOB_ID.fullmatch(cells[0])
        if match is None or len(cells) < 6:
            continue
        job_id, tasks, step = match.groups()
        _, state, exit_code, node, submit, name = cells
        if step is not None:
            if current is not None:
                current.steps.append((step, state))
            continue
        current = None
        if job_id not in names or name not in (names[job_id], _UNNAMED):
            continue
        if tasks is None and job_id in arrays:
            continue
        known.add(job_id)
        found = _Execution(state=state, exit_code=exit_code, node=node, submit=submit)
        if tasks is not None and tasks.startswith("["):
            together |= {(job_id, number): found.word(restarts=0) for number in task_numbers(tasks)}
        else:
            current = found
            ran.setdefault((job_id, int(tasks or 0)), []).append(found)
    return History(tasks=together | _newest(ran), known=frozenset(known))


def _newest(ran: dict[Task, list[_Execution]]) -> dict[Task, TaskWord]:
    return {
        task: sorted(executions, key=lambda each: each.submit)[-1].word(
            restarts=len(executions) - 1
        )
        for task, executions in ran.items()
    }
