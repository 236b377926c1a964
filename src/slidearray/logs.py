"""logs: the log of a slot, of the slot that took a slide, or of the job behind all slots."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.events import restarts
from slidearray.core.ids import printable
from slidearray.core.queue import TaskState, TaskWord
from slidearray.errors import RunError
from slidearray.schedulers.dialect import queue_dialect_for
from slidearray.storage.configs import run_profile
from slidearray.storage.journal import read_attempt_journal, submitted_jobs
from slidearray.storage.lock import lock_is_live
from slidearray.storage.plan_files import read_rejected
from slidearray.storage.records import read_record
from slidearray.storage.slots import read_slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slidearray.core.queue import Ask, SubmittedJob
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import AttemptDir, RunDir

#: What stands for the job that goes on when an attempt has ended.
ADVANCE = "advance"
LOOK_S = 2.0
#: The scheduler is asked at every so many looks, and only where no record tells the end.
LOOKS_PER_QUESTION = 15
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """Where a log is, or will be."""

    path: Path
    attempt: int
    slot: int | None  # None: the job that goes on behind the slots
    task: int  # of its job
    job: SubmittedJob | None  # None: run here, without a scheduler
    job_name: str = ""  # the job as the scheduler's commands take it, with its task in an array
    notes: tuple[str, ...] = ()  # what else the name that was asked for could mean


def find_log(run: RunDir, what: str, *, attempt: int | None = None) -> FoundLog:
    """Find the log that a person means.

    Parameters
    ----------
    run
        The run.
    what
        A slide_id, the number of a slot, or ``advance``; a slide of that very name comes first.
    attempt
        Of this attempt, not of the newest one that has it.

    Raises
    ------
    RunError
        When there is no such slide, slot or attempt, or nothing of it was ever sent.
    """
    journals = _journals(run, attempt)
    own = [] if what != ADVANCE else _advance_logs(run, journals)
    if what.isascii() and what.isdecimal():
        own = _slot_logs(run, journals[-1], slot=int(what))
    for journal in reversed(journals):
        if (slot := _slot_of(run.attempt(journal.number), what)) is not None:
            return _found(run, journal, slot, notes=tuple(f"{_named(log)}" for log in own))
    if own:
        return own[-1]
    raise RunError(_why_none(run, what, journals))


def _journals(run: RunDir, number: int | None) -> list[AttemptJournal]:
    """Journals of the attempts that may have logs, oldest first."""
    numbers = run.attempts()
    if number is not None and number not in numbers:
        there = ", ".join(map(str, numbers)) or "none"
        raise RunError(f"--attempt {number}: there is no such attempt; there are: {there}")
    asked = numbers if number is None else [number]
    journals = [read_attempt_journal(run.attempt(each)) for each in asked]
    sent = [journal for journal in journals if journal.counts]
    if not sent:
        what = "nothing was submitted yet" if number is None else f"attempt {number} was never sent"
        raise RunError(f"{run.root}: {what}, so there are no logs")
    return sent


def _slot_of(attempt: AttemptDir, slide_id: str) -> int | None:
    """The slot of an attempt that has the slide."""
    for slot in read_slots(attempt.slots):
        if any(slide.slide_id == slide_id for slide in slot.slides):
            return slot.slot
    return None


def _slot_logs(run: RunDir, journal: AttemptJournal, *, slot: int) -> list[FoundLog]:
    splits = journal.intent.splits if journal.intent else ()
    known = any(split.offset <= slot < split.offset + split.count for split in splits)
    return [_found(run, journal, slot)] if known else []


def _advance_logs(run: RunDir, journals: list[AttemptJournal]) -> list[FoundLog]:
    return [
        FoundLog(
            path=run.attempt(journal.number).advance_log,
            attempt=journal.number,
            slot=None,
            task=0,
            job=job,
            job_name=_job_name(run, job, 0),
        )
        for journal in journals
        for job in [next((each for each in submitted_jobs(journal) if each.split is None), None)]
        if journal.intent and journal.intent.advance
    ]


def _found(
    run: RunDir, journal: AttemptJournal, slot: int, *, notes: tuple[str, ...] = ()
) -> FoundLog:
    index, task = journal.intent.place(slot) if journal.intent else (0, slot)
    jobs = {job.split: job for job in submitted_jobs(journal)}
    return FoundLog(
        path=run.attempt(journal.number).log(index, task),
        attempt=journal.number,
        slot=slot,
        task=task,
        job=jobs.get(index),
        job_name=_job_name(run, jobs.get(index), task),
        notes=notes,
    )


def _job_name(run: RunDir, job: SubmittedJob | None, task: int) -> str:
    if job is None:
        return ""
    if not job.array:
        return job.job_id
    return queue_dialect_for(run_profile(run)).task_id(job.job_id, task)


def _named(log: FoundLog) -> str:
    what = f"slot {log.slot}" if log.slot is not None else "the job that goes on"
    return f"{what} of attempt {log.attempt} has the same name; its log is {log.path}"


def _why_none(run: RunDir, what: str, journals: list[AttemptJournal]) -> str:
    for slide in read_rejected(run.rejected):
        if slide.slide_id == what:
            return (
                f"{what}: rejected by the plan as {slide.failure} ({slide.reason}), so it was "
                "never sent and has no log"
            )
    newest = journals[-1]
    if what == ADVANCE:
        return f"attempt {newest.number} was run here: no job goes on behind it"
    slots = sum(split.count for split in newest.intent.splits) if newest.intent else 0
    return (
        f"{what}: no slide of {'this attempt' if len(journals) == 1 else 'these attempts'}, and no "
        f"slot of attempt {newest.number}, which has 0 to {slots - 1}; `{ADVANCE}` is the job that "
        "goes on behind the slots"
    )


class Ending:
    """Whether a slot, or the job behind the slots, has ended: by records, then by the scheduler.

    Parameters
    ----------
    run, log
        The run, and what is followed of it.
    ask
        Asks the scheduler; None where there is none to ask.
    """

    def __init__(self, run: RunDir, log: FoundLog, *, ask: Ask | None) -> None:
        self._run = run
        self._log = log
        self._ask = ask
        self._looks = 0
        self.word: TaskWord | None = None  # the scheduler's newest, when it was asked

    def seen(self) -> bool:
        """Look; cheap, and the scheduler is bothered at some looks only."""
        attempt = self._run.attempt(self._log.attempt)
        journal = read_attempt_journal(attempt)
        if journal.sealed and self._log.slot is not None:
            return True
        if self._log.slot is not None and (self._log.slot in journal.ends or self._finished()):
            return True
        if self._log.job is None:
            return not lock_is_live(self._run)
        return self._told_by_scheduler(self._log.job)

    def _finished(self) -> bool:
        """Whether the newest execution wrote that it came to its end."""
        attempt, slot = self._run.attempt(self._log.attempt), self._log.slot or 0
        folder = attempt.record(slot, "").parent
        records = [read_record(path) for path in sorted(folder.glob(f"{slot}.*.jsonl"))]
        newest = max(reversed(records), key=restarts, default=[])
        return any(event["event"] == "finished" for event in newest)

    def _told_by_scheduler(self, job: SubmittedJob) -> bool:
        if self._ask is None:
            return True
        if self._looks % LOOKS_PER_QUESTION == 0:
            key = (job.job_id, self._log.task)
            self.word = self._ask([job], {key}).of(*key)
        self._looks += 1
        return self.word is not None and self.word.state is TaskState.ENDED


def follow(path: Path, *, over: Callable[[], bool], wait: Callable[[float], None]) -> Iterator[str]:
    """The text of a log, and what is added to it until it is `over`; it need not be there yet.

    What would steer a terminal is written out, bytes that are no UTF-8 are replaced, and a
    carriage return ends a line.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    lines = io.IncrementalNewlineDecoder(decoder, translate=True)
    position = 0
    while True:
        ended = over()  # before the last look, so that nothing written until then is missed
        # Opened anew each time: an NFS client learns of what others appended only then.
        for block in _blocks(path, position):
            position += len(block)
            yield _harmless(lines.decode(block))
        if ended:
            yield _harmless(lines.decode(b"", final=True))
            return
        wait(LOOK_S)


def _blocks(path: Path, position: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            while block := file.read(BLOCK_BYTES):
                yield block
    except FileNotFoundError:
        return


def _harmless(text: str) -> str:
    parts = text.split("\n")
    return "\n".join(part if part.isprintable() else printable(part) for part in parts)


def why_missing(log: FoundLog, word: TaskWord | None) -> str:
    """Where a log that is not there was looked for, and what that means."""
    job = f"job {log.job_name}" if log.job else f"slot {log.slot}"
    expected = f"{log.path}: no log there: "
    if log.job is None:
        return f"{expected}{job} has not started, or its log was removed"
    if word is not None and word.state is TaskState.PENDING:
        reason = f" ({word.reason})" if word.reason else ""
        return f"{expected}{job} has not started: pending{reason}"
    if word is not None and word.state is TaskState.UNKNOWN:
        return f"{expected}{job} may not have started: {word.reason}"
    if word is not None and word.outcome and word.outcome.ended_by is FailureClass.CANCELLED:
        return f"{expected}{job} was cancelled before it wrote one"
    return (
        f"{expected}{job} ended without one; it is written on the node, which has to see that "
        "path and to be allowed to write there: `slidearray doctor --submit` checks it"
    )
