"""Whether this job is the one that its attempt counts on; a stray one leaves the slides alone.

A submission command can outlive its killed submitter, so that a job is in the queue twice. The
journal names the one that counts.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.storage.journal import read_attempt_journal

if TYPE_CHECKING:
    from slidearray.schedulers.environment import JobIdentity
    from slidearray.storage.journal import AttemptJournal
    from slidearray.storage.rundir import AttemptDir
    from slidearray.worker.signals import Signals

#: How long a network file system may show a journal without its newest lines.
PATIENCE_S = 90.0
#: Between two looks at such a journal.
LOOK_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Why a job is not the one that counts."""

    job_id: str
    expected: tuple[str, ...]  # ids of the jobs that may work on the slot; none: nobody may

    @property
    def reason(self) -> str:
        """In one line."""
        if not self.expected:
            return f"job {self.job_id}: its attempt was abandoned"
        return f"job {self.job_id}: the slot belongs to job {', '.join(self.expected)}"


def superseded(
    attempt: AttemptDir,
    slot: int,
    *,
    identity: JobIdentity | None,
    signals: Signals,
    patience_s: float = PATIENCE_S,
) -> Superseded | None:
    """Why this job is not to work on a slot; None when nothing speaks against it.

    A journal that cannot be read speaks against nobody: slides done twice come out the same, and
    slides that nobody does are missing.

    Parameters
    ----------
    attempt, slot
        What the job was started for.
    identity
        The job; None outside of one: nobody else starts it then.
    signals
        End the patience.
    patience_s
        How long a journal that names another job is read again: our own id may not show yet.
    """
    until = time.monotonic() + patience_s
    while found := _look(attempt, slot, identity):
        left = until - time.monotonic()
        if not found.expected or left <= 0 or signals.stop or signals.drain:
            return found
        select.select([signals.fileno()], [], [], min(LOOK_S, left))
        signals.quiet()
    return None


def _look(attempt: AttemptDir, slot: int, identity: JobIdentity | None) -> Superseded | None:
    if identity is None:
        return None
    try:
        journal = read_attempt_journal(attempt)
    except (RunError, OSError):
        return None
    expected = _expected(journal, slot)
    if expected is None or identity.job_id in expected:
        return None
    return Superseded(job_id=identity.job_id, expected=tuple(expected))


def _expected(journal: AttemptJournal, slot: int) -> list[str] | None:
    """Ids of the jobs that may work on a slot; None when the journal does not tell."""
    if journal.intent is None or journal.intent.here:
        return None
    if journal.abandoned:
        return []
    ids = [
        journal.job_ids[index]
        for index, split in enumerate(journal.intent.splits)
        if index in journal.job_ids and split.offset <= slot < split.offset + split.count
    ]
    return ids or None
