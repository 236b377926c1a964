"""plan: read every slide's header, predict its cost, pack slides into shards, freeze it all."""

from __future__ import annotations

import platform
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from slidearray.core.classes import Rejected, rejected_for
from slidearray.core.cost import COORDS_BYTES, FEATURE_BYTES
from slidearray.core.headers import HEADER_COLUMNS
from slidearray.core.ids import control_character, safe_name
from slidearray.core.planning import Planning, Room
from slidearray.core.queue import NOT_ASKED
from slidearray.core.recipe import Recipe
from slidearray.encoders.contract import load_encoder
from slidearray.errors import RunError
from slidearray.schedulers.dialect import dialect_for
from slidearray.slides.keys import current_keys
from slidearray.slides.preflight import Slides, survey
from slidearray.storage.earlier import earlier_costs
from slidearray.storage.files import utc_now
from slidearray.storage.freezing import (
    FrozenPlan,
    freeze,
    is_planned,
    plan_differences,
    second_plan,
)
from slidearray.storage.manifest import read_manifest
from slidearray.storage.plan_files import PlannedTable
from slidearray.storage.reuse import Reuse, candidates
from slidearray.storage.rundir import (
    Output,
    RunDir,
    RunDocument,
    read_document,
    relative_project,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.core.planning import Survey
    from slidearray.core.profile import Profile
    from slidearray.core.queue import QueueLimits
    from slidearray.core.refinement import Observed
    from slidearray.storage.manifest import Manifest

#: Packages whose versions may change pixels, features or files.
RECORDED_PACKAGES = ("slidearray", "numpy", "h5py", "openslide-python", "openslide-bin",
                     "opencv-python-headless", "imagecodecs", "simplejpeg", "tifffile")  # fmt: skip

#: Files a slot leaves behind besides features: its record and its log.
INODES_PER_SLOT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What a plan decided, and what it will cost."""

    run: RunDir
    profile: str  # its name, and what it is for
    slides: int
    rejected: tuple[Rejected, ...]
    tasks: int
    tiles: int  # of the whole slides: there will not be more
    expected_tiles: int  # of those, as many as there is tissue
    core_hours: float
    feature_bytes: int  # of all tiles
    inodes: int
    notes: tuple[str, ...]  # what else went into the plan, one line each


def plan_run(
    config: Config,
    profile: Profile,
    *,
    project: Path,
    run_dir: Path | None = None,
    reuse: Sequence[RunDir] = (),
    limits: QueueLimits | None = None,
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
        Instead of the config's.
    reuse
        Other runs, whose feature files are taken where they are current.
    limits
        What the scheduler takes, where that is known.
    progress
        Called with (slides looked at, slides) as headers are read.

    Raises
    ------
    ManifestError
        For structural faults of the manifest, all at once.
    RunError
        When the run directory exists or no slide can be used. Nothing is written then.
    """
    run, told = _run(config, project, run_dir), read_manifest(project / config.manifest)
    manifest = told.without(HEADER_COLUMNS)
    document = _document(config, profile, run=run, manifest=manifest)
    if is_planned(run):
        raise second_plan(run, document)
    found, (output,) = _survey(config, told, run=run, progress=progress), document.outputs
    plan = Planning(found, config, feature_dim=output.feature_dim)
    rejected = _rejected(plan, manifest, path=project / config.manifest)
    _refine(plan, earlier_costs(run, document, others=reuse))
    reused = _reuse(plan, reuse, config=config, run=run, manifest=manifest, output=output)
    plan.pack(config.shards, _room(profile, limits))
    planned = _planned(plan, manifest)
    freeze(run, FrozenPlan(document, manifest, planned, rejected=rejected, reused=reused))
    return _report(run, profile, plan, rejected=rejected, output=output)


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
    if not is_planned(run):
        return None
    manifest = read_manifest(project / config.manifest).without(HEADER_COLUMNS)
    document = _document(config, profile, run=run, manifest=manifest)
    if plan_differences(read_document(run), document):
        raise second_plan(run, document)
    return run


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


def _survey(
    config: Config,
    manifest: Manifest,
    *,
    run: RunDir,
    progress: Callable[[int, int], None] | None,
) -> Survey:
    slides = Slides(
        root=run.project,
        paths=manifest.column("path"),
        mpp=manifest.column("mpp"),
        told={name: manifest.table[name] for name in HEADER_COLUMNS if name in manifest.table},
    )
    tissue = config.tissue.method != "none"
    return survey(slides, spec=config.tile_spec(), tissue=tissue, progress=progress)


def _rejected(plan: Planning, manifest: Manifest, *, path: Path) -> list[Rejected]:
    """The slides that cannot be used; `RunError` when there are no others."""
    ids = manifest.column("slide_id")
    rejected = [
        rejected_for(error, slide_id=ids[index], row=manifest.numbers[index])
        for index, error in sorted(plan.rejected.items())
    ]
    if not plan.accepted:
        lines = [f"  row {r.row}, {r.slide_id}: {r.failure}: {r.reason}" for r in rejected[:10]]
        more = [f"  and {len(rejected) - 10} more"] if len(rejected) > 10 else []
        what = f"{path}: none of its {len(rejected)} slides can be used:"
        raise RunError("\n".join([what, *lines, *more]))
    return rejected


def _refine(plan: Planning, earlier: Sequence[tuple[RunDir, Sequence[Observed]]]) -> None:
    slides = [slide for _, some in earlier for slide in some]
    plan.refine(slides, source=", ".join(str(run.root) for run, _ in earlier))


def _reuse(
    plan: Planning,
    others: Sequence[RunDir],
    *,
    config: Config,
    run: RunDir,
    manifest: Manifest,
    output: Output,
) -> dict[int, Path]:
    """Feature files of other runs that are current, the first run first; by index of the slide."""
    paths, mpp = manifest.column("path"), manifest.column("mpp")
    taken: dict[int, Path] = {}
    for other in others:
        reuse = Reuse(run=other)
        wanted = [index for index in plan.accepted if index not in taken]
        allowed = config.tiles.max_invalid_fraction
        offered = list(candidates(reuse, manifest, output=output, wanted=wanted, invalid=allowed))
        slides = ((run.project / paths[file.index], mpp[file.index]) for file in offered)
        keys = current_keys(slides, spec=config.tile_spec(), reader=config.reader)
        for file, key in zip(offered, keys, strict=True):
            reuse.judge(file, key=key if isinstance(key, str) else None)
        taken |= reuse.taken
        plan.notes.append(reuse.text())
    plan.reuse(taken)
    return taken


def _room(profile: Profile, limits: QueueLimits | None) -> Room:
    """How many array tasks there may be where the profile runs them."""
    dialect = dialect_for(profile)
    at_least = dialect.at_once(profile.cpus_per_task)
    if dialect.runs_here:
        return Room(at_least=at_least)
    limits = limits or NOT_ASKED
    return Room(
        at_least=at_least,
        max_array=limits.largest_array(profile.max_array_size),
        max_submit=limits.max_submit,
    )


def _planned(plan: Planning, manifest: Manifest) -> PlannedTable:
    ids, decided = manifest.column("slide_id"), plan.decided()
    return PlannedTable(
        slide_id=[ids[index] for index in plan.accepted] if plan.rejected else ids,
        shard=decided.shard,
        seconds=decided.seconds,
        megabytes=decided.megabytes,
        model_seconds=decided.model_seconds or [None] * len(plan.accepted),
    )


def _report(
    run: RunDir,
    profile: Profile,
    plan: Planning,
    *,
    rejected: Sequence[Rejected],
    output: Output,
) -> PlanReport:
    totals = plan.totals()
    return PlanReport(
        profile=f"{profile.name} ({profile.scheduler})",
        run=run,
        slides=len(plan.accepted),
        rejected=tuple(rejected),
        tasks=plan.tasks,
        tiles=totals.tiles,
        expected_tiles=totals.expected_tiles,
        core_hours=totals.seconds * profile.cpus_per_task / 3600,
        feature_bytes=totals.tiles * (output.feature_dim * FEATURE_BYTES + COORDS_BYTES),
        inodes=len(plan.accepted) + INODES_PER_SLOT * plan.tasks,
        notes=tuple(plan.notes),
    )
