"""The ledger: what became of every slide, from records, journals and the scheduler's word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.classes import CHARGED, PERMANENT, FailureClass
from slidearray.core.events import restarts
from slidearray.core.queue import FORGOTTEN, TaskState, TaskWord
from slidearray.core.verdicts import (
    SlotHistory,
    SlotOutcome,
    Verdict,
    slot_failure,
    verdict,
)
from slidearray.errors import RunError
from slidearray.storage.asking import advance_word, ask_all, slot_words
from slidearray.storage.evidence import read_evidence
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.journal import submitted_jobs
from slidearray.storage.lock import lock_is_live
from slidearray.storage.plan_files import read_rejected
from slidearray.storage.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slidearray.core.classes import Rejected
    from slidearray.core.queue import Ask, SubmittedJob
    from slidearray.storage.asking import Answer
    from slidearray.storage.evidence import Evidence
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import RunDir


#: What `done` and `empty` tell, and what they tell of the file.
RESULT_KEYS = frozenset({"num_tiles", "file"})
FILE_KEYS = frozenset({"path", "size", "sha256", "content_digest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """Where one attempt is."""

    number: int
    journal: AttemptJournal
    jobs: tuple[SubmittedJob, ...]  # those with an id; the advance job last
    slots: dict[TaskState, int]  # how many slots are where; none before they were let go
    outcomes: dict[int, SlotOutcome | None]  # of slots that ended; None: nobody saw how
    pending_reasons: dict[str, int]  # the scheduler's word → slots that wait for it
    advance: TaskWord | None  # the advance job, where the scheduler was asked for it
    requeued: int  # how often the scheduler started a slot again
    histories: tuple[SlotHistory, ...] = field(repr=False)

    @property
    def settled(self) -> bool:
        """Whether every slot ended."""
        return self.slots.keys() <= {TaskState.ENDED}

    @property
    def failures(self) -> list[FailureClass | None]:
        """For each slot the class that all its failures share; None where they do not, or none."""
        return [slot_failure(history) for history in self.histories]

    @property
    def any_done(self) -> bool:
        """Whether a slide was done in it."""
        return any(history.facts.results for history in self.histories)

    @property
    def progressed(self) -> bool:
        """Whether some slide was done in it, or failed in a way that sending it again mends not."""
        return self.any_done or any(
            verdict(slide_id, [history]).failure in CHARGED | PERMANENT
            for history in self.histories
            for slide_id in history.slide_ids
        )

    def place(self, slot: int) -> tuple[int, int]:
        """The split that a slot is in, and which task of it: what its log is named by."""
        return self.journal.intent.place(slot) if self.journal.intent else (0, slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of every slide of a run."""

    verdicts: dict[str, Verdict]  # slide_id → verdict, in manifest order; not the rejected ones
    rejected: list[Rejected]
    attempts: tuple[AttemptReport, ...]  # oldest first
    fault: str  # why the scheduler did not answer; empty when it did or was not asked

    @property
    def newest(self) -> AttemptReport | None:
        """The newest attempt whose slots were let go."""
        return next((r for r in reversed(self.attempts) if r.journal.counts), None)

    @property
    def failed_nodes(self) -> tuple[str, ...]:
        """The nodes that took a slot with them."""
        outcomes = [each for report in self.attempts for each in report.outcomes.values() if each]
        nodes = {o.node for o in outcomes if o.ended_by is FailureClass.NODE_FAILURE and o.node}
        return tuple(sorted(nodes))


def read_ledger(run: RunDir, *, ask: Ask | None = None, relist: bool = False) -> Ledger:
    """Read what became of every slide; never looks at feature files.

    A `done` or `empty` event of a verdict has the `host` that wrote it. While another process holds
    the run's lock, slots of the newest attempt that was run here may still be at work.

    Parameters
    ----------
    run
        The run.
    ask
        Asks the scheduler; called once, when an attempt that is not sealed was submitted to one.
        Without it, slots that the records do not settle are unknown.
    relist
        Let a network file system ask its server again for what the folders of records hold.

    Raises
    ------
    RunError, ManifestError
        A damaged file of the run directory.
    """
    with uncollected():
        found = [read_evidence(run.attempt(number), relist=relist) for number in run.attempts()]
        told = ask_all(found, ask)
        alive = lock_is_live(run)
        reports = [_report(each, told, alive=alive and each is found[-1]) for each in found]
        rejected = read_rejected(run.rejected)
        return Ledger(
            verdicts=_verdicts(run, reports, rejected),
            rejected=rejected,
            attempts=tuple(reports),
            fault=told.word.fault if ask else "",
        )


def _verdicts(
    run: RunDir, reports: Iterable[AttemptReport], rejected: Iterable[Rejected]
) -> dict[str, Verdict]:
    histories: dict[str, list[SlotHistory]] = {}
    for history in (history for report in reports for history in report.histories):
        for slide_id in history.slide_ids:
            histories.setdefault(slide_id, []).append(history)
    refused = {slide.slide_id for slide in rejected}
    return {
        slide_id: _checked(run, slide_id, verdict(slide_id, histories.get(slide_id, ())))
        for slide_id in frozen_manifest(run).column("slide_id")
        if slide_id not in refused
    }


def _checked(run: RunDir, slide_id: str, found: Verdict) -> Verdict:
    """A verdict whose result, if it has one, tells all that is asked of it."""
    if found.result is None:
        return found
    file = found.result.get("file")
    told = file.keys() if isinstance(file, dict) else frozenset[str]()
    if not (found.result.keys() >= RESULT_KEYS and told >= FILE_KEYS):
        lacking = (RESULT_KEYS - found.result.keys()) | (FILE_KEYS - told)
        raise RunError(
            f"{run.root}: the record of {slide_id} is damaged: its result has no "
            f"{', '.join(sorted(lacking))}: {found.result}"
        )
    return found


def _report(found: Evidence, told: Answer, *, alive: bool) -> AttemptReport:
    journal = found.journal
    words = slot_words(found, told, alive=alive)
    histories = tuple(_history(found, slot, each) for slot, each in enumerate(words))
    waiting = (each.reason for each in words if each.state is TaskState.PENDING)
    return AttemptReport(
        number=journal.number,
        journal=journal,
        jobs=tuple(submitted_jobs(journal)),
        slots=dict(Counter(each.state for each in words)),
        outcomes={
            slot: each.outcome for slot, each in enumerate(words) if each.state is TaskState.ENDED
        },
        pending_reasons=dict(Counter(waiting)),
        advance=advance_word(found, told),
        requeued=sum(_requeues(found, slot, each) for slot, each in enumerate(words)),
        histories=histories,
    )


def _history(found: Evidence, slot: int, word: TaskWord) -> SlotHistory:
    why = word.reason if word.state in (TaskState.PENDING, TaskState.UNKNOWN) else ""
    if word.state is TaskState.ENDED and word.outcome is None and not found.journal.here:
        why = FORGOTTEN.reason
    return SlotHistory(
        attempt=found.journal.number,
        executions=found.executions.get(slot, []),
        outcome=word.outcome,
        task=word.state,
        restarts=word.restarts,
        cancelled=found.journal.cancelled,
        slide_ids=found.slots[slot].slide_ids,
        shape=found.slots[slot].shape,
        why=why,
    )


def _requeues(found: Evidence, slot: int, word: TaskWord) -> int:
    recorded = [restarts(events) for events in found.executions.get(slot, ())]
    told = word.outcome.restarts if word.outcome else word.restarts
    return max(told, *recorded, 0)
