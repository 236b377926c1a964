"""What slides took in earlier runs that are like the one that is planned."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slidearray.core.cost import FEATURE_BYTES
from slidearray.core.refinement import Observed
from slidearray.errors import RunError
from slidearray.storage.measured import measured_costs
from slidearray.storage.plan_files import read_planned_table
from slidearray.storage.rundir import RunDir, open_run, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from slidearray.storage.rundir import AttemptDir, RunDocument

#: Run directories beside the new one whose run.json is read, newest first.
MOST_NEIGHBOURS = 20
#: Runs whose records are read, and slides that are enough.
MOST_RUNS, ENOUGH_SLIDES = 3, 300
#: Record files of an attempt without a seal, and bytes of the table of planned slides (some 400 000
#: slides): a run with more of them is passed over, so that a plan is not held up by what it learns.
MOST_RECORDS = 1000
MOST_BYTES = 25_000_000


def earlier_costs(
    run: RunDir, document: RunDocument, *, others: Iterable[RunDir]
) -> list[tuple[RunDir, list[Observed]]]:
    """Slides of earlier runs with the same encoder, like tiles and as many CPUs and GPUs a task.

    Parameters
    ----------
    run, document
        The run that is planned.
    others
        Runs to look at before those beside it that belong to the same project.

    Returns
    -------
    list of (run, its slides)
        Of a few runs, newest first; damaged ones are passed over.
    """
    found: list[tuple[RunDir, list[Observed]]] = []
    seen: set[Path] = set()
    for other in (*others, *_neighbours(run)):
        if len(found) == MOST_RUNS or sum(len(slides) for _, slides in found) >= ENOUGH_SLIDES:
            break
        if (place := other.root.resolve()) in seen:
            continue
        seen.add(place)
        with suppress(RunError, OSError):
            if _alike(read_document(other), document) and (slides := _observed(other)):
                found.append((other, slides))
    return found


def _neighbours(run: RunDir) -> Iterator[RunDir]:
    """Runs of the same project that lie beside a run, newest first."""
    found = run.root.parent.glob("[!.]*/run.json")
    documents = sorted(((_age(path), path) for path in found), reverse=True)
    for _, path in documents[:MOST_NEIGHBOURS]:
        with suppress(RunError):
            other = open_run(path.parent)
            if other.project.resolve() == run.project.resolve():
                yield other


def _age(document: Path) -> float:
    with suppress(OSError):
        return document.stat().st_mtime
    return 0.0


def _alike(old: RunDocument, new: RunDocument) -> bool:
    return _kind(old) == _kind(new)


def _kind(document: RunDocument) -> tuple[Any, ...]:
    """What decides how fast a run is, beside its slides."""
    (output,) = document.outputs
    recipe, profile = output.recipe, document.profile
    by_mpp = "mpp" in recipe.get("tiles", {})
    encoder = recipe.get("encoder", {}).get("name")
    return encoder, by_mpp, profile.get("cpus_per_task"), profile.get("gpus")


def _observed(run: RunDir) -> list[Observed]:
    """The slides that a run made; none when there is too much of it to look at."""
    if run.slides_table.stat().st_size > MOST_BYTES:
        return []
    if any(_is_long(run.attempt(number)) for number in run.attempts()):
        return []
    (output,) = read_document(run).outputs
    table = read_planned_table(run.slides_table)
    told = zip(table.slide_id, table.model_seconds, strict=True)
    model = {slide_id: seconds for slide_id, seconds in told if seconds is not None}
    megabytes = output.feature_dim * FEATURE_BYTES / 1e6  # a tile
    return [
        Observed(
            model_s=model.get(cost.slide_id, cost.predicted_s),
            real_s=cost.real_s,
            base_mb=None if cost.peak_mb is None else cost.peak_mb - cost.num_tiles * megabytes,
        )
        for cost in measured_costs(run)
    ]


def _is_long(attempt: AttemptDir) -> bool:
    if attempt.seal.exists():
        return False
    files = attempt.records_root.glob("*/*.jsonl")
    return any(count == MOST_RECORDS for count, _ in enumerate(files))
