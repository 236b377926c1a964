"""Predictions corrected by what slides really took in earlier runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slidearray.core.cost import BASE_MEGABYTES, Costs

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Slides below which chance says more than they do.
LEAST_SLIDES = 10
#: Share of the slides that the predicted memory has to be enough for.
MEMORY_QUANTILE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One slide of an earlier run."""

    model_s: float  # what `core.cost` predicted, before any refinement
    real_s: float
    base_mb: float | None  # the most memory it held, less its features; None: not told


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How predictions are corrected."""

    factor: float  # real seconds per predicted second
    base_megabytes: int  # held beside the features
    slides: int  # that it was learnt from

    def applied(self, costs: Costs) -> Costs:
        """The costs, corrected."""
        return Costs(
            seconds=costs.seconds * self.factor,
            megabytes=costs.megabytes + (self.base_megabytes - BASE_MEGABYTES),
        )


def refine(slides: Sequence[Observed]) -> Refinement | None:
    """What earlier slides teach; None when they are fewer than ten.

    The factor is the median of real over predicted seconds in which a slide counts by its
    predicted seconds: one that hung changes nothing, and many short slides, which are all
    overhead, do not decide for the long ones.
    """
    told = [slide for slide in slides if slide.model_s > 0]
    if len(told) < LEAST_SLIDES:
        return None
    ranked = sorted((slide.real_s / slide.model_s, slide.model_s) for slide in told)
    half, seconds = math.fsum(weight for _, weight in ranked) / 2, 0.0
    factor = ranked[-1][0]
    for ratio, weight in ranked:
        seconds += weight
        if seconds >= half:
            factor = ratio
            break
    bases = sorted(slide.base_mb for slide in told if slide.base_mb is not None)
    return Refinement(factor=factor, base_megabytes=_enough(bases), slides=len(told))


def _enough(bases: Sequence[float]) -> int:
    """Memory that is enough for nearly all; what `core.cost` says where too few told."""
    if len(bases) < LEAST_SLIDES:
        return BASE_MEGABYTES
    return max(1, math.ceil(bases[math.ceil(MEMORY_QUANTILE * len(bases)) - 1]))
