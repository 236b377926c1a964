"""An attempt run on this machine: written down, watched, and given up when nothing can work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import TaskState
from slidearray.core.resending import breaker
from slidearray.core.shapes import Shape
from slidearray.core.verdicts import SlotHistory, State, slot_failure
from slidearray.schedulers.dialect import dialect_for
from slidearray.schedulers.environment import clean_environment
from slidearray.schedulers.limits import local_window
from slidearray.schedulers.local import LocalTask, run_tasks
from slidearray.storage.files import remove_partials
from slidearray.storage.journal import read_attempt_journal
from slidearray.storage.records import RecordTail
from slidearray.submitter.beginning import claim, write_down

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.core.profile import Profile
    from slidearray.core.verdicts import SlotOutcome
    from slidearray.storage.journal import Journal
    from slidearray.submitter.attempts import PreparedAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A fault that is not a slide's: a person has to look."""

    failure: FailureClass
    log: Path  # of a slot that failed with it
    early: bool  # slot after slot failed with it, so the others were not started


def run_here(
    prepared: PreparedAttempt, *, on_events: Callable[[list[Event]], None]
) -> Stopped | None:
    """Run an attempt's scripts on this machine and wait; the caller holds the run's lock.

    Parameters
    ----------
    prepared
        The attempt.
    on_events
        Called with the new events of its records, several times a second.

    Returns
    -------
    Stopped or None
        What slot after slot failed with, or that a slot could not be set up.

    Raises
    ------
    RunError
        When another submitter has just begun the same attempt.
    KeyboardInterrupt
        When this process was told to end; every slot has ended by then.
    """
    journal = _begin(prepared)
    watch = _Watch(prepared, journal)
    run_tasks(
        local_tasks(prepared),
        window=_window(prepared.profile),
        ended=watch.ended,
        tick=lambda: on_events(watch.new_events()),
    )
    on_events(watch.new_events())
    return watch.stopped


class _Watch:
    """What an attempt's slots do while they run: its journal, and the circuit breaker."""

    def __init__(self, prepared: PreparedAttempt, journal: Journal) -> None:
        self.stopped: Stopped | None = None
        self._prepared = prepared
        self._journal = journal
        self._tail = RecordTail(prepared.folder)
        self._events: dict[int, list[Event]] = {}  # by slot
        self._untold: list[Event] = []
        self._failures: list[FailureClass | None] = []  # of slots, in order of ending
        self._any_done = prepared.any_done

    def new_events(self) -> list[Event]:
        """Events since the last call."""
        self._look()
        events, self._untold = self._untold, []
        return events

    def ended(self, slot: int, outcome: SlotOutcome | None) -> bool:
        """Journal a slot's end; False when the attempt should start no further slot."""
        self._journal.append("slot_ended", slot=slot, **(outcome.to_json() if outcome else {}))
        self._look()
        failure = slot_failure(self._history(slot, outcome))
        self._failures.append(failure)
        log = _log(self._prepared, slot)
        if failure is FailureClass.SETUP_FAILED and not self.stopped:
            self.stopped = Stopped(failure=failure, log=log, early=False)
        common = breaker(self._failures, len(self._prepared.slots), any_done=self._any_done)
        if common and not (self.stopped and self.stopped.early):
            self.stopped = Stopped(failure=common, log=log, early=True)
            self._journal.append("stopped", reason=f"slot after slot failed: {common}")
        return common is None

    def _look(self) -> None:
        for slot, event in self._tail.new_events():
            self._events.setdefault(slot, []).append(event)
            self._untold.append(event)
            self._any_done |= event["event"] in (State.DONE, State.EMPTY)

    def _history(self, slot: int, outcome: SlotOutcome | None) -> SlotHistory:
        """The slot as it ended; it had one execution, since nothing requeues it here."""
        sent = self._prepared.slots[slot]
        return SlotHistory(
            attempt=self._prepared.number,
            executions=[self._events[slot]] if slot in self._events else [],
            outcome=outcome,
            task=TaskState.ENDED,
            cancelled=False,
            slide_ids=tuple(slide.slide_id for slide in sent.slides),
            shape=Shape(**sent.shape),
        )


def _begin(prepared: PreparedAttempt) -> Journal:
    journal = claim(prepared)
    write_down(prepared, journal, here=True)
    if not _on_clusters(prepared):
        # Under the run's lock nobody writes features now: what is unfinished is of the killed.
        remove_partials(prepared.run.features_dir)
    journal.append("committed")
    journal.append("released")
    return journal


def _on_clusters(prepared: PreparedAttempt) -> bool:
    """Whether slots of an earlier attempt may be at work under a scheduler."""
    run = prepared.run
    journals = [read_attempt_journal(run.attempt(number)) for number in run.attempts()]
    return any(each.counts and not (each.here or each.sealed) for each in journals)


def _log(prepared: PreparedAttempt, slot: int) -> Path:
    """The log of a slot: of its place in the array it belongs to."""
    job = next(job for job in reversed(prepared.jobs) if job.offset <= slot)
    return prepared.folder.log(job.index, slot - job.offset)


def _window(profile: Profile) -> int:
    window = local_window(profile.cpus_per_task)
    return min(window, profile.max_running) if profile.max_running else window


def local_tasks(prepared: PreparedAttempt) -> list[LocalTask]:
    """The slots of an attempt, each as the profile's scheduler would begin and end it."""
    dialect = dialect_for(prepared.profile)
    environment = clean_environment(os.environ)
    return [
        LocalTask(
            slot=job.offset + task,
            script=prepared.folder.script(job.index),
            arguments=tuple(dialect.task_arguments(job, task)),
            environment={**environment, **dialect.task_environment(job, task)},
            walltime_s=job.shape.walltime_s,
            kill_wait_s=dialect.kill_wait_s,
            log=prepared.folder.log(job.index, task),
        )
        for job in prepared.jobs
        for task in range(job.count)
    ]
