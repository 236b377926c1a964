"""status: what became of every slide of a run, and where its attempts are."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from slidearray.core.classes import BY_HAND, FailureClass
from slidearray.core.queue import NOT_ASKED, TaskState, TaskWord
from slidearray.core.verdicts import State
from slidearray.status.advice import advice_on, how, meaning
from slidearray.storage.lock import lock_is_live
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slidearray.core.queue import Ask, QueueLimits
    from slidearray.storage.ledger import AttemptReport, Ledger
    from slidearray.storage.rundir import RunDir

#: States in the order in which they are shown; `rejected` is the plan's word.
STATES = (*(state.value for state in State), "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A slide without features, and why."""

    slide_id: str
    failure: FailureClass
    reason: str
    attempts: int  # 0: the plan rejected it


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSlot:
    """A slot of the newest attempt that did not end well."""

    attempt: int
    slot: int
    how: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStatus:
    """Where one attempt is."""

    number: int
    where: str  # the scheduler, or `here`
    job_ids: tuple[str, ...]  # one a split
    slots: dict[str, int]  # pending, running, ended, unknown
    requeued: int
    sealed: bool
    state: str  # in a word or two
    advance_id: str  # of the job that goes on behind it; empty where there is none
    advance: str  # what that job does; empty where nobody asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Slots that wait in the queue for one reason."""

    reason: str  # the scheduler's word
    slots: int
    advice: str  # what it means, and what can be done


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What became of a run's slides, and where its attempts are."""

    run: str
    attempts: int
    states: dict[str, int]  # every state, also with 0
    classes: dict[str, int]  # failure classes that occur
    tiles: int
    empties: tuple[tuple[str, str], ...]  # slide_id and reason of slides without a tile
    troubles: tuple[Trouble, ...]  # what failed at work first, then what the plan rejected
    by_attempt: tuple[AttemptStatus, ...]
    waiting: tuple[Waiting, ...]
    failed_slots: tuple[FailedSlot, ...]
    fault: str  # why the scheduler did not answer; empty when it did or had nothing to say
    at_work: bool  # something is in a queue, or runs, or may do so
    advice: tuple[str, ...]  # what a person can do next, a line each
    stores: tuple[str, ...]  # those that exist

    @property
    def slides(self) -> int:
        """All slides of the manifest."""
        return sum(self.states.values())

    @property
    def complete(self) -> bool:
        """Whether every slide of the manifest has features, or was found to hold no tissue."""
        return self.states["done"] + self.states["empty"] == self.slides

    @property
    def telling_log(self) -> str:
        """A log that shows why a person has to look; empty where none has to."""
        stopped = any(each.state == "stopped" for each in self.by_attempt[-1:])
        look = stopped or not BY_HAND.isdisjoint(self.classes)
        return self.failed_slots[0].log if look and self.failed_slots else ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        own = {name: getattr(self, name) for name in PLAIN}
        return {
            **own,
            "slides": self.slides,
            "complete": self.complete,
            "empties": [{"slide_id": slide_id, "reason": why} for slide_id, why in self.empties],
            "troubles": [
                {
                    "slide_id": trouble.slide_id,
                    "class": trouble.failure.value,
                    "reason": trouble.reason,
                    "attempts": trouble.attempts,
                }
                for trouble in self.troubles
            ],
            "by_attempt": [asdict(attempt) for attempt in self.by_attempt],
            "waiting": [asdict(waiting) for waiting in self.waiting],
            "failed_slots": [asdict(slot) for slot in self.failed_slots],
        }


#: What of a status is plain as it is.
PLAIN = (
    *("run", "attempts", "states", "classes", "tiles"),
    *("fault", "at_work", "advice", "stores"),
)


def run_status(
    run: RunDir, ledger: Ledger, *, ask: Ask | None = None, limits: QueueLimits = NOT_ASKED
) -> RunStatus:
    """Count a run's slides by state and class, and say where its attempts are.

    Parameters
    ----------
    run
        The run.
    ledger
        What became of its slides.
    ask
        Asks the scheduler for the job that goes on behind the newest attempt, where the ledger
        had nothing to ask for; None: not asked.
    limits
        What the scheduler gives, where it was asked: what wants more cannot go again.
    """
    states = Counter[str](verdict.state for verdict in ledger.verdicts.values())
    states["rejected"] = len(ledger.rejected)
    troubles = _troubles(ledger)
    results = [v.result for v in ledger.verdicts.values() if v.result]
    advance = _advance_word(ledger, ask)
    return RunStatus(
        run=str(run.root),
        attempts=len(run.attempts()),
        states={state: states[state] for state in STATES},
        classes=dict(sorted(Counter(trouble.failure.value for trouble in troubles).items())),
        tiles=sum(result["num_tiles"] for result in results),
        empties=tuple(
            (slide_id, verdict.result.get("reason", "found finished"))
            for slide_id, verdict in ledger.verdicts.items()
            if verdict.state is State.EMPTY and verdict.result
        ),
        troubles=tuple(troubles),
        by_attempt=tuple(_attempt(report, advance, ledger) for report in ledger.attempts),
        waiting=tuple(_waiting(run, ledger)),
        failed_slots=tuple(_failed_slots(run, ledger)),
        fault=ledger.fault or _fault(advance),
        at_work=lock_is_live(run) or _queued(ledger, advance),
        advice=tuple(advice_on(run, ledger, advance, limits=limits)),
        stores=tuple(map(str, _stores(run))),
    )


