"""efficiency: what slots used of what they asked for, and what the next run should ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slidearray.core.efficiency import by_shape, worst
from slidearray.core.profile_yaml import profile_yaml
from slidearray.core.slot_use import slot_use
from slidearray.core.suggesting import MIN_SLOTS, missed_target, suggestions
from slidearray.errors import SlidearrayError
from slidearray.storage.configs import run_config, run_profile
from slidearray.storage.evidence import read_evidence
from slidearray.storage.plan_files import read_planned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from slidearray.core.config import ShardsConfig
    from slidearray.core.efficiency import ShapeUse
    from slidearray.core.shapes import Shape
    from slidearray.core.slot_use import SlotUse
    from slidearray.core.suggesting import Suggestion
    from slidearray.storage.evidence import Evidence
    from slidearray.storage.rundir import RunDir

#: How many of the worst slots are named.
NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyReport:
    """What a run's slots used, and what follows from it."""

    run: str
    shapes: tuple[ShapeUse, ...]
    worst: tuple[SlotUse, ...]
    suggestions: tuple[Suggestion, ...]
    notes: tuple[str, ...]  # what else to know, a line each
    profile: str  # the run's profile with the suggested values, as a file

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run,
            "shapes": [shape.to_json() for shape in self.shapes],
            "worst": [_plain(use) for use in self.worst],
            "suggestions": [suggestion.to_json() for suggestion in self.suggestions],
            "notes": list(self.notes),
            "profile": self.profile,
        }


def run_efficiency(run: RunDir) -> EfficiencyReport:
    """Compare what a run's slots asked for with what they used; asks no scheduler.

    Raises
    ------
    RunError
        A damaged file of the run directory.
    """
    predicted = {slide.slide_id: slide.seconds for slide in read_planned(run.slides_table)}
    found = [read_evidence(run.attempt(number)) for number in run.attempts()]
    slots = [(each.journal.number, slot.shape) for each in found for slot in each.slots]
    uses = [use for each in found for use in _uses(each, predicted)]
    profile = run_profile(run)
    asked = profile.shape()
    shards = run_config(run).shards
    suggested = suggestions(uses, asked=asked, shards=shards)
    changes = [each for each in suggested if each.file == "profile"]
    how = "with what its slots suggest" if changes else "as it was"
    head = f"The profile {profile.name} of {run.root.name}, {how}."
    return EfficiencyReport(
        run=str(run.root),
        shapes=tuple(by_shape(slots, uses)),
        worst=tuple(worst(uses, NAMED)),
        suggestions=suggested,
        notes=tuple(_notes(uses, suggested, asked=asked, shards=shards)),
        profile=profile_yaml(profile, changes, head=head),
    )


def write_profile(report: EfficiencyReport, path: Path) -> None:
    """Write the profile of a report to a new file.

    Raises
    ------
    SlidearrayError
        Something is there already, or it cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(report.profile)
    except FileExistsError:
        raise SlidearrayError(
            f"{path}: exists, and nothing is written over it; give the name of a new file"
        ) from None
    except OSError as error:
        raise SlidearrayError(f"{path}: cannot be written: {error.strerror}") from None


def _uses(found: Evidence, predicted: Mapping[str, float]) -> Iterator[SlotUse]:
    """What is known of every slot of an attempt that began to work."""
    for number, slot in enumerate(found.slots):
        end = found.journal.ends.get(number)
        outcome = found.sealed[number] if found.sealed else end.outcome if end else None
        use = slot_use(
            (found.journal.number, number),
            slot.shape,
            predicted={slide_id: predicted.get(slide_id, 0.0) for slide_id in slot.slide_ids},
            executions=found.executions.get(number, []),
            outcome=outcome,
        )
        if use:
            yield use


def _notes(
    uses: list[SlotUse], suggested: Sequence[Suggestion], *, asked: Shape, shards: ShardsConfig
) -> Iterator[str]:
    """Why nothing is suggested, and what is no suggestion."""
    told = sum(use.shape == asked and use.finished and use.done > 0 for use in uses)
    if told < MIN_SLOTS:
        yield (
            f"{told} slots came to their end as the profile has them; "
            f"{MIN_SLOTS} are needed to suggest other values"
        )
    elif not suggested:
        yield "nothing to change: what was asked for fits what was used"
    if missed := missed_target(uses, asked=asked, shards=shards):
        yield missed


def _plain(use: SlotUse) -> dict[str, Any]:
    return {**asdict(use), "short_of": sorted(use.short_of), "cpu_share": use.cpu_share}
