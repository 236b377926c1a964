"""plan: read every slide's header, predict its cost, pack slides into shards, freeze it all."""

from __future__ import annotations

import platform
import shutil
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from slidearray.core.classes import PERMANENT, Rejected, rejected_for
from slidearray.core.cost import Cost, predict
from slidearray.core.differences import differences
from slidearray.core.ids import control_character, safe_name
from slidearray.core.recipe import Recipe
from slidearray.core.sharding import deal
from slidearray.encoders.contract import load_encoder
from slidearray.errors import RunError, SlideError
from slidearray.schedulers.dialect import dialect_for
from slidearray.slides.preflight import Preflight, preflight_all
from slidearray.storage.files import utc_now
from slidearray.storage.manifest import Manifest, ManifestRow, read_manifest, write_manifest
from slidearray.storage.plan_files import PlannedSlide, write_planned, write_rejected
from slidearray.storage.rundir import (
    Output,
    RunDir,
    RunDocument,
    read_document,
    relative_project,
    write_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.core.profile import Profile

#: Packages whose versions may change pixels, features or files.
RECORDED_PACKAGES = ("slidearray", "numpy", "h5py", "openslide-python", "openslide-bin",
                     "opencv-python-headless")  # fmt: skip

#: Files a slot leaves behind besides features: its record and its log.
INODES_PER_SLOT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What a plan decided, and what it will cost at most."""

    run: RunDir
    slides: int
    rejected: tuple[Rejected, ...]
    tasks: int
    tiles: int  # of the whole slides; tissue detection leaves fewer
    core_hours: float
    feature_bytes: int
    inodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    row: ManifestRow
    cost: Cost
    tiles: int


def plan_run(
    config: Config,
    profile: Profile,
    *,
    project: Path,
    run_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlanReport:
    """Freeze a run directory for `config`.

    Parameters
    ----------
    config
        What to do.
    profile
        Where it will run.
    project
        Folder that relative paths start from.
    run_dir
        Run directory, instead of the config's.
    progress
        Called with (headers read, slides) as headers are read.

    Raises
    ------
    ManifestError
        For structural faults of the manifest, all at once.
    RunError
        When the run directory exists, or no slide can be used. Nothing is written then.
    """
    run = _run(config, project, run_dir)
    manifest = read_manifest(project / config.manifest)
    document = _document(config, profile, run=run, manifest=manifest)
    if _is_planned(run):
        raise _second_plan(run, document)
    (output,) = document.outputs
    accepted, rejected = _examine(config, run, manifest, output=output, progress=progress)
    if not accepted:
        raise RunError(_none_left(project / config.manifest, rejected))
    seconds = [slide.cost.seconds for slide in accepted]
    at_once = dialect_for(profile).at_once(profile.cpus_per_task)
    shards = deal(seconds, config.shards, at_least=at_once)
    _freeze(run, document, manifest, planned=_planned(accepted, shards), rejected=rejected)
    return _report(run, profile, accepted, rejected=rejected, tasks=len(shards), output=output)


def planned_before(
    config: Config, profile: Profile, *, project: Path, run_dir: Path | None = None
) -> RunDir | None:
    """The run directory, when this very plan was made before; None when none was.

    Raises
    ------
    RunError
        When another plan is there, naming what differs.
    """
    run = _run(config, project, run_dir)
    if not _is_planned(run):
        return None
    manifest = read_manifest(project / config.manifest)
    document = _document(config, profile, run=run, manifest=manifest)
    if _plan_differences(read_document(run), document):
        raise _second_plan(run, document)
    return run


def _is_planned(run: RunDir) -> bool:
    """Whether a run is there; `RunError` when something else is."""
    if run.document.exists():
        return True
    if run.root.exists() and not (run.root.is_dir() and not any(run.root.iterdir())):
        raise RunError(
            f"{run.root}: holds other files and no run; "
            "choose another run_dir in the config, or pass --run-dir"
        )
    return False


def _second_plan(run: RunDir, document: RunDocument) -> RunError:
    words = _plan_differences(read_document(run), document)
    what = f"differs in {', '.join(words)}" if words else "is the same plan"
    return RunError(
        f"{run.root}: already planned; what you ask for now {what}. A run directory is frozen: "
        "go on with it (`slidearray status`, `submit`, `resubmit`), or choose another run_dir"
    )


def _plan_differences(old: RunDocument, new: RunDocument) -> list[str]:
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


def _run(config: Config, project: Path, run_dir: Path | None) -> RunDir:
    """The run directory that is asked for, under a name that job scripts can hold."""
    run_dir = run_dir or project / config.run_dir
    for path in (project, run_dir):
        if control := control_character(str(path)):
            raise RunError(
                f"{str(path)!r}: the control character {control!a} in a folder's name cannot be "
                "written into job scripts; rename the folder"
            )
    try:
        run_dir.resolve()
    except (OSError, RuntimeError) as error:
        raise RunError(f"{run_dir}: {error}; choose another run_dir") from None
    return RunDir(root=run_dir.absolute(), project=project)


def _output(config: Config, *, project: Path) -> Output:
    loaded = load_encoder(config.encoder.name, config.encoder.options, root=project)
    recipe = Recipe(tiles=config.tile_spec(), tissue=config.tissue_spec(), encoder=loaded.spec)
    return Output(
        label=config.encoder.label or safe_name(loaded.encoder.name),
        recipe=recipe.to_json(),
        recipe_digest=recipe.digest,
        feature_dim=loaded.spec.feature_dim,
    )


def _document(config: Config, profile: Profile, *, run: RunDir, manifest: Manifest) -> RunDocument:
    versions = {name: version(name) for name in RECORDED_PACKAGES}
    return RunDocument(
        run_id=uuid.uuid4().hex,
        created=utc_now(),
        version=versions["slidearray"],
        project=relative_project(run.root, run.project),
        config=config.to_json(),
        profile=profile.to_json(),
        manifest_digest=manifest.digest,
        outputs=(_output(config, project=run.project),),
        versions={"python": platform.python_version(), **versions},
    )


def _examine(
    config: Config,
    run: RunDir,
    manifest: Manifest,
    *,
    output: Output,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[_Accepted], list[Rejected]]:
    accepted: list[_Accepted] = []
    rejected: list[Rejected] = []
    edge = config.tiles.tile_size
    slides = [(run.project / row.path, row.mpp) for row in manifest.rows]
    judged = preflight_all(slides, spec=config.tile_spec())
    for count, (row, found) in enumerate(zip(manifest.rows, judged, strict=True), start=1):
        if isinstance(found, SlideError) and found.failure in PERMANENT:
            rejected.append(rejected_for(found, slide_id=row.slide_id, row=row.row))
        elif isinstance(found, SlideError):  # the file system's trouble: the worker tries again
            size_bytes = _size(run.project / row.path)
            cost = predict(
                size_bytes=size_bytes, feature_dim=output.feature_dim, tile_pixels=edge**2
            )
            accepted.append(_Accepted(row=row, cost=cost, tiles=0))
        else:
            accepted.append(_accept(row, found, feature_dim=output.feature_dim))
        if progress:
            progress(count, len(manifest.rows))
    return accepted, rejected


def _accept(row: ManifestRow, found: Preflight, *, feature_dim: int) -> _Accepted:
    cost = predict(
        target_pixels=found.target_pixels,
        read_pixels=found.read_pixels,
        size_bytes=found.header.size_bytes,
        tile_pixels=found.grid.tile_size**2,
        feature_dim=feature_dim,
    )
    return _Accepted(row=row, cost=cost, tiles=found.tiles)


def _size(path: Path) -> int:
    """Bytes of a file whose header could not be read; 0 when not even they are known."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _none_left(manifest: Path, rejected: Sequence[Rejected]) -> str:
    lines = [f"  row {r.row}, {r.slide_id}: {r.failure}: {r.reason}" for r in rejected[:10]]
    more = [f"  and {len(rejected) - 10} more"] if len(rejected) > 10 else []
    return "\n".join(
        [f"{manifest}: none of its {len(rejected)} slides can be used:", *lines, *more]
    )


def _planned(accepted: Sequence[_Accepted], shards: Sequence[Sequence[int]]) -> list[PlannedSlide]:
    shard_of = {index: shard for shard, members in enumerate(shards) for index in members}
    return [
        PlannedSlide(
            slide_id=slide.row.slide_id,
            shard=shard_of[index],
            seconds=slide.cost.seconds,
            megabytes=slide.cost.megabytes,
        )
        for index, slide in enumerate(accepted)
    ]


def _freeze(
    run: RunDir,
    document: RunDocument,
    manifest: Manifest,
    *,
    planned: Sequence[PlannedSlide],
    rejected: Sequence[Rejected],
) -> None:
    """Write everything beside the final name, then rename it: a plan is whole or absent."""
    run.root.parent.mkdir(parents=True, exist_ok=True)
    draft = RunDir(
        root=run.root.with_name(f".{run.root.name}.{uuid.uuid4().hex}.partial"),
        project=run.project,
    )
    try:
        draft.slides_table.parent.mkdir(parents=True)
        write_manifest(draft.manifest, manifest.columns, [row.cells for row in manifest.rows])
        write_planned(draft.slides_table, planned)
        write_rejected(draft.rejected, rejected)
        write_document(draft, document)
        try:
            draft.root.replace(run.root)  # onto nothing, or onto an empty folder
        except OSError:
            if run.document.exists():  # somebody else planned meanwhile
                raise _second_plan(run, document) from None
            raise
    finally:
        shutil.rmtree(draft.root, ignore_errors=True)


def _report(
    run: RunDir,
    profile: Profile,
    accepted: Sequence[_Accepted],
    *,
    rejected: Sequence[Rejected],
    tasks: int,
    output: Output,
) -> PlanReport:
    tiles = sum(slide.tiles for slide in accepted)
    seconds = sum(slide.cost.seconds for slide in accepted)
    return PlanReport(
        run=run,
        slides=len(accepted),
        rejected=tuple(rejected),
        tasks=tasks,
        tiles=tiles,
        core_hours=seconds * profile.cpus_per_task / 3600,
        feature_bytes=tiles * (output.feature_dim * 4 + 8),
        inodes=len(accepted) + INODES_PER_SLOT * tasks,
    )
