"""The journal of an attempt: what was submitted, and how its slots ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slidearray.core.queue import SubmittedJob
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import RunError
from slidearray.storage.files import append_line, json_line, parse_events, utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.storage.rundir import AttemptDir, RunDir


class Journal:
    """An append-only list of events, written by the holder of the run's lock.

    Parameters
    ----------
    path
        ``AttemptDir.journal``; made by the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **fields: Any) -> None:
        """Append one event with the time of writing; it is on disk when this returns."""
        append_line(self.path, json_line({"event": event, "time": utc_now(), **fields}))

    def read(self) -> list[Event]:
        """All events, oldest first; none when nothing was written yet.

        Raises
        ------
        RunError
            A damaged line, other than an unfinished last one.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return parse_events(data, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The slots of one job."""

    offset: int
    count: int
    array: bool  # False: a plain job, of one slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an attempt was to submit, written before anything was."""

    slots: int | None  # None: written by a version that did not say
    scheduler: str
    here: bool  # run on `host` by its submitter, not by a scheduler
    host: str
    names: tuple[str, ...]  # of the jobs, split by split
    splits: tuple[Split, ...]
    advance: str | None  # the advance job's name; None: there is none
    by: str = ""  # id of the job that submitted it; empty where a person did
    cluster: str = ""  # that it was submitted to

    def place(self, slot: int) -> tuple[int, int]:
        """The split that a slot is in, and which task of it: what its log is named by."""
        for index, split in enumerate(self.splits):
            if split.offset <= slot < split.offset + split.count:
                return index, slot - split.offset
        return 0, slot  # the first version wrote no splits, and seldom had two


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotEnd:
    """That a slot ended, as its submitter noticed."""

    outcome: SlotOutcome | None  # None: nobody saw how


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptJournal:
    """What a journal says, each thing once."""

    number: int
    intent: Intent | None = None
    job_ids: dict[int, str] = field(default_factory=dict)  # by split
    advance_id: str | None = None
    committed: bool = False
    released: bool = False
    abandoned: bool = False
    cancelled: bool = False
    stopped: str | None = None  # why no further slot was started
    sealed: bool = False
    reduced: bool = False  # its advance job merged the run
    ends: dict[int, SlotEnd] = field(default_factory=dict)  # by slot; of what was run here

    @property
    def counts(self) -> bool:
        """Whether its slots run, or will: all of it is in the queue, and nobody took it back.

        Jobs may have run before it was written down that they were released.
        """
        return (self.committed or self.released) and not self.abandoned

    @property
    def concluded(self) -> bool:
        """Whether nothing goes on behind it by itself."""
        return self.reduced or self.cancelled or self.stopped is not None

    @property
    def here(self) -> bool:
        """Whether its submitter ran it, without a scheduler."""
        return self.intent is None or self.intent.here


def read_attempt_journal(attempt: AttemptDir) -> AttemptJournal:
    """What an attempt's journal says; nothing when there is none yet.

    Raises
    ------
    RunError
        A damaged line, or one that lacks what belongs to it.
    """
    events = Journal(attempt.journal).read()
    last = {event["event"]: event for event in events}
    try:
        return AttemptJournal(
            number=attempt.number,
            intent=_intent(last["intent"]) if "intent" in last else None,
            job_ids={e["split"]: e["job_id"] for e in events if e["event"] == "submitted"},
            advance_id=last["advance"]["job_id"] if "advance" in last else None,
            **{name: name in last for name in _MARKS},
            stopped=last["stopped"]["reason"] if "stopped" in last else None,
            ends={e["slot"]: _slot_end(e) for e in events if e["event"] == "slot_ended"},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{attempt.journal}: an event is damaged: {error!r}") from None


_MARKS = ("committed", "released", "abandoned", "cancelled", "sealed", "reduced")


def _slot_end(event: Event) -> SlotEnd:
    return SlotEnd(outcome=SlotOutcome.from_json(event) if "exit_code" in event else None)


def _intent(event: Event) -> Intent:
    """An `intent` event; the first version wrote two fields, and ran everything here."""
    if len(event.get("names", ())) != len(event.get("splits", ())):
        raise ValueError(f"names and splits of {event}")
    return Intent(
        slots=event.get("slots"),
        scheduler=event.get("scheduler", "local"),
        here=event.get("here", True),
        host=event.get("host", ""),
        names=tuple(event.get("names", ())),
        splits=tuple(
            Split(offset=offset, count=count, array=array)
            for offset, count, array in event.get("splits", ())
        ),
        advance=event.get("advance"),
        by=event.get("by", ""),
        cluster=event.get("cluster", ""),
    )


def submitted_jobs(journal: AttemptJournal) -> list[SubmittedJob]:
    """The jobs of an attempt that have an id, split by split; the advance job last."""
    intent = journal.intent
    if intent is None:
        return []
    jobs = [
        SubmittedJob(
            job_id=journal.job_ids[index],
            name=name,
            attempt=journal.number,
            split=index,
            offset=split.offset,
            count=split.count,
            array=split.array,
            cluster=intent.cluster,
        )
        for index, (name, split) in enumerate(zip(intent.names, intent.splits, strict=True))
        if index in journal.job_ids
    ]
    if journal.advance_id is not None:
        jobs.append(
            SubmittedJob(
                job_id=journal.advance_id,
                name=intent.advance or "",
                attempt=journal.number,
                split=None,
                offset=0,
                count=1,
                array=False,
                cluster=intent.cluster,
            )
        )
    return jobs


def last_committed(run: RunDir) -> int | None:
    """The newest attempt whose slots run, or will; None when there is none."""
    for number in reversed(run.attempts()):
        if read_attempt_journal(run.attempt(number)).counts:
            return number
    return None
