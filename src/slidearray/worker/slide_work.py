"""One slide: from its file to its feature file, and what the record says of it."""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from contextlib import closing, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from slidearray.core.differences import differences
from slidearray.core.geometry import (
    MPP_AT_1X,
    is_plausible,
    parse_mpp,
    tile_grid,
    too_many_invalid,
)
from slidearray.core.recipe import Recipe, slide_key
from slidearray.encoders.contract import encode_checked, load_encoder
from slidearray.errors import RunError, SlideError, StoreError
from slidearray.slides.choice import insist, open_slide
from slidearray.slides.fingerprint import fingerprint
from slidearray.slides.reader import effective_override, slide_shape
from slidearray.slides.tiles import ahead, select_tiles, tile_batches
from slidearray.storage.feature_file import (
    FeatureData,
    check_feature_file,
    file_facts,
    read_facts,
    write_feature_file,
)
from slidearray.storage.rundir import read_document
from slidearray.worker.faults import classified
from slidearray.worker.tile_features import TileFeatures

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.core.events import Event
    from slidearray.core.geometry import SlideShape, TileGrid
    from slidearray.core.recipe import EncoderSpec
    from slidearray.slides.contract import SlideReader
    from slidearray.slides.reader import SlideHeader
    from slidearray.storage.feature_file import FileFacts
    from slidearray.storage.rundir import Output, RunDir
    from slidearray.storage.slots import SlotSlide


class SlideWork:
    """Makes the feature files of one output, slide by slide.

    Parameters
    ----------
    run
        The run directory.
    token
        Names this execution in temporary files.
    cpus
        Threads that may read tiles.

    Raises
    ------
    RunError
        The code or the encoder at hand would not make the features that were planned.
    EncoderError
        The encoder cannot be loaded.
    """

    def __init__(self, run: RunDir, *, token: str, cpus: int) -> None:
        document = read_document(run)
        (output,) = document.outputs
        self._run = run
        self._token = token
        self._cpus = cpus
        self._pid = os.getpid()
        self._label = output.label
        self._reader = document.config.get("reader", "auto")  # runs of 0.1.0 do not tell
        tiles = document.config.get("tiles", {})
        self._max_invalid = float(tiles.get("max_invalid_fraction", 0))
        asked = document.config["encoder"]
        self._batch_size = int(asked["batch_size"])
        self._loaded = load_encoder(asked["name"], asked["options"], root=run.project)
        self._recipe = _as_planned(output, encoder=self._loaded.spec, document=run.document)

    def do(self, slide: SlotSlide) -> Event:
        """Make a slide's feature file; whatever goes wrong is in the event, as a failure."""
        began = time.perf_counter()
        path = self._run.feature_file(self._label, cohort=slide.cohort, slide_id=slide.slide_id)
        try:
            result = self._result(slide, path)
        except BaseException as error:  # of an encoder, which may raise anything
            if not isinstance(error, SlideError):
                with suppress(OSError):
                    traceback.print_exc(file=sys.stderr)
            failure, reason = classified(error, writing=path)
            result = {"event": "failed", "failure": failure, "reason": reason}
        self._end_copies()
        seconds = round(time.perf_counter() - began, 3)
        return {"slide_id": slide.slide_id, "seconds": seconds, **result}

    def _result(self, slide: SlotSlide, path: Path) -> Event:
        source = self._run.project / slide.path
        with open_slide(source, reader=self._reader) as reader:
            override = effective_override(reader.header, slide.mpp)
            shape = slide_shape(reader.header, mpp_override=override)
            grid = tile_grid(shape, self._recipe.tiles)
            insist(reader, level=grid.level, asked=self._reader)
            key = slide_key(
                fingerprint=fingerprint(source),
                mpp_override=override,
                interpolated=reader.interpolates(grid.level),
            )
            if (finished := self._finished(path, key)) is not None:
                return finished
            made = self._features(reader, grid)
            header = reader.header
        self._end_copies()
        about = _about(header, shape, grid=grid, magnification=slide.magnification)
        features, coords, valid = made.finished()
        empty = None if len(coords) else _why_empty(grid, dropped=made.dropped)
        data = FeatureData(
            features=features,
            coords=coords,
            slide_id=slide.slide_id,
            model=self._loaded.encoder.name,
            recipe_digest=self._recipe.digest,
            slide_key=key,
            feature_names=self._loaded.feature_names,
            valid=valid,
            **about,
        )
        if not self._run.document.exists():  # its folders would be made anew, beside nothing
            raise RunError(f"{self._run.root}: moved or removed while its slots were at work")
        facts = write_feature_file(path, data, token=self._token)
        event = self._made(path, facts, key=key, num_tiles=len(coords), dropped=made.dropped)
        if valid is not None:
            event["invalid_tiles"] = int((~valid).sum())
        return {**event, "reason": empty} if empty else event

    def _end_copies(self) -> None:
        """End a copy of this process that an encoder's fork left running our code."""
        if os.getpid() != self._pid:
            os._exit(0)

    def _finished(self, path: Path, key: str) -> Event | None:
        """The result of another execution, when it is current and sound."""
        try:
            found = read_facts(path)
        except StoreError:
            return None
        current = (found.recipe_digest, found.slide_key) == (self._recipe.digest, key)
        if not current or check_feature_file(path):
            return None
        if too_many_invalid(found.num_invalid, tiles=found.num_tiles, allowed=self._max_invalid):
            return None
        facts = file_facts(path, content_digest=found.content_digest)
        return self._made(path, facts, key=key, num_tiles=found.num_tiles, dropped=None)

    def _made(
        self, path: Path, facts: FileFacts, *, key: str, num_tiles: int, dropped: int | None
    ) -> Event:
        """The event of a feature file that is there; `dropped` None: it was there before."""
        return {
            "event": "done" if num_tiles else "empty",
            "slide_key": key,
            "num_tiles": num_tiles,
            "dropped_tiles": dropped,
            "reused": dropped is None,
            "file": {
                "label": self._label,
                "path": path.relative_to(self._run.root).as_posix(),
                **asdict(facts),
            },
        }

    def _features(self, reader: SlideReader, grid: TileGrid) -> TileFeatures:
        selection = select_tiles(reader, grid, self._recipe.tissue)
        features = TileFeatures(selection, dim=self._recipe.encoder.feature_dim)
        batches = tile_batches(
            reader,
            selection,
            self._batch_size,
            threads=self._cpus,
            max_invalid_fraction=self._max_invalid,
        )
        with closing(ahead(batches) if self._cpus > 1 else batches) as batches:
            for batch in batches:
                try:
                    encoded = encode_checked(self._loaded, batch.tiles)
                finally:
                    self._end_copies()  # none of the threads that read is there in a copy
                features.add(batch, encoded)
        return features


