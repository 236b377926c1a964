"""What a plan decides about slides, once their headers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slidearray.core.classes import PERMANENT
from slidearray.core.cost import REUSED_SECONDS, Costs, kept_share, predict
from slidearray.core.refinement import refine
from slidearray.core.sharding import deal, task_ceiling

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from slidearray.core.config import Config, ShardsConfig
    from slidearray.core.refinement import Observed, Refinement
    from slidearray.errors import SlideError


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What headers say of many slides; one entry a slide in each array."""

    tiles: NDArray[np.int64]  # of the whole grid; 0 where no header could be read
    target_pixels: NDArray[np.float64]  # of all tiles at the target resolution; overlaps count
    read_pixels: NDArray[np.float64]  # of all tiles at the level that is read
    tissue: NDArray[np.float64]  # share of the slide that is tissue; 1 where it is not known
    faults: dict[int, SlideError]  # of slides that cannot be used, or not be read just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many array tasks there may be."""

    at_least: int = 1  # surely run at once
    max_array: int | None = None  # that one array holds
    max_submit: int | None = None  # that may be submitted at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a plan decided about the accepted slides; an entry each, in the manifest's order."""

    shard: list[int]
    seconds: list[float]
    megabytes: list[int]
    model_seconds: list[float] | None  # before they were refined; None: they were not


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the slides of a plan come to."""

    tiles: int  # of the whole slides: there will not be more
    expected_tiles: int  # of those, as many as there is tissue
    seconds: float


class Planning:
    """The slides that are accepted, while it is decided what becomes of them.

    Parameters
    ----------
    found
        What is known of every slide of the manifest.
    config
        What they are for.
    feature_dim
        Numbers that a tile becomes.
    """

    def __init__(self, found: Survey, config: Config, *, feature_dim: int) -> None:
        self._found = found
        self._share = kept_share(found.tissue, config.tissue_spec())
        self._model = predict(
            target_pixels=found.target_pixels,
            read_pixels=found.read_pixels,
            share=self._share,
            tile_pixels=config.tiles.tile_size**2,
            feature_dim=feature_dim,
        )
        self._refinement: Refinement | None = None
        self._reused: list[int] = []
        self._shards: list[list[int]] = []
        self.rejected = {
            index: error for index, error in found.faults.items() if error.failure in PERMANENT
        }
        self.accepted = [index for index in range(len(found.tiles)) if index not in self.rejected]
        self.notes: list[str] = []  # what a person should know of it, one line each

    @property
    def tasks(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    def refine(self, slides: Sequence[Observed], *, source: str) -> None:
        """Correct the predictions by what slides of earlier runs took; `source` names the runs."""
        self._refinement = made = refine(slides)
        if made:
            self.notes.append(
                f"predictions refined by {made.slides} slides of {source}: seconds x "
                f"{made.factor:.2f}, {made.base_megabytes} MB beside the features"
            )

    def reuse(self, indices: Collection[int]) -> None:
        """Slides whose features are there: they take nearly no time."""
        self._reused += indices

    def pack(self, shards: ShardsConfig, room: Room) -> None:
        """Deal the slides to shards."""
        ceiling = task_ceiling(
            shards.max_tasks, max_array=room.max_array, max_submit=room.max_submit
        )
        if ceiling < shards.max_tasks:
            self.notes.append(
                f"at most {ceiling} array tasks where shards.max_tasks allows {shards.max_tasks}: "
                "the scheduler takes no more of them at once"
            )
        self._shards = deal(
            self._seconds(self._costs())[self.accepted].tolist(),
            shards.model_copy(update={"max_tasks": ceiling}),
            at_least=room.at_least,
        )

    def decided(self) -> Decided:
        """What is decided about each accepted slide."""
        shard_of = np.empty(len(self.accepted), np.int64)
        for shard, members in enumerate(self._shards):
            shard_of[members] = shard
        costs = self._costs()
        return Decided(
            shard=shard_of.tolist(),
            seconds=self._seconds(costs)[self.accepted].tolist(),
            megabytes=costs.megabytes[self.accepted].tolist(),
            model_seconds=(
                self._seconds(self._model)[self.accepted].tolist() if self._refinement else None
            ),
        )

    def totals(self) -> Totals:
        """What the accepted slides come to."""
        tiles = self._found.tiles[self.accepted]
        expected = np.ceil(tiles * self._share[self.accepted])
        seconds = self._seconds(self._costs())[self.accepted]
        return Totals(
            tiles=int(tiles.sum()),
            expected_tiles=int(expected.sum()),
            seconds=float(seconds.sum()),
        )

    def _costs(self) -> Costs:
        return self._refinement.applied(self._model) if self._refinement else self._model

    def _seconds(self, costs: Costs) -> NDArray[np.float64]:
        seconds = costs.seconds.copy()
        seconds[self._reused] = REUSED_SECONDS
        return seconds
