"""What became of each slide: the rules, without any file.

A slide's verdict is read from what its slots wrote (records) and how they ended (the submitter's
or the scheduler's word). Records outrank the scheduler; a success in any attempt is final.
"""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from slidearray.core.classes import CHARGED, PERMANENT, FailureClass
from slidearray.core.exits import ExitCode, ended_in_words
from slidearray.core.facts import Facts, Told, facts
from slidearray.core.queue import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from slidearray.core.events import Event
    from slidearray.core.shapes import Shape

#: Something ended the work from outside: it goes on when somebody says so.
UNFINISHED = frozenset(
    {
        FailureClass.INTERRUPTED,
        FailureClass.LOST,
        FailureClass.NODE_FAILURE,
        FailureClass.NOT_STARTED,
        FailureClass.PREEMPTED,
    }
)
#: The scheduler's words on a slot that are charged to the slide in flight, first things first.
_SCHEDULER = (
    FailureClass.OUT_OF_MEMORY,
    FailureClass.TIMEOUT,
    FailureClass.NODE_FAILURE,
    FailureClass.PREEMPTED,
)
#: Of a slot that never got to its worker these say that setting up took too much.
_TOO_MUCH = frozenset({FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT})
_SIGNALS = frozenset(signal.Signals)


class State(StrEnum):
    """What became of a slide so far."""

    DONE = "done"
    EMPTY = "empty"  # no tissue: a success
    FAILED = "failed"
    RUNNING = "running"
    PENDING = "pending"
    UNKNOWN = "unknown"  # the scheduler does not tell, and no record settles it


