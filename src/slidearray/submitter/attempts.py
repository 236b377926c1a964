"""What an attempt would send: its slots, arrays and rendered scripts. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.queue import QueueLimits
from slidearray.core.resending import Resend, resend
from slidearray.core.sharding import deal
from slidearray.core.verdicts import State
from slidearray.errors import RunError
from slidearray.schedulers.arrays import advance_name
from slidearray.schedulers.dialect import dialect_for, queue_dialect_for
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.files import sha256_file
from slidearray.storage.frozen import frozen_manifest
from slidearray.storage.journal import last_committed
from slidearray.storage.plan_files import read_planned, read_rejected
from slidearray.storage.records import recorded_file_fault
from slidearray.storage.rundir import read_document
from slidearray.storage.slots import Slot, SlotSlide
from slidearray.submitter.scripts import advance_script, array_script

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


#: Where nobody asked the scheduler for its limits.
NOT_ASKED = QueueLimits(max_array_size=None, max_array_tasks=None, max_submit=None)


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
    shape = run_profile(run).shape()
    return _prepare(run, [(shape, shards[shard]) for shard in sorted(shards)], limits=limits)


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
    slides = _slot_slides(frozen_manifest(run).rows, read_planned(run.slides_table))
    groups = _regroup(sent, run_config(run), run_profile(run), slides=slides)
    exclude = _to_avoid(ledger.failed_nodes, run_profile(run), limits=asked.limits)
    prepared = _prepare(run, groups, limits=asked.limits, exclude=exclude)
    return replace(prepared, resends=tuple(sent))


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
    limits = asked.limits
    retry = replace(run_config(run).retry_policy(), max_memory_mb=limits.max_memory_mb)
    deep = FailureClass.LOST in asked.include
    found = ((name, _as_found(run, old, deep=deep)) for name, old in ledger.verdicts.items())
    again = (
        resend(slide_id, verdict, retry=retry, include=asked.include, by_hand=asked.by_hand)
        for slide_id, verdict in found
    )
    return [each for each in again if each]


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
    lone = [again for again in sent if again.alone]
    if len(lone) > config.shards.max_tasks:  # a slot each would be more than may be sent
        lone = []
    groups = [(again.shape, [slides[again.slide_id]]) for again in lone]
    apart = {again.slide_id for again in lone}
    together: dict[Shape, list[SlotSlide]] = {}
    for again in sent:
        if again.slide_id not in apart:
            together.setdefault(again.shape, []).append(slides[again.slide_id])
    for shape, members in together.items():
        seconds = [slide.seconds for slide in members]
        at_once = dialect_for(profile).at_once(shape.cpus)
        shards = deal(seconds, config.shards, at_least=at_once)
        groups += [(shape, [members[i] for i in shard]) for shard in shards]
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
    exclude: Sequence[str] = (),
) -> PreparedAttempt:
    profile, number = run_profile(run), max(run.attempts(), default=0) + 1
    dialect, token = dialect_for(profile), read_document(run).run_id[:6]
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


def _advance(run: RunDir, profile: Profile, token: str, *, number: int) -> AdvanceJob:
    name = advance_name(token, number)
    return AdvanceJob(name=name, text=advance_script(run, profile, number=number, name=name))