def with_last_step(status: RunStatus) -> RunStatus:
    """`status` with what to type when all is done but the merging, and nobody is about to do it."""
    over = status.states["done"] + status.states["empty"] + status.states["rejected"]
    if status.at_work or status.stores or not status.attempts or over != status.slides:
        return status
    line = f"not merged yet: `slidearray reduce {status.run}`"
    return replace(status, advice=(*status.advice, line))


def _advance_word(ledger: Ledger, ask: Ask | None) -> TaskWord | None:
    """The scheduler's word on the job behind the newest attempt, which may be merging."""
    newest = ledger.newest
    if newest is None or newest.advance is not None:
        return newest.advance if newest else None
    job = next((job for job in newest.jobs if job.split is None), None)
    if ask is None or job is None or newest.journal.concluded:
        return None
    return ask([job], {(job.job_id, 0)}).of(job.job_id, 0)


def _fault(word: TaskWord | None) -> str:
    return word.reason if word and word.state is TaskState.UNKNOWN else ""


def _queued(ledger: Ledger, advance: TaskWord | None) -> bool:
    alive = advance is not None and advance.state is not TaskState.ENDED
    return alive or any(not report.settled for report in ledger.attempts)


def _attempt(report: AttemptReport, advance: TaskWord | None, ledger: Ledger) -> AttemptStatus:
    journal = report.journal
    word = advance if report is ledger.newest else report.advance
    # Why it is not known is said once, for all.
    said = f" ({word.reason})" if word and word.state is TaskState.PENDING and word.reason else ""
    return AttemptStatus(
        number=report.number,
        where="here" if journal.here or not journal.intent else journal.intent.scheduler,
        job_ids=tuple(job.job_id for job in report.jobs if job.split is not None),
        slots={state.value: report.slots.get(state, 0) for state in TaskState},
        requeued=report.requeued,
        sealed=journal.sealed,
        state=_state(report),
        advance_id=journal.advance_id or "",
        advance=f"{word.state}{said}" if word else "",
    )


def _state(report: AttemptReport) -> str:
    journal = report.journal
    if journal.abandoned:
        return "taken back"
    if not journal.released:
        return "not let go"
    if journal.cancelled:
        return "cancelled"
    if journal.stopped is not None:
        return "stopped"
    if not report.settled:
        told = report.slots.keys() & {TaskState.PENDING, TaskState.RUNNING}
        return "at work" if told else "not known"
    if journal.reduced:
        return "merged"
    return "sealed" if journal.sealed else "ended"


def _waiting(run: RunDir, ledger: Ledger) -> Iterator[Waiting]:
    reasons = Counter[str]()
    for report in ledger.attempts:
        reasons.update(report.pending_reasons)
    for reason, slots in reasons.most_common():
        if reason:
            yield Waiting(reason=reason, slots=slots, advice=meaning(run, reason))


def _failed_slots(run: RunDir, ledger: Ledger) -> Iterator[FailedSlot]:
    newest = ledger.newest
    for slot, outcome in newest.outcomes.items() if newest else ():
        if not (newest and outcome) or outcome.ended_by is FailureClass.CANCELLED:
            continue  # what a person took back did not fail, and mostly has no log
        if told := how(outcome):
            log = run.attempt(newest.number).log(*newest.place(slot))
            yield FailedSlot(attempt=newest.number, slot=slot, how=told, log=str(log))


def _troubles(ledger: Ledger) -> list[Trouble]:
    rejected = [
        Trouble(slide_id=slide.slide_id, failure=slide.failure, reason=slide.reason, attempts=0)
        for slide in ledger.rejected
    ]
    failed = [
        Trouble(
            slide_id=slide_id,
            failure=verdict.failure,
            reason=verdict.reason,
            attempts=verdict.attempts,
        )
        for slide_id, verdict in ledger.verdicts.items()
        if verdict.state is State.FAILED and verdict.failure is not None
    ]
    return failed + rejected


def _stores(run: RunDir) -> list[Path]:
    stores = [run.store(output.label) for output in read_document(run).outputs]
    return [path for path in stores if path.exists()]
