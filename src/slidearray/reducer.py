"""reduce: the feature files of a run become one store."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slidearray.core.classes import FailureClass
from slidearray.storage.files import execution_token, host_name, make_folder, remove_dead_partials
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.ledger import read_ledger
from slidearray.storage.records import recorded_file_fault
from slidearray.storage.rundir import read_document
from slidearray.storage.store_writer import (
    Missing,
    StoreContent,
    StoreSource,
    UnusableFilesError,
    write_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from slidearray.core.classes import Rejected
    from slidearray.core.verdicts import Verdict
    from slidearray.storage.manifest import Manifest, ManifestRow
    from slidearray.storage.rundir import Output, RunDir

#: How long a file that another host wrote may take to be seen here (NFS caches attributes).
PATIENCE_S = 90.0
POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceReport:
    """What `reduce` made of a run."""

    store: Path | None  # None: nothing was written
    slides: int  # in the store, or that could be
    tiles: int
    missing: tuple[Missing, ...]

    @property
    def complete(self) -> bool:
        """Whether every slide of the manifest is in the store."""
        return not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A slide whose record says that it has features."""

    source: StoreSource
    size: int  # bytes of its file, as recorded
    host: str | None  # that wrote it


def reduce_run(
    run: RunDir,
    *,
    allow_missing: frozenset[FailureClass] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
    patience_s: float = PATIENCE_S,
) -> ReduceReport:
    """Merge a run's feature files into its store.

    Parameters
    ----------
    run
        The run.
    allow_missing
        Classes of which slides may be missing: then the store lists what it lacks. When a slide of
        any other class is missing nothing is written, and the report has no store.
    progress
        Called with the number of slides copied and of all.
    patience_s
        How long to wait for files that other hosts recorded and this one does not see yet.

    Raises
    ------
    StoreError
        Feature files of another recipe, model or dimension; names them.
    StorageFullError
        The store does not fit; an older one stays as it was.
    RunError, ManifestError
        A damaged run directory.
    """
    document = read_document(run)
    (output,) = document.outputs
    manifest = frozen_manifest(run)
    found, missing = _sort_out(run, manifest.rows, output=output)
    lost = _absent(found, patience_s=patience_s)
    while True:
        missing |= {slide_id: _lost(slide_id, reason) for slide_id, reason in lost.items()}
        content = _content(run, manifest, output, found=found, missing=missing)
        if not content.sources or {slide.failure for slide in content.missing} - allow_missing:
            return _report(content, store=None)
        try:
            return _write(run.store(output.label), content, progress=progress)
        except UnusableFilesError as error:
            lost = error.reasons


def _content(
    run: RunDir,
    manifest: Manifest,
    output: Output,
    *,
    found: Sequence[_Found],
    missing: Mapping[str, Missing],
) -> StoreContent:
    """What the store will hold: the slides found, less those missing, in the manifest's order."""
    return StoreContent(
        sources=[slide.source for slide in found if slide.source.slide_id not in missing],
        missing=[
            _scrubbed(missing[row.slide_id], row, run)
            for row in manifest.rows
            if row.slide_id in missing
        ],
        columns=manifest.columns,
        recipe=output.recipe,
        recipe_digest=output.recipe_digest,
        feature_dim=output.feature_dim,
    )


def _write(
    path: Path, content: StoreContent, *, progress: Callable[[int, int], None] | None
) -> ReduceReport:
    make_folder(path.parent)
    remove_dead_partials(path)
    write_store(path, content, token=execution_token(), progress=progress)
    return _report(content, store=path)


def _report(content: StoreContent, *, store: Path | None) -> ReduceReport:
    return ReduceReport(
        store=store,
        slides=len(content.sources),
        tiles=sum(source.num_tiles for source in content.sources),
        missing=tuple(content.missing),
    )


def _sort_out(
    run: RunDir, rows: Sequence[ManifestRow], *, output: Output
) -> tuple[list[_Found], dict[str, Missing]]:
    """Slides with features in manifest order, and what is known of the others."""
    ledger = read_ledger(run)
    missing = {slide.slide_id: _rejected(slide) for slide in ledger.rejected}
    found = []
    for row in rows:
        if row.slide_id in missing:
            continue
        verdict = ledger.verdicts[row.slide_id]
        if verdict.result is None:
            missing[row.slide_id] = _unfinished(row.slide_id, verdict)
        else:
            found.append(_found(run, row, result=verdict.result, label=output.label))
    return found, missing


def _found(run: RunDir, row: ManifestRow, *, result: dict[str, Any], label: str) -> _Found:
    file = result["file"]
    source = StoreSource(
        slide_id=row.slide_id,
        path=run.feature_file(label, row.cohort, row.slide_id),
        num_tiles=result["num_tiles"],
        content_digest=file["content_digest"],
        cells=row.cells,
    )
    return _Found(source=source, size=file["size"], host=result.get("host"))


def _rejected(slide: Rejected) -> Missing:
    return Missing(slide_id=slide.slide_id, failure=slide.failure, reason=slide.reason)


def _unfinished(slide_id: str, verdict: Verdict) -> Missing:
    return Missing(
        slide_id=slide_id,
        failure=verdict.failure or FailureClass.NOT_STARTED,
        reason=verdict.reason or f"not finished yet: {verdict.state.value}",
    )


def _lost(slide_id: str, reason: str) -> Missing:
    return Missing(slide_id=slide_id, failure=FailureClass.LOST, reason=reason)


def _absent(found: Sequence[_Found], *, patience_s: float) -> dict[str, str]:
    """Slides whose file is not there as recorded: slide_id → why."""
    absent = [slide for slide in found if _fault(slide)]
    deadline = time.monotonic() + patience_s
    while any(slide.host != host_name() for slide in absent) and time.monotonic() < deadline:
        time.sleep(min(POLL_S, patience_s))
        for folder in {slide.source.path.parent for slide in absent}:
            _list_again(folder)
        absent = [slide for slide in absent if _fault(slide)]
    return {slide.source.slide_id: _fault(slide) or "" for slide in absent}


def _fault(slide: _Found) -> str | None:
    return recorded_file_fault(slide.source.path, size=slide.size)


def _list_again(folder: Path) -> None:
    # Opening a folder makes an NFS client ask the server again for what it holds.
    if folder.is_dir():
        with os.scandir(folder) as entries:
            next(entries, None)


def _scrubbed(missing: Missing, row: ManifestRow, run: RunDir) -> Missing:
    """Without the places of this machine, which have no business in a store."""
    reason = missing.reason
    for text in (str(run.project / row.path), row.path):
        reason = reason.replace(text, Path(row.path).name)
    for folder in (run.root, run.project):
        reason = reason.replace(f"{folder}/", "")
    return Missing(slide_id=missing.slide_id, failure=missing.failure, reason=reason)
