"""A run directory with attempts and records, as tests of the ledger and of seals need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support import run_document

from slidearray.core.classes import FailureClass, Rejected
from slidearray.storage.journal import Journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.manifest import read_manifest
from slidearray.storage.plan_files import write_rejected
from slidearray.storage.records import RecordWriter
from slidearray.storage.rundir import RunDir, write_document
from slidearray.storage.slots import Slot, SlotSlide, write_slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.queue import Ask

SHAPE = {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}
RecordEvent = tuple[str, dict[str, Any]]
STARTED: RecordEvent = ("started", {"host": "node7"})
ADVANCE = "sv-1"


def begun(slide_id: str) -> RecordEvent:
    return ("slide_started", {"slide_id": slide_id})


def done(slide_id: str, **fields: Any) -> RecordEvent:
    file = {"path": "f.h5", "size": 1, "sha256": "s", "content_digest": "c"}
    told = {"slide_id": slide_id, "num_tiles": 3, "reused": False, "file": file}
    return ("done", {**told, **fields})


def failed(slide_id: str, failure: str) -> RecordEvent:
    return ("failed", {"slide_id": slide_id, "failure": failure, "reason": "why"})


def planned_run(folder: Path) -> RunDir:
    """A run of the slides d, c, b, a (in that order), x rejected."""
    run = RunDir(root=folder / "run", project=folder)
    run.plan_dir.mkdir(parents=True)
    rows = "".join(f"{slide_id},{slide_id}.svs\n" for slide_id in "dcxba")
    run.manifest.write_text(f"slide_id,path\n{rows}")
    bad = Rejected(slide_id="x", row=4, failure=FailureClass.MISSING_FILE, reason="no file")
    write_rejected(run.rejected, [bad])
    write_document(run, run_document(manifest_digest=read_manifest(run.manifest).digest))
    return run


def begin_attempt(
    run: RunDir, number: int, *shards: str, jobs: Sequence[str] | None = None, whole: bool = True
) -> Journal:
    """An attempt with a slot a text, a slide a letter.

    With `jobs` it was submitted to a scheduler: one job a slot, with that id, and one that goes on.
    One that is not `whole` was stopped before all of it was submitted.
    """
    attempt = run.attempt(number)
    attempt.root.mkdir(parents=True)
    slots = [
        Slot(
            slot=k, shape=SHAPE, slides=tuple(SlotSlide(slide_id=slide, path="p") for slide in ids)
        )
        for k, ids in enumerate(shards)
    ]
    write_slots(attempt.slots, slots)
    journal = Journal(attempt.journal)
    if jobs is None:
        journal.append("intent", slots=len(slots), scheduler="local")
    else:
        names = [f"sa-{number}-{k}" for k in range(len(slots))]
        splits = [[k, 1, False] for k in range(len(slots))]
        intent = {"slots": len(slots), "scheduler": "slurm", "here": False, "host": "login"}
        journal.append("intent", **intent, names=names, splits=splits, advance=ADVANCE)
        for split, job_id in enumerate(jobs):
            journal.append("submitted", split=split, job_id=job_id)
        journal.append("advance", job_id="99")
    if whole:
        journal.append("committed")
        journal.append("released")
    return journal


def record(run: RunDir, number: int, slot: int, *events: RecordEvent, token: str = "t") -> None:
    """What one execution of a slot wrote."""
    with RecordWriter(run.attempt(number).record(slot, token)) as writer:
        for event, fields in events:
            writer.write(event, **fields)


def ended(journal: Journal, slot: int, exit_code: int = 0) -> None:
    journal.append("slot_ended", slot=slot, exit_code=exit_code)


def classes(run: RunDir, ask: Ask | None = None) -> dict[str, str]:
    """The class of each slide, or its state where it did not fail."""
    return {
        slide_id: str(verdict.failure or verdict.state)
        for slide_id, verdict in read_ledger(run, ask=ask).verdicts.items()
    }
