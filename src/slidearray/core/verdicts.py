"""What became of each slide: the rules, without any file.

A slide's verdict is read from what its slots wrote (records) and how they ended (the submitter's
or the scheduler's word). Records outrank the scheduler; a success in any attempt is final.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from slidearray.core.classes import CHARGED, PERMANENT, FailureClass
from slidearray.core.exits import ExitCode, ended_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slidearray.core.events import Event
    from slidearray.core.shapes import Shape

#: Something ended the work from outside: it goes on when somebody says so.
UNFINISHED = frozenset({FailureClass.INTERRUPTED, FailureClass.LOST, FailureClass.NOT_STARTED})
_SCHEDULER = (
    FailureClass.OUT_OF_MEMORY,
    FailureClass.TIMEOUT,
    FailureClass.NODE_FAILURE,
    FailureClass.PREEMPTED,
)


class State(StrEnum):
    """What became of a slide so far."""

    DONE = "done"
    EMPTY = "empty"  # no tissue: a success
    FAILED = "failed"
    RUNNING = "running"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOutcome:
    """How the newest execution of a slot ended, as told by who started it."""

    exit_code: int  # negative: ended by that signal, as subprocess has it
    timed_out: bool
    out_of_memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """The events of a slot, sorted for questions about one slide."""

    started: bool  # some execution got as far as its first record
    setup_fault: str | None  # of the newest execution
    by_slide: dict[str, list[Event]]  # over all executions, oldest first
    newest: dict[str, str]  # slide -> name of its last event in the newest execution


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotHistory:
    """One slot of one attempt, with all that is known of it."""

    attempt: int
    executions: Sequence[Sequence[Event]]  # oldest first; events of the whole slot
    outcome: SlotOutcome | None  # None: nobody saw it end
    alive: bool  # queued or running
    cancelled: bool
    slide_ids: tuple[str, ...]  # in the order of work
    shape: Shape
    facts: _Facts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: a slot is asked about each of its slides.
        object.__setattr__(self, "facts", _facts(self.executions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one slide over all attempts."""

    state: State
    failure: FailureClass | None
    reason: str  # one line; empty for a success
    charged: int  # attempts that used up budget
    attempts: int  # attempts that were sent with this slide
    result: Event | None  # the `done` or `empty` event
    shape: Shape | None  # of its last slot; None when it was never sent
    alone: bool  # its last slot held only this slide


def verdict(slide_id: str, histories: Sequence[SlotHistory]) -> Verdict:
    """What became of a slide.

    A success is final, the newest one where there are several (a lost file was made anew); without
    one the newest attempt speaks.

    Parameters
    ----------
    slide_id
        The slide.
    histories
        The slots that were to do it (others are passed over), oldest attempt first.
    """
    own = [history for history in histories if slide_id in history.slide_ids]
    findings = [_finding(slide_id, history) for history in own]
    if not own:
        return _NEVER_SENT
    successes = [k for k, finding in enumerate(findings) if finding.result]
    spoke = successes[-1] if successes else len(own) - 1
    return Verdict(
        state=findings[spoke].state,
        failure=findings[spoke].failure,
        reason=findings[spoke].reason,
        charged=sum(finding.failure in CHARGED for finding in findings),
        attempts=len(own),
        result=findings[spoke].result,
        shape=own[spoke].shape,
        alone=len(own[spoke].slide_ids) == 1,
    )


def exit_code(verdicts: Iterable[Verdict], *, rejected: int) -> ExitCode:
    """How far a run is: the exit code of the commands that work on it.

    Parameters
    ----------
    verdicts
        Of every slide that the plan accepted.
    rejected
        How many the plan did not.
    """
    found = list(verdicts)
    failures = {one.failure for one in found if one.failure}
    if FailureClass.SETUP_FAILED in failures:
        return ExitCode.SETUP_FAILED
    if FailureClass.STORAGE_FULL in failures:
        return ExitCode.STORAGE_FULL
    if failures & UNFINISHED:
        return ExitCode.INTERRUPTED
    done = all(one.state in (State.DONE, State.EMPTY) for one in found)
    return ExitCode.COMPLETE if done and not rejected else ExitCode.INCOMPLETE


def slot_failure(history: SlotHistory) -> FailureClass | None:
    """The class that all failures of a slot share; None when it has none, or several.

    Slides behind the one that ended the slot say nothing, unless there are no others.
    """
    found = {verdict(slide_id, [history]).failure for slide_id in history.slide_ids} - {None}
    spoke = found - {FailureClass.NOT_STARTED} or found
    return spoke.pop() if len(spoke) == 1 else None


