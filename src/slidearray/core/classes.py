"""Failure classes: why a slide has no features, and what that means for the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slidearray.errors import SlideError


class FailureClass(StrEnum):
    """Why a slide has no features."""

    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    NODE_FAILURE = "node_failure"
    PREEMPTED = "preempted"
    INTERRUPTED = "interrupted"
    WORKER_ERROR = "worker_error"
    LOST = "lost"
    UNSUPPORTED_SLIDE = "unsupported_slide"
    CORRUPT_SLIDE = "corrupt_slide"
    MISSING_FILE = "missing_file"
    MISSING_MPP = "missing_mpp"
    IMPLAUSIBLE_MPP = "implausible_mpp"
    RESOLUTION_TOO_COARSE = "resolution_too_coarse"
    BAD_PARAMETERS = "bad_parameters"
    BAD_FEATURES = "bad_features"
    NOT_STARTED = "not_started"
    SETUP_FAILED = "setup_failed"
    STORAGE_FULL = "storage_full"
    CANCELLED = "cancelled"


#: The slide itself is at fault: sent again only by `resubmit --include CLASS`, once it was mended.
PERMANENT = frozenset(
    {
        FailureClass.UNSUPPORTED_SLIDE,
        FailureClass.CORRUPT_SLIDE,
        FailureClass.MISSING_FILE,
        FailureClass.MISSING_MPP,
        FailureClass.IMPLAUSIBLE_MPP,
        FailureClass.RESOLUTION_TOO_COARSE,
        FailureClass.BAD_PARAMETERS,
        FailureClass.BAD_FEATURES,
    }
)

#: Something around the slide has to change first: sent again only when a person asks.
BY_HAND = frozenset({FailureClass.SETUP_FAILED, FailureClass.STORAGE_FULL, FailureClass.CANCELLED})

#: Failures that use up one of a slide's `max_attempts`.
CHARGED = frozenset({FailureClass.OUT_OF_MEMORY, FailureClass.TIMEOUT, FailureClass.WORKER_ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A slide of the manifest that was refused before any work on it."""

    slide_id: str
    row: int  # of the manifest, as a spreadsheet counts: the header is row 1
    failure: FailureClass
    reason: str


def rejected_for(error: SlideError, *, slide_id: str, row: int) -> Rejected:
    """The slide of a manifest's row, rejected for `error`."""
    return Rejected(slide_id=slide_id, row=row, failure=error.failure, reason=error.reason)
