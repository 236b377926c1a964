"""What the answers of a scheduler mean, whatever its words are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

#: A task of a job: the job's id, and the task's number; a plain job's is 0.
Task: TypeAlias = tuple[str, int]


class RefusalKind(StrEnum):
    """What can be done about a refusal."""

    TEMPORARY = "temporary"  # ask again
    LIMIT = "limit"  # fewer tasks, or later
    FINAL = "final"  # the request has to change


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a scheduler did not do what it was asked."""

    kind: RefusalKind
    words: str  # its own, in one line
    advice: str = ""  # what to change; empty when it says that itself
    of_person: bool = False  # how many tasks a person may have queued is the reason, or may be

    def __str__(self) -> str:
        return f"{self.words}; {self.advice}" if self.advice else self.words

    def counted(self, *, queued: int, added: int, most: int) -> Refusal:
        """The same, once it is known how many tasks a person has queued and may have."""
        if queued + added <= most:
            return self
        count = (
            f"{queued} tasks of yours are queued, {added} were to follow, and the limit is {most}"
        )
        return replace(self, kind=RefusalKind.LIMIT, advice=f"{count}: {SUBMIT_LIMIT}")


#: What to do about a limit on how many tasks a person may have queued.
SUBMIT_LIMIT = (
    "so many tasks may not be in the queue, and each task of an array counts: wait until others "
    "have ended, or plan with a smaller `shards.max_tasks`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job that a scheduler took."""

    job_id: str
    cluster: str = ""  # another one than that of this machine
