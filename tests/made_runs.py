"""Run directories made by hand: what a submitter, workers and nobody else would have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import run_document

from slidearray.core.classes import FailureClass, Rejected
from slidearray.storage.journal import Journal
from slidearray.storage.manifest import read_manifest, write_manifest
from slidearray.storage.plan_files import write_rejected
from slidearray.storage.records import RecordWriter
from slidearray.storage.rundir import RunDir, write_document
from slidearray.storage.slots import Slot, SlotSlide, write_slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHAPE = {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}
CONFIG = {
    "version": 1,
    "manifest": "manifest.csv",
    "run_dir": "run",
    "tiles": {"tile_size": 256, "level": 0},
    "encoder": {"name": "color-texture"},
}
LOCAL = {"version": 1, "name": "local", "scheduler": "local", "walltime": 60, "memory": "1G"}
SLURM = {**LOCAL, "name": "ours", "scheduler": "slurm"}


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run directory, and what is added to it."""

    run: RunDir

    def attempt(
        self,
        number: int,
        *shards: str,
        jobs: Sequence[str] = (),
        advance: str = "",
        until: str = "released",
    ) -> Journal:
        """An attempt of shards such as ``"ab c"``; with `jobs`, the ids of its splits, on SLURM.

        The shards are dealt to the jobs in equal numbers.
        """
        attempt = self.run.attempt(number)
        attempt.root.mkdir(parents=True)
        write_slots(attempt.slots, [_slot(k, shard) for k, shard in enumerate(shards)])
        journal = Journal(attempt.journal)
        share = len(shards) // max(len(jobs), 1)
        journal.append(
            "intent",
            slots=len(shards),
            scheduler="slurm" if jobs else "local",
            here=not jobs,
            host="login",
            names=[f"sa-{k}" for k in range(len(jobs) or 1)],
            splits=[[k * share, share, share > 1 and bool(jobs)] for k in range(len(jobs) or 1)],
            advance="sv-1" if advance else None,
        )
        for split, job_id in enumerate(jobs):
            journal.append("submitted", split=split, job_id=job_id)
        if advance:
            journal.append("advance", job_id=advance)
        for event in ("committed", "released"):
            if until == "begun":
                break
            journal.append(event)
        return journal

    def record(
        self, number: int, slot: int, *events: tuple[str, dict[str, Any]], token: str = "t"
    ) -> None:
        """What an execution of a slot wrote."""
        with RecordWriter(self.run.attempt(number).record(slot, token)) as record:
            record.write("started", host="node7")
            for event, fields in events:
                record.write(event, **fields)

    def log(self, number: int, split: int, task: int) -> Path:
        """Where a task's log is; its folder is made."""
        path = self.run.attempt(number).log(split, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def make_run(folder: Path, slides: str, *, rejected: str = "", slurm: bool = True) -> MadeRun:
    """A planned run of slides with names of one letter, some of them rejected by the plan."""
    run = RunDir(root=folder / "run", project=folder)
    run.plan_dir.mkdir(parents=True)
    names = list(slides + rejected)
    rows = [{"slide_id": name, "path": f"{name}.svs"} for name in names]
    write_manifest(run.manifest, ("slide_id", "path"), rows)
    bad = [
        Rejected(
            slide_id=name,
            row=names.index(name) + 2,
            failure=FailureClass.MISSING_FILE,
            reason="no such file",
        )
        for name in rejected
    ]
    write_rejected(run.rejected, bad)
    digest = read_manifest(run.manifest).digest
    document = run_document(
        manifest_digest=digest, config=CONFIG, profile=SLURM if slurm else LOCAL, project=".."
    )
    write_document(run, document)
    return MadeRun(run)


def _slot(number: int, shard: str) -> Slot:
    slides = tuple(SlotSlide(slide_id=name, path=f"{name}.svs") for name in shard)
    return Slot(slot=number, shape=SHAPE, slides=slides)


def done(slide_id: str) -> tuple[str, dict[str, Any]]:
    """That a slide has features."""
    file = {"path": "f.h5", "size": 1, "sha256": "s", "content_digest": "c"}
    return ("done", {"slide_id": slide_id, "num_tiles": 3, "reused": False, "file": file})


def failed(slide_id: str, failure: str) -> tuple[str, dict[str, Any]]:
    """That a slide failed."""
    return ("failed", {"slide_id": slide_id, "failure": failure, "reason": "why"})


FINISHED: tuple[str, dict[str, Any]] = ("finished", {})
