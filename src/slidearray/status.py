"""status: what became of every slide of a run, from records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass
from slidearray.core.resending import resend
from slidearray.core.verdicts import State
from slidearray.storage.configs import run_config
from slidearray.storage.journal import last_released
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slidearray.storage.ledger import Ledger
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
class RunStatus:
    """What became of a run's slides."""

    run: str
    attempts: int
    states: dict[str, int]  # every state, also with 0
    classes: dict[str, int]  # failure classes that occur
    tiles: int
    empties: tuple[tuple[str, str], ...]  # slide_id and reason of slides without a tile
    troubles: tuple[Trouble, ...]  # what failed at work first, then what the plan rejected
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

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run,
            "slides": self.slides,
            "complete": self.complete,
            "attempts": self.attempts,
            "states": self.states,
            "classes": self.classes,
            "tiles": self.tiles,
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
            "advice": list(self.advice),
            "stores": list(self.stores),
        }


def run_status(run: RunDir, ledger: Ledger) -> RunStatus:
    """Count a run's slides by state and class.

    Parameters
    ----------
    run
        The run.
    ledger
        What became of its slides.
    """
    states = Counter(verdict.state.value for verdict in ledger.verdicts.values())
    states["rejected"] = len(ledger.rejected)
    troubles = _troubles(ledger)
    results = [v.result for v in ledger.verdicts.values() if v.result]
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
        advice=tuple(_advice(run, ledger)),
        stores=tuple(str(path) for path in _stores(run)),
    )


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


def _advice(run: RunDir, ledger: Ledger) -> Iterator[str]:
    """What a person can do about the slides without features."""
    states = {verdict.state for verdict in ledger.verdicts.values()}
    if last_released(run) is None:
        yield f"not submitted yet: `slidearray submit {run.root}`"
    elif states & {State.RUNNING, State.PENDING}:
        yield "slots are at work"
    again, for_good = _sorted_out(run, ledger)
    if again:
        yield f"{again} can go again: `slidearray resubmit {run.root}`"
    for failure, count in sorted(for_good.items()):
        yield (
            f"{count} failed for good with {failure}: mend them, then "
            f"`slidearray resubmit {run.root} --include {failure}`"
        )
    if ledger.rejected:
        yield (
            f"{len(ledger.rejected)} rejected by the plan: mend them, then plan into another "
            "run directory (--run-dir); this one is frozen"
        )


def _sorted_out(run: RunDir, ledger: Ledger) -> tuple[int, Counter[FailureClass]]:
    """How many slides `resubmit` would send, and the classes of those that it would not."""
    retry = run_config(run).retry_policy()
    again, for_good = 0, Counter[FailureClass]()
    for slide_id, verdict in ledger.verdicts.items():
        if verdict.failure is None:
            continue
        if resend(slide_id, verdict, retry=retry, include=frozenset(), by_hand=True):
            again += 1
        else:
            for_good[verdict.failure] += 1
    return again, for_good


def _stores(run: RunDir) -> list[Path]:
    stores = [run.store(output.label) for output in read_document(run).outputs]
    return [path for path in stores if path.exists()]
