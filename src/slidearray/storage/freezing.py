"""A plan on its way into a run directory: whole, or not there at all."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.differences import differences
from slidearray.errors import RunError
from slidearray.storage.plan_files import write_planned_table, write_rejected
from slidearray.storage.reuse import take
from slidearray.storage.rundir import RunDir, read_document, write_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slidearray.core.classes import Rejected
    from slidearray.storage.manifest import Manifest
    from slidearray.storage.plan_files import PlannedTable
    from slidearray.storage.rundir import RunDocument


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """All that a plan decided."""

    document: RunDocument
    manifest: Manifest
    planned: PlannedTable
    rejected: Sequence[Rejected] = field(kw_only=True)
    reused: Mapping[int, Path] = field(kw_only=True)  # other runs' files, by index of the slide


def is_planned(run: RunDir) -> bool:
    """Whether a run is there; `RunError` when something else is."""
    if run.document.exists():
        return True
    if run.root.exists() and not (run.root.is_dir() and not any(run.root.iterdir())):
        raise RunError(
            f"{run.root}: holds other files and no run; "
            "choose another run_dir in the config, or pass --run-dir"
        )
    return False


def second_plan(run: RunDir, document: RunDocument) -> RunError:
    """The error for a plan where there is one already."""
    words = plan_differences(read_document(run), document)
    what = f"differs in {', '.join(words)}" if words else "is the same plan"
    return RunError(
        f"{run.root}: already planned; what you ask for now {what}. A run directory is frozen: "
        "go on with it (`slidearray status`, `submit`, `resubmit`), or choose another run_dir"
    )


def plan_differences(old: RunDocument, new: RunDocument) -> list[str]:
    """In what two plans differ, in words with both values."""
    found = [
        (key, *values) for key, *values in differences(old.config, new.config) if key != "run_dir"
    ]
    found += [(f"profile.{key}", *values) for key, *values in differences(old.profile, new.profile)]
    words = [f"{key} ({before!r} there, {now!r} now)" for key, before, now in found]
    if old.manifest_digest != new.manifest_digest:
        words.append("the manifest's rows")
    if old.outputs != new.outputs and not words:
        words.append("the recipe (another version of the code or of the encoder)")
    return words


def freeze(run: RunDir, plan: FrozenPlan) -> None:
    """Write everything beside the final name, then rename it: a plan is whole or absent.

    Raises
    ------
    RunError
        Somebody else planned it meanwhile.
    """
    run.root.parent.mkdir(parents=True, exist_ok=True)
    draft = RunDir(
        root=run.root.with_name(f".{run.root.name}.{uuid.uuid4().hex}.partial"),
        project=run.project,
    )
    try:
        draft.slides_table.parent.mkdir(parents=True)
        plan.manifest.write(draft.manifest)
        write_planned_table(draft.slides_table, plan.planned)
        write_rejected(draft.rejected, plan.rejected)
        _take_features(draft, plan)
        write_document(draft, plan.document)
        try:
            draft.root.replace(run.root)  # onto nothing, or onto an empty folder
        except OSError:
            if run.document.exists():  # somebody else planned meanwhile
                raise second_plan(run, plan.document) from None
            raise
    finally:
        shutil.rmtree(draft.root, ignore_errors=True)


def _take_features(draft: RunDir, plan: FrozenPlan) -> None:
    (output,) = plan.document.outputs
    for index, source in plan.reused.items():
        row = plan.manifest.rows[index]
        take(source, draft.feature_file(output.label, row.cohort, row.slide_id))