def _as_planned(output: Output, *, encoder: EncoderSpec, document: Path) -> Recipe:
    """The recipe of what would be made here, once it is sure that it is what was planned."""
    where = f"{document}: output {output.label}"
    try:
        planned = Recipe.from_json(output.recipe)
    except RunError as error:
        raise RunError(f"{where}: {error}") from None
    recipe = replace(planned, encoder=encoder)
    if recipe.digest != output.recipe_digest:
        raise RunError(f"{where}: {_what_differs(recipe, output)}")
    return recipe


def _what_differs(recipe: Recipe, output: Output) -> str:
    texts = [
        f"{key} was {planned!r} in the plan and is {here!r} here"
        for key, planned, here in differences(output.recipe, recipe.to_json())
    ]
    if not texts:
        return "its recipe is not the one of its digest: the file was changed after the plan"
    return (
        f"planned with other features than would be made here: {'; '.join(texts)} (recipe "
        f"digest {output.recipe_digest[:12]} planned, {recipe.digest[:12]} here); bring back what "
        "was planned, or plan a new run"
    )


def _why_empty(grid: TileGrid, *, dropped: int) -> str:
    """Why a slide has no tile."""
    if 0 in grid.counts:
        width, height = (
            math.floor(n / s * d)
            for n, d, s in zip(grid.level_size, grid.downsample, grid.scale, strict=True)
        )
        return f"no tile fits: {width}x{height} px where a tile has {grid.tile_size}"
    return f"all {dropped} tiles are transparent" if dropped else "no tile has enough tissue"


def _about(
    header: SlideHeader, shape: SlideShape, *, grid: TileGrid, magnification: str
) -> dict[str, Any]:
    """What a feature file says of the slide and its tiles; of the x axis where both may differ.

    The manifest's `magnification` goes before the header's; where neither tells it, it is that of
    the resolution. A resolution that no slide has is not passed on.
    """
    mpp_level0 = shape.mpp[0] if shape.mpp and is_plausible(shape.mpp) else None
    mpp = mpp_level0 * grid.scale[0] if mpp_level0 is not None else None
    told = parse_mpp(magnification or header.magnification or "")
    objective = told or (MPP_AT_1X / mpp_level0 if mpp_level0 else None)
    target = objective / grid.scale[0] if objective else None
    return {
        "mpp": None if mpp is None else float(mpp),
        "mpp_level0": None if mpp_level0 is None else float(mpp_level0),
        "patch_size": grid.tile_size,
        "patch_size_level0": grid.l0_tile_size,
        "level0_width": header.width,
        "level0_height": header.height,
        "level0_magnification": float(objective) if objective else None,
        "target_magnification": None if target is None else float(target),
        "overlap": grid.tile_size - grid.stride,
    }