_NEVER_SENT = Verdict(
    state=State.PENDING,
    failure=None,
    reason="",
    charged=0,
    attempts=0,
    result=None,
    shape=None,
    alone=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What one attempt says of one slide."""

    state: State
    failure: FailureClass | None = None
    reason: str = ""
    result: Event | None = None


def _facts(executions: Sequence[Sequence[Event]]) -> _Facts:
    counted = [
        events
        for events in executions
        if not any(event["event"] == "superseded" for event in events)
    ]
    newest = counted[-1] if counted else ()
    by_slide: dict[str, list[Event]] = {}
    for event in (event for events in counted for event in events if "slide_id" in event):
        by_slide.setdefault(event["slide_id"], []).append(event)
    faults = [event.get("reason", "") for event in newest if event["event"] == "setup_failed"]
    return _Facts(
        started=any(event["event"] == "started" for events in counted for event in events),
        setup_fault=faults[-1] if faults else None,
        by_slide=by_slide,
        newest={event["slide_id"]: event["event"] for event in newest if "slide_id" in event},
    )


def _finding(slide_id: str, history: SlotHistory) -> _Finding:
    """One attempt's word: of all that applies, what comes first in the order of precedence."""
    own = history.facts.by_slide.get(slide_id, [])
    last = history.facts.newest.get(slide_id)
    failures = {failure_class(event): event.get("reason", "") for event in own if _failed(event)}
    for event in reversed(own):
        if event["event"] in (State.DONE, State.EMPTY):
            return _Finding(state=State(event["event"]), result=event)
    for failure in sorted(PERMANENT & failures.keys()):
        return _failure(failure, failures[failure])
    if history.alive and own and _failed(own[-1]):
        return _failure(failure_class(own[-1]), own[-1].get("reason", ""))
    if history.alive:
        return _Finding(state=State.RUNNING if last == "slide_started" else State.PENDING)
    return (
        _stopped(history, failures)
        or _ended_by_scheduler(history, failures, caught=last in ("slide_started", "interrupted"))
        or _ended_by_itself(history, own, failures=failures)
        or _unfinished(history, started=bool(own), caught=last == "slide_started")
    )


def _stopped(history: SlotHistory, failures: dict[FailureClass, str]) -> _Finding | None:
    """No room to write, or a person stopped it."""
    outcome = history.outcome
    if FailureClass.STORAGE_FULL in failures:
        return _failure(FailureClass.STORAGE_FULL, failures[FailureClass.STORAGE_FULL])
    if outcome and outcome.exit_code == ExitCode.STORAGE_FULL and not failures:
        # A full file system may have refused the record too.
        return _failure(FailureClass.STORAGE_FULL, "the worker could not write (exit code 74)")
    if history.cancelled:
        return _failure(FailureClass.CANCELLED, "the attempt was cancelled")
    return None


def _ended_by_scheduler(
    history: SlotHistory, failures: dict[FailureClass, str], *, caught: bool
) -> _Finding | None:
    """Out of memory or time; what kills a slot is charged to the slide it was `caught` with."""
    shape, outcome = history.shape, history.outcome
    told = dict(failures)
    if outcome and outcome.out_of_memory and caught:
        told.setdefault(FailureClass.OUT_OF_MEMORY, f"killed: more than {shape.memory_mb} MB")
    if outcome and outcome.timed_out and caught:
        told.setdefault(FailureClass.TIMEOUT, f"not ended within {shape.walltime}")
    return next(
        (_failure(failure, told[failure]) for failure in _SCHEDULER if failure in told), None
    )


def _ended_by_itself(
    history: SlotHistory, own: list[Event], *, failures: dict[FailureClass, str]
) -> _Finding | None:
    """The setup failed, or the worker wrote what happened."""
    facts, outcome = history.facts, history.outcome
    if facts.setup_fault is not None:
        return _failure(FailureClass.SETUP_FAILED, facts.setup_fault)
    if outcome and not facts.started and _left_early(outcome):
        return _failure(
            FailureClass.SETUP_FAILED,
            f"the job script ended before the worker: {ended_in_words(outcome.exit_code)}",
        )
    for event in own:
        if event["event"] == "interrupted":
            return _failure(FailureClass.INTERRUPTED, event.get("reason", ""))
    return next((_failure(failure, reason) for failure, reason in failures.items()), None)


def _left_early(outcome: SlotOutcome) -> bool:
    """Whether a script that never got to the worker ended by itself, and not by a signal."""
    told = outcome.timed_out or outcome.exit_code in (ExitCode.INTERRUPTED, ExitCode.STORAGE_FULL)
    return outcome.exit_code >= 0 and not told


def _unfinished(history: SlotHistory, *, started: bool, caught: bool) -> _Finding:
    """No word of its own about the slide's end."""
    outcome = history.outcome
    if caught and outcome and outcome.exit_code == ExitCode.INTERRUPTED:
        return _failure(FailureClass.INTERRUPTED, "the worker was told to stop (exit code 75)")
    if caught and outcome:
        return _failure(
            FailureClass.WORKER_ERROR,
            f"the worker ended on this slide: {ended_in_words(outcome.exit_code)}",
        )
    if started:
        return _failure(FailureClass.LOST, "begun, and nothing tells how it ended")
    end = f" ({_end(outcome)})" if outcome else ""
    return _failure(FailureClass.NOT_STARTED, f"its slot ended before it began{end}")


def _end(outcome: SlotOutcome) -> str:
    return ended_in_words(outcome.exit_code)


def _failed(event: Event) -> bool:
    return bool(event["event"] == "failed")


def failure_class(event: Event) -> FailureClass:
    """The class of a `failed` event; one that this version does not know is `worker_error`."""
    try:
        return FailureClass(str(event.get("failure")))
    except ValueError:
        return FailureClass.WORKER_ERROR


def _failure(failure: FailureClass, reason: str) -> _Finding:
    return _Finding(state=State.FAILED, failure=failure, reason=reason)
