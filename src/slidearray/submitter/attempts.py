"""What an attempt would send: its slots, arrays and rendered scripts. Nothing is written here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import NOT_ASKED, QueueLimits
from slidearray.core.resending import Resend, resend
from slidearray.core.sharding import deal, task_ceiling
from slidearray.core.verdicts import State
from slidearray.errors import RunError
from slidearray.schedulers.arrays import advance_name
from slidearray.schedulers.dialect import dialect_for, queue_dialect_for
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.files import sha256_file
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.journal import last_committed
from slidearray.storage.plan_files import read_planned_table, read_rejected
from slidearray.storage.records import recorded_file_fault
from slidearray.storage.rundir import read_document
from slidearray.storage.slots import Slot, SlotSlide
from slidearray.submitter.scripts import advance_script, array_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from slidearray.core.config import ShardsConfig
    from slidearray.core.profile import Profile
    from slidearray.core.shapes import Shape
    from slidearray.core.verdicts import Verdict
    from slidearray.schedulers.arrays import ArrayJob
    from slidearray.storage.ledger import Ledger
    from slidearray.storage.rundir import AttemptDir, RunDir


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceJob:
    """The job behind an attempt's arrays: it sends what failed, or merges what there is."""

    name: str
    text: str  # of its script


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedAttempt:
    """An attempt as it would be submitted; nothing of it is on disk yet."""

    run: RunDir
    profile: Profile
    number: int
    slots: tuple[Slot, ...]
    jobs: tuple[ArrayJob, ...]
    scripts: tuple[str, ...]  # one text a job
    advance: AdvanceJob | None  # None: whoever runs the scripts here goes on by himself
    resends: tuple[Resend, ...] = ()  # why each slide goes again; empty in a first attempt
    any_done: bool = False  # an earlier attempt did a slide

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


