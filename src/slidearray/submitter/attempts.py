"""What an attempt would send: its slots, arrays and rendered scripts. Nothing is written here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.rendering import render
from slidearray.core.resending import Resend, resend
from slidearray.core.sharding import deal
from slidearray.core.verdicts import State
from slidearray.errors import RunError, TemplateError
from slidearray.schedulers.dialect import dialect_for
from slidearray.storage.builtin import builtin_dir
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.files import sha256_file
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.journal import last_released
from slidearray.storage.plan_files import read_planned, read_rejected
from slidearray.storage.records import recorded_file_fault
from slidearray.storage.rundir import read_document
from slidearray.storage.slots import Slot, SlotSlide

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from slidearray.core.config import Config
    from slidearray.core.profile import Profile
    from slidearray.core.shapes import Shape
    from slidearray.core.verdicts import Verdict
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.manifest import ManifestRow
    from slidearray.storage.plan_files import PlannedSlide
    from slidearray.storage.rundir import AttemptDir, RunDir


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedAttempt:
    """An attempt as it would be submitted; nothing of it is on disk yet."""

    run: RunDir
    profile: Profile
    number: int
    slots: tuple[Slot, ...]
    jobs: tuple[ArrayJob, ...]
    scripts: tuple[str, ...]  # one text a job
    resends: tuple[Resend, ...] = ()  # why each slide goes again; empty in a first attempt

    @property
    def folder(self) -> AttemptDir:
        """Where it will be written."""
        return self.run.attempt(self.number)

    @property
    def slides(self) -> int:
        """How many slides it sends."""
        return sum(len(slot.slides) for slot in self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptPreview:
    """What `--dry-run` shows of one script."""

    path: Path
    text: str
    commands: tuple[tuple[str, ...], ...]  # argv of what would be run with it


def first_attempt(run: RunDir) -> PreparedAttempt:
    """The first attempt of a planned run: its shards, longest first.

    Raises
    ------
    RunError
        When the run was submitted before.
    """
    if number := last_released(run):
        raise RunError(
            f"{run.root}: submitted before (attempt {number}); "
            f"`slidearray resubmit {run.root}` sends what failed or is missing"
        )
    planned = list(read_planned(run.slides_table))
    rows = frozen_manifest(run).rows
    known = [slide.slide_id for slide in planned]
    known += [slide.slide_id for slide in read_rejected(run.rejected)]
    if sorted(known) != sorted(row.slide_id for row in rows):
        raise RunError(
            f"{run.slides_table}: does not hold the manifest's slides with {run.rejected.name}: it "
            "was changed after the plan froze it; plan a new run"
        )
    slides = _slot_slides(rows, planned)
    shards: dict[int, list[SlotSlide]] = {}
    for slide in planned:
        shards.setdefault(slide.shard, []).append(slides[slide.slide_id])
    profile = run_profile(run)
    shape = profile.shape()
    return _prepare(run, profile, [(shape, shards[shard]) for shard in sorted(shards)])


def next_attempt(
    run: RunDir, ledger: Ledger, *, include: frozenset[FailureClass] = frozenset(), by_hand: bool
) -> PreparedAttempt | None:
    """The attempt that sends what `ledger` says may go again; None when that is nothing.

    Parameters
    ----------
    run
        The run.
    ledger
        What became of each slide so far.
    include
        Classes that are sent although they are not by themselves; `lost` reads every feature file
        to find those that were changed.
    by_hand
        A person asks, so what waits for a person is sent too.

    Raises
    ------
    RunError
        When the run was never submitted.
    """
    if last_released(run) is None:
        raise RunError(
            f"{run.root}: planned, and not submitted yet: `slidearray submit {run.root}` does it"
        )
    config, profile = run_config(run), run_profile(run)
    retry, deep = config.retry_policy(), FailureClass.LOST in include
    found = ((name, _as_found(run, old, deep=deep)) for name, old in ledger.verdicts.items())
    asked = (
        resend(slide_id, verdict, retry=retry, include=include, by_hand=by_hand)
        for slide_id, verdict in found
    )
    sent = [again for again in asked if again]
    if not sent:
        return None
    slides = _slot_slides(frozen_manifest(run).rows, read_planned(run.slides_table))
    groups = _regroup(sent, config, profile, slides=slides)
    prepared = _prepare(run, profile, groups)
    return replace(prepared, resends=tuple(sent))


def preview(prepared: PreparedAttempt) -> list[ScriptPreview]:
    """Every script of an attempt and the exact command lines; touches nothing."""
    dialect = dialect_for(prepared.profile)
    previews = []
    for job, text in zip(prepared.jobs, prepared.scripts, strict=True):
        path = prepared.folder.script(job.index)
        commands = dialect.submission(job, path)
        previews.append(ScriptPreview(path=path, text=text, commands=tuple(map(tuple, commands))))
    return previews


def _as_found(run: RunDir, found: Verdict, *, deep: bool) -> Verdict:
    """A verdict, or `lost` where the file that it promises is not there as recorded.

    `deep` reads every file, and so finds those that were changed and kept their size.
    """
    if found.result is None:
        return found
    file = found.result["file"]
    path = run.root / file["path"]
    fault = recorded_file_fault(path, size=file["size"])
    if fault is None and deep and sha256_file(path) != file["sha256"]:
        fault = f"{file['path']}: its bytes are not those that were recorded"
    if fault is None:
        return found
    return replace(found, state=State.FAILED, failure=FailureClass.LOST, reason=fault)


def _slot_slides(
    rows: Iterable[ManifestRow], planned: Iterable[PlannedSlide]
) -> dict[str, SlotSlide]:
    """What the worker needs of every slide that was planned, by id."""
    seconds = {slide.slide_id: slide.seconds for slide in planned}
    return {
        row.slide_id: SlotSlide(
            slide_id=row.slide_id,
            path=row.path,
            cohort=row.cohort,
            mpp=row.mpp,
            magnification=row.magnification,
            seconds=seconds[row.slide_id],
        )
        for row in rows
        if row.slide_id in seconds
    }


def _regroup(
    sent: Sequence[Resend], config: Config, profile: Profile, *, slides: dict[str, SlotSlide]
) -> list[tuple[Shape, list[SlotSlide]]]:
    """Slots of a later attempt: the troubled slides alone, the others packed anew."""
    groups = [(again.shape, [slides[again.slide_id]]) for again in sent if again.alone]
    together: dict[Shape, list[SlotSlide]] = {}
    for again in sent:
        if not again.alone:
            together.setdefault(again.shape, []).append(slides[again.slide_id])
    for shape, members in together.items():
        seconds = [slide.seconds for slide in members]
        at_once = dialect_for(profile).at_once(shape.cpus)
        shards = deal(seconds, config.shards, at_least=at_once)
        groups += [(shape, [members[i] for i in shard]) for shard in shards]
    # Equal shapes share an array, so they stand together; within one, longest first.
    return sorted(groups, key=lambda group: (group[0], -sum(s.seconds for s in group[1])))


def _prepare(
    run: RunDir, profile: Profile, groups: Sequence[tuple[Shape, Sequence[SlotSlide]]]
) -> PreparedAttempt:
    number = max(run.attempts(), default=0) + 1
    document = read_document(run)
    jobs = dialect_for(profile).arrays(
        [shape for shape, _ in groups], profile=profile, token=document.run_id[:6], attempt=number
    )
    template, source = _template(run, profile)
    return PreparedAttempt(
        run=run,
        profile=profile,
        number=number,
        slots=tuple(
            Slot(slot=slot, shape=shape.to_json(), slides=tuple(slides))
            for slot, (shape, slides) in enumerate(groups)
        ),
        jobs=tuple(jobs),
        scripts=tuple(
            render(template, _values(run, profile, job, number=number), source=source)
            for job in jobs
        ),
    )


def _template(run: RunDir, profile: Profile) -> tuple[str, str]:
    """The job template's text, and where it is from."""
    if profile.template is None:
        path = builtin_dir("templates") / dialect_for(profile).template
    else:
        path = run.project / profile.template
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: the job template cannot be read: {error}") from error


def _values(run: RunDir, profile: Profile, job: ArrayJob, *, number: int) -> dict[str, object]:
    """The variables of a job template."""
    attempt = run.attempt(number)
    return {
        "job_name": job.name,
        "array": job.array,
        "offset": job.offset,
        "slot": job.offset if job.array is None else None,
        "shape": job.shape,
        "log": dialect_for(profile).log_pattern(attempt.logs_dir(job.index), job),
        "profile": profile,
        "project": str(run.project),
        "run_dir": str(run.root),
        "attempt": number,
        # -P: no stray `random.py` of the project stands in for the real one
        "python": [profile.python or sys.executable, "-P"],
        "cache_dir": str(run.cache_dir),
    }