_RESULTS = {state.value: state for state in (State.DONE, State.EMPTY)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOutcome:
    """How the newest execution of a slot ended, as told by who started it."""

    exit_code: int | None  # negative: ended by that signal, as subprocess has it; None: not told
    ended_by: FailureClass | None = None  # the scheduler's word, where it is one of ours
    word: str = ""  # the scheduler's own
    node: str = ""
    restarts: int = 0  # requeues before that execution, as far as the scheduler tells
    unbegun: bool = False  # as far as the scheduler tells, it never began

    def to_json(self) -> dict[str, Any]:
        """Plain values, for journals and seals."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What `to_json` wrote; `KeyError`, `TypeError` or `ValueError` where it is damaged."""
        code = raw["exit_code"]
        ended_by = raw.get("ended_by")
        if raw.get("timed_out"):  # as journals of the first version had it
            ended_by = FailureClass.TIMEOUT
        return cls(
            exit_code=None if code is None else int(code),
            ended_by=FailureClass(ended_by) if ended_by else None,
            word=raw.get("word", ""),
            node=raw.get("node", ""),
            restarts=raw.get("restarts", 0),
            unbegun=raw.get("unbegun", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotHistory:
    """One slot of one attempt, with all that is known of it."""

    attempt: int
    executions: Sequence[Sequence[Event]]  # oldest first; events of the whole slot
    outcome: SlotOutcome | None  # None: nobody saw it end
    task: TaskState
    cancelled: bool  # with its whole attempt
    slide_ids: tuple[str, ...]  # in the order of work
    shape: Shape
    restarts: int = 0  # requeues so far, as far as the scheduler tells
    why: str = ""  # why its task is pending, not known or forgotten, as the scheduler has it
    facts: Facts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: a slot is asked about each of its slides.
        end = self.outcome
        told = Told(
            restarts=max(self.restarts, end.restarts if end else 0),
            node=end.node if end else "",
            exit_code=end.exit_code if end else None,
            at_work=self.task is TaskState.RUNNING,
        )
        found = facts(self.executions, slide_ids=self.slide_ids, told=told)
        object.__setattr__(self, "facts", found)

    @property
    def end(self) -> SlotOutcome | None:
        """How it ended; None where the scheduler denies a beginning that the records tell of.

        A scheduler that lost a task's data tells of it as of one that was deleted in the queue.
        """
        denied = self.outcome is not None and self.outcome.unbegun and self.facts.started
        return None if denied else self.outcome


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
    newer: Verdict | None = None  # of the newest attempt, where the result is of an older one


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
    said = newest = None
    attempts = charged = 0
    for history in histories:
        if slide_id in history.facts.slides:
            finding = _finding(slide_id, history)
            attempts += 1
            charged += finding.failure in CHARGED
            newest = finding, history
            if said is None or finding.result or not said[0].result:
                said = newest
    if said is None or newest is None:
        return _NEVER_SENT
    told = _told(*said, charged=charged, attempts=attempts)
    if newest is said:
        return told
    return replace(told, newer=_told(*newest, charged=charged, attempts=attempts))


def _told(finding: _Finding, history: SlotHistory, *, charged: int, attempts: int) -> Verdict:
    return Verdict(
        state=finding.state,
        failure=finding.failure,
        reason=finding.reason,
        charged=charged,
        attempts=attempts,
        result=finding.result,
        shape=history.shape,
        alone=len(history.slide_ids) == 1,
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


# Not frozen: that takes three times as long to make, and a large run makes many.
@dataclass(slots=True, kw_only=True)
class _Finding:
    """What one attempt says of one slide."""

    state: State
    failure: FailureClass | None = None
    reason: str = ""
    result: Event | None = None


def _finding(slide_id: str, history: SlotHistory) -> _Finding:
    """One attempt's word: of all that applies, what comes first in the order of precedence."""
    known = history.facts
    if result := known.results.get(slide_id):
        return _Finding(state=_RESULTS[result["event"]], result=result)
    own = known.by_slide.get(slide_id, [])
    last = None if known.silent else known.newest.get(slide_id)
    failures = {failure_class(event): event.get("reason", "") for event in own if _failed(event)}
    for failure in sorted(PERMANENT & failures.keys()):
        return _failure(failure, failures[failure])
    if history.task is not TaskState.ENDED:
        return _not_ended(history, own, begun=last == "slide_started")
    return (
        _stopped(history, failures)
        or _ended_by_scheduler(history, failures, caught=last in ("slide_started", "interrupted"))
        or _ended_by_itself(history, own, failures=failures)
        or _unfinished(history, started=bool(own), caught=last == "slide_started")
    )


def _not_ended(history: SlotHistory, own: list[Event], *, begun: bool) -> _Finding:
    """A slot that may go on: what its slide told last still holds."""
    # One that was requeued does its slides again: what it told before holds no more.
    if own and _failed(own[-1]) and not (history.facts.silent or history.task is TaskState.PENDING):
        return _failure(failure_class(own[-1]), own[-1].get("reason", ""))
    if history.task is TaskState.RUNNING:
        return _Finding(state=State.RUNNING if begun else State.PENDING)
    unknown = history.task is TaskState.UNKNOWN
    return _Finding(state=State.UNKNOWN if unknown else State.PENDING, reason=history.why)


def _stopped(history: SlotHistory, failures: dict[FailureClass, str]) -> _Finding | None:
    """No room to write, or a person stopped it."""
    outcome = history.end
    if FailureClass.STORAGE_FULL in failures:
        return _failure(FailureClass.STORAGE_FULL, failures[FailureClass.STORAGE_FULL])
    if outcome and outcome.exit_code == ExitCode.STORAGE_FULL and not failures:
        # A full file system may have refused the record too.
        return _failure(FailureClass.STORAGE_FULL, "the worker could not write (exit code 74)")
    if history.cancelled:
        return _failure(FailureClass.CANCELLED, "the attempt was cancelled")
    if outcome and outcome.ended_by is FailureClass.CANCELLED:
        return _failure(FailureClass.CANCELLED, f"its array task was cancelled{_own_word(outcome)}")
    return None


def _ended_by_scheduler(
    history: SlotHistory, failures: dict[FailureClass, str], *, caught: bool
) -> _Finding | None:
    """What kills a slot is charged to the slide it was `caught` with."""
    told = dict(failures)
    end = history.end
    if caught and end and end.ended_by:
        told.setdefault(end.ended_by, _killed(end, history.shape))
    return next(
        (_failure(failure, told[failure]) for failure in _SCHEDULER if failure in told), None
    )


def _killed(outcome: SlotOutcome, shape: Shape) -> str:
    where = f" on {outcome.node}" if outcome.node else ""
    match outcome.ended_by:
        case FailureClass.OUT_OF_MEMORY:
            return f"killed: more than {shape.memory_mb} MB"
        case FailureClass.TIMEOUT:
            return f"not ended within {shape.walltime}"
        case FailureClass.NODE_FAILURE:
            return f"the node failed{where}{_own_word(outcome)}"
    return f"stopped by the scheduler{where}{_own_word(outcome)}"


def _ended_by_itself(
    history: SlotHistory, own: list[Event], *, failures: dict[FailureClass, str]
) -> _Finding | None:
    """The setup failed, or the worker wrote what happened."""
    known, outcome = history.facts, history.end
    if known.setup_fault is not None and not known.silent:
        return _failure(FailureClass.SETUP_FAILED, known.setup_fault)
    if outcome and _left_early(outcome, known):
        return _failure(
            FailureClass.SETUP_FAILED, f"the job script ended before the worker: {_end(outcome)}"
        )
    for event in own:
        if event["event"] == "interrupted":
            return _failure(FailureClass.INTERRUPTED, event.get("reason", ""))
    return next((_failure(failure, reason) for failure, reason in failures.items()), None)


def _left_early(outcome: SlotOutcome, known: Facts) -> bool:
    """Whether a script ended before it got to the worker, and nobody else ended it."""
    if known.started and not (known.silent and outcome.exit_code != ExitCode.COMPLETE):
        return False
    if outcome.ended_by:
        return outcome.ended_by in _TOO_MUCH
    code = outcome.exit_code
    if code is None:
        return True
    # A signal that is none tells of a job that could not be launched.
    told = -code in _SIGNALS or code in (ExitCode.INTERRUPTED, ExitCode.STORAGE_FULL)
    told = told or code - 128 in (signal.SIGKILL, signal.SIGTERM)  # as a shell around it tells
    return not told


def _unfinished(history: SlotHistory, *, started: bool, caught: bool) -> _Finding:
    """No word of its own about the slide's end."""
    outcome = history.end
    if outcome and outcome.exit_code == ExitCode.COMPLETE and history.facts.started:
        return _failure(FailureClass.LOST, "its slot ended well, and no record tells what it did")
    if caught and outcome and outcome.exit_code == ExitCode.INTERRUPTED:
        return _failure(FailureClass.INTERRUPTED, "the worker was told to stop (exit code 75)")
    if caught and outcome:
        return _failure(
            FailureClass.WORKER_ERROR, f"the worker ended on this slide: {_end(outcome)}"
        )
    if outcome is None and history.why:
        return _failure(FailureClass.LOST, history.why)
    if started:
        return _failure(FailureClass.LOST, "begun, and nothing tells how it ended")
    end = f" ({_end(outcome)})" if outcome else ""
    return _failure(FailureClass.NOT_STARTED, f"its slot ended before it began{end}")


def _end(outcome: SlotOutcome) -> str:
    if outcome.ended_by or outcome.exit_code is None:
        return outcome.word or outcome.ended_by or "no exit code is known"
    return ended_in_words(outcome.exit_code)


def _own_word(outcome: SlotOutcome) -> str:
    return f" ({outcome.word})" if outcome.word else ""


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