def first_attempt(run: RunDir, *, limits: QueueLimits = NOT_ASKED) -> PreparedAttempt:
    """The first attempt of a planned run: its shards, longest first.

    Parameters
    ----------
    run
        The run.
    limits
        What the scheduler takes.

    Raises
    ------
    RunError
        When the run was submitted before.
    """
    if number := last_committed(run):
        raise RunError(
            f"{run.root}: submitted before (attempt {number}); "
            f"`slidearray resubmit {run.typed}` sends what failed or is missing"
        )
    shape = run_profile(run).shape()
    return _prepare(run, [(shape, shard) for shard in _shards(run)], limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """On what terms a later attempt is asked for."""

    by_hand: bool  # a person asks, so what waits for a person is sent too
    include: frozenset[FailureClass] = frozenset()  # sent although they are not by themselves
    limits: QueueLimits = NOT_ASKED  # what the scheduler takes


def next_attempt(run: RunDir, ledger: Ledger, asked: Asked) -> PreparedAttempt | None:
    """The attempt that sends what `ledger` says may go again; None when that is nothing.

    Parameters
    ----------
    run
        The run.
    ledger
        What became of each slide so far.
    asked
        Who asks, and for what. With `lost` included every feature file is read, to find those
        that were changed.

    Raises
    ------
    RunError
        When the run was never submitted.
    """
    if last_committed(run) is None:
        raise RunError(
            f"{run.root}: planned, and not submitted yet: `slidearray submit {run.typed}` does it"
        )
    sent = _sent(run, ledger, asked)
    if not sent:
        return None
    slides = {slide.slide_id: slide for _, slide in _planned_slides(run)}
    groups = _regroup(sent, _shards_now(run, asked.limits), run_profile(run), slides=slides)
    exclude = _to_avoid(ledger.failed_nodes, run_profile(run), limits=asked.limits)
    number = max(report.number for report in ledger.attempts) + 1
    prepared = _prepare(run, groups, number=number, limits=asked.limits, exclude=exclude)
    any_done = any(report.any_done for report in ledger.attempts)
    return replace(prepared, resends=tuple(sent), any_done=any_done)


def preview(prepared: PreparedAttempt) -> list[ScriptPreview]:
    """Every script of an attempt and the exact command lines, in order; touches nothing."""
    dialect = dialect_for(prepared.profile)
    previews = [
        ScriptPreview(
            path=(path := prepared.folder.script(job.index)),
            text=text,
            commands=(tuple(dialect.submission(job, path)),),
        )
        for job, text in zip(prepared.jobs, prepared.scripts, strict=True)
    ]
    if prepared.advance is None:
        return previews
    path = prepared.folder.advance_script
    arrays = [f"{{array id of {job.index}}}" for job in prepared.jobs]
    argv = dialect.submit_argv(path, name=prepared.advance.name, after=arrays, held=False)
    release = queue_dialect_for(prepared.profile).release_argv(arrays)
    last = ScriptPreview(
        path=path, text=prepared.advance.text, commands=(tuple(argv), tuple(release))
    )
    return [*previews, last]


def _sent(run: RunDir, ledger: Ledger, asked: Asked) -> list[Resend]:
    """The slides that go again, in the manifest's order."""
    retry = run_config(run).retry_policy().within(asked.limits)
    deep = FailureClass.LOST in asked.include
    found = (
        (name, _as_found(run, old, deep=deep, by_hand=asked.by_hand))
        for name, old in ledger.verdicts.items()
    )
    again = (
        resend(slide_id, verdict, retry=retry, include=asked.include, by_hand=asked.by_hand)
        for slide_id, verdict in found
    )
    return [each for each in again if each]


def _as_found(run: RunDir, found: Verdict, *, deep: bool, by_hand: bool) -> Verdict:
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
    if found.newer is not None:  # it was sent again since: that attempt has the say
        return found.newer
    charged = found.charged if by_hand else found.attempts
    return replace(
        found, state=State.FAILED, failure=FailureClass.LOST, reason=fault, charged=charged
    )


def _shards(run: RunDir) -> list[list[SlotSlide]]:
    """What the worker needs of the slides of each shard that was planned."""
    shards: dict[int, list[SlotSlide]] = {}
    for shard, slide in _planned_slides(run):
        shards.setdefault(shard, []).append(slide)
    return [shards[shard] for shard in sorted(shards)]


def _planned_slides(run: RunDir) -> Iterator[tuple[int, SlotSlide]]:
    """Every slide that was planned, and its shard; column by column, as there may be a million.

    Raises
    ------
    RunError
        The manifest and the plan's tables do not hold the same slides.
    """
    planned, manifest = read_planned_table(run.slides_table), frozen_manifest(run)
    ids = manifest.column("slide_id")
    rejected = {slide.slide_id for slide in read_rejected(run.rejected)}
    rows = [row for row, slide_id in enumerate(ids) if slide_id not in rejected]
    same = [ids[row] for row in rows] == list(planned.slide_id)
    if not same or len(rows) + len(rejected) != len(ids):
        raise RunError(
            f"{run.slides_table}: does not hold the manifest's slides with {run.rejected.name}: it "
            "was changed after the plan froze it; plan a new run"
        )
    path, cohort, mpp, magnification = map(
        manifest.column, ("path", "cohort", "mpp", "magnification")
    )
    for row, shard, seconds in zip(rows, planned.shard, planned.seconds, strict=True):
        yield (
            shard,
            SlotSlide(
                slide_id=ids[row],
                path=path[row],
                cohort=cohort[row],
                mpp=mpp[row],
                magnification=magnification[row],
                seconds=seconds,
            ),
        )


def _shards_now(run: RunDir, limits: QueueLimits) -> ShardsConfig:
    """The config's section, with no more tasks than the scheduler takes now."""
    shards, profile = run_config(run).shards, run_profile(run)
    if dialect_for(profile).runs_here:
        return shards
    largest = limits.largest_array(profile.max_array_size)
    most = task_ceiling(shards.max_tasks, max_array=largest, max_submit=limits.max_submit)
    return shards.model_copy(update={"max_tasks": most})


def _regroup(
    sent: Sequence[Resend], shards: ShardsConfig, profile: Profile, *, slides: dict[str, SlotSlide]
) -> list[tuple[Shape, list[SlotSlide]]]:
    """Slots of a later attempt: the troubled slides alone, the others packed anew."""
    lone = [again for again in sent if again.alone]
    shapes = len({again.shape for again in sent})
    if len(lone) + shapes > shards.max_tasks:  # a slot each would be more than may be sent
        lone = []
    groups = [(again.shape, [slides[again.slide_id]]) for again in lone]
    apart = {again.slide_id for again in lone}
    together: dict[Shape, list[SlotSlide]] = {}
    for again in sent:
        if again.slide_id not in apart:
            together.setdefault(again.shape, []).append(slides[again.slide_id])
    for left, (shape, members) in zip(range(len(together), 0, -1), together.items(), strict=True):
        room = max(1, shards.max_tasks - len(groups) - left + 1)
        dealt = deal(
            [slide.seconds for slide in members],
            shards.model_copy(update={"max_tasks": room}),
            at_least=dialect_for(profile).at_once(shape.cpus),
        )
        groups += [(shape, [members[i] for i in shard]) for shard in dealt]
    # Equal shapes share an array, so they stand together; within one, longest first.
    return sorted(groups, key=lambda group: (group[0], -sum(s.seconds for s in group[1])))


def _to_avoid(failed: Sequence[str], profile: Profile, *, limits: QueueLimits) -> list[str]:
    """Nodes that took a slot with them, as far as others are left to run on.

    A node that the cluster does not have any more would be refused; so would one of `nodelist`.
    """
    known = limits.nodes or frozenset()
    avoided = sorted(known & set(failed))
    return avoided if len(avoided) < len(known) and not profile.nodelist else []


def _prepare(
    run: RunDir,
    groups: Sequence[tuple[Shape, Sequence[SlotSlide]]],
    *,
    limits: QueueLimits,
    number: int | None = None,
    exclude: Sequence[str] = (),
) -> PreparedAttempt:
    profile, number = run_profile(run), number or max(run.attempts(), default=0) + 1
    dialect, token = dialect_for(profile), _token(run)
    shapes = [shape for shape, _ in groups]
    jobs = dialect.arrays(shapes, profile=profile, token=token, attempt=number, limits=limits)
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
            array_script(run, profile, job, number=number, exclude=exclude) for job in jobs
        ),
        advance=None if dialect.runs_here else _advance(run, profile, token, number=number),
    )


def _token(run: RunDir) -> str:
    """What tells the jobs of this run directory from others', and from those of a copy of it."""
    told = f"{read_document(run).run_id}\0{run.root}"
    return hashlib.sha256(os.fsencode(told)).hexdigest()[:6]


def _advance(run: RunDir, profile: Profile, token: str, *, number: int) -> AdvanceJob:
    name = advance_name(token, number)
    return AdvanceJob(name=name, text=advance_script(run, profile, number=number, name=name))
