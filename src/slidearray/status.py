"""status: what became of every slide of a run, from records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.verdicts import State
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.classes import FailureClass
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
    troubles: tuple[Trouble, ...]
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
            "troubles": [
                {
                    "slide_id": trouble.slide_id,
                    "class": trouble.failure.value,
                    "reason": trouble.reason,
                    "attempts": trouble.attempts,
                }
                for trouble in self.troubles
            ],
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
        troubles=tuple(troubles),
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
    return rejected + failed


def _stores(run: RunDir) -> list[Path]:
    stores = [run.store(output.label) for output in read_document(run).outputs]
    return [path for path in stores if path.exists()]
