"""`slidearray.yaml`: what to do with the slides."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from slidearray.core.geometry import MPP_AT_1X, parse_mpp
from slidearray.core.ids import name_fault
from slidearray.core.recipe import TileSpec, TissueSpec, canonical_json
from slidearray.core.resending import Retry
from slidearray.core.schema import (
    Section,
    key,
    parse_section,
    section_fault,
    without_control_characters,
)
from slidearray.errors import ConfigError

MAX_TILE_SIZE = 16384
MAX_STRIDE = 1_000_000

Text = Annotated[str, AfterValidator(without_control_characters)]
CountOrAuto = Annotated[int, Field(ge=1)] | Literal["auto"]


class TilesConfig(Section):
    """Where tiles lie, and at what resolution."""

    later = frozenset({"mpp_tolerance", "max_empty_fraction"})

    tile_size: int = key(
        f"a whole number from 1 to {MAX_TILE_SIZE}", default=256, ge=1, le=MAX_TILE_SIZE
    )
    stride: int = key(
        f"a whole number from 1 to {MAX_STRIDE}; tile_size when it is left out",
        default=None,
        validate_default=True,
        ge=1,
        le=MAX_STRIDE,
    )
    pad: bool = key("true or false", default=False)
    level: int | None = key("a whole number, 0 or more", default=None, ge=0)
    mpp: str | None = key("micrometres per pixel, from 0.01 to 1000", default=None)
    magnification: str | None = key(
        "a number from 0.01 to 1000, such as 20", default=None, validate_default=True
    )

    max_invalid_fraction: float = key("a share of tiles, from 0 to 1", default=0.0, ge=0, le=1)

    @field_validator("stride", mode="before")
    @classmethod
    def _tiles_that_touch(cls, value: object, info: ValidationInfo) -> object:
        return info.data.get("tile_size", 1) if value is None else value

    @field_validator("mpp", "magnification", mode="before")
    @classmethod
    def _exact_decimal(cls, value: object) -> object:
        """The decimal text itself: 0.1 as a binary float is not the 0.1 that was written."""
        text = str(value) if isinstance(value, int | float) else value
        if value is None or not isinstance(text, str):
            return value
        number = parse_mpp(text)
        if number is None or not Fraction(1, 100) <= number <= 1000:
            raise ValueError
        return text

    @field_validator("magnification")
    @classmethod
    def _one_resolution(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A key that is missing from `data` was given, and is at fault itself.
        given = [name for name in ("mpp", "level") if info.data.get(name, "") is not None]
        given += ["magnification"] if value is not None else []
        if len(given) != 1:
            raise section_fault(
                f"found {' and '.join(given) or 'no resolution'}; "
                "accepted: exactly one of mpp, level and magnification"
            )
        return value


class TissueConfig(Section):
    """How tissue is told from glass."""

    method: Literal["otsu", "none"] = key("otsu or none", default="otsu", later=("hsv", "mask"))
    min_coverage: float = key(
        "share of a tile's area that is tissue, from 0 to 1", default=0.5, ge=0, le=1
    )


class EncoderConfig(Section):
    """What turns tiles into features."""

    name: Text = key("color-texture, or python:MODULE_OR_FILE:factory")
    label: str | None = key("a name for its folder and store", default=None)
    batch_size: int = key("a whole number from 1 to 65536", default=64, ge=1, le=65536)
    options: dict[str, Any] = key("a mapping of the encoder's own settings", default={})

    @field_validator("label")
    @classmethod
    def _filename_safe(cls, value: str | None) -> str | None:
        if value is not None and (fault := name_fault(value)):
            raise ValueError(fault)
        return value

    @field_validator("options")
    @classmethod
    def _reads_back_equal(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical_json(value)
        except ConfigError as err:
            raise ValueError(str(err)) from None
        return value


class SaveConfig(Section):
    """What is kept of each slide."""

    features: Literal[True] = key("true", default=True, later=(False,))
    tiles: Literal[False] = key("false", default=False, later=(True,))
    masks: Literal[False] = key("false", default=False, later=(True,))


class ShardsConfig(Section):
    """How slides are dealt to array tasks."""

    target_minutes: float = key("minutes, 0.1 or more", default=30.0, ge=0.1)
    slides_per_task: CountOrAuto = key("auto, or a whole number, 1 or more", default="auto")
    max_tasks: int = key("a whole number, 1 or more", default=1000, ge=1)


class RetryConfig(Section):
    """How often, and with how much more, a slide that failed is tried again."""

    max_attempts: int = key("a whole number, 1 or more", default=3, ge=1)
    auto: bool = key("true or false", default=True)
    memory_factor: float = key("a number from 1 to 100", default=2.0, ge=1, le=100)
    walltime_factor: float = key("a number from 1 to 100", default=1.5, ge=1, le=100)


class ReduceConfig(Section):
    """How feature files become one store."""

    later = frozenset({"by"})

    layout: Literal["stacked"] = key("stacked", default="stacked", later=("grouped", "virtual"))


class Config(Section):
    """All of `slidearray.yaml`; relative paths start at its folder."""

    later = frozenset(
        {
            "steps",
            "process",
            "mpp_tolerance",
            "max_empty_fraction",
        }
    )

    version: int = key("1", ge=1, le=1)
    manifest: Text = key("path of a CSV file")
    run_dir: Text = key("path of a folder that `plan` makes")
    tiles: TilesConfig = key("")
    tissue: TissueConfig = key("", default=TissueConfig())
    encoder: EncoderConfig = key("", later=(None, list))
    save: SaveConfig = key("", default=SaveConfig())
    shards: ShardsConfig = key("", default=ShardsConfig())
    retry: RetryConfig = key("", default=RetryConfig())
    reduce: ReduceConfig = key("", default=ReduceConfig())
    reader: Literal["auto", "openslide", "fast"] = key("auto, openslide or fast", default="auto")

    def tile_spec(self) -> TileSpec:
        """The tiles asked for, resolution exact."""
        tiles = self.tiles
        mpp = Fraction(tiles.mpp) if tiles.mpp is not None else None
        if tiles.magnification is not None:
            mpp = MPP_AT_1X / Fraction(tiles.magnification)
        return TileSpec(
            tile_size=tiles.tile_size,
            stride=tiles.stride,
            pad=tiles.pad,
            level=tiles.level,
            mpp=mpp,
        )

    def tissue_spec(self) -> TissueSpec:
        """The tissue asked for."""
        return TissueSpec(method=self.tissue.method, min_coverage=self.tissue.min_coverage)

    def retry_policy(self) -> Retry:
        """How slides are tried again."""
        return Retry(
            max_attempts=self.retry.max_attempts,
            memory_factor=self.retry.memory_factor,
            walltime_factor=self.retry.walltime_factor,
        )


def parse_config(raw: object, *, source: str) -> Config:
    """The config that a YAML file holds.

    Parameters
    ----------
    raw
        What the file holds, or what `Config.to_json` gave.
    source
        The file's name, for messages.

    Raises
    ------
    ConfigError
        With one line for each fault.
    """
    return parse_section(Config, raw, source=source, error=ConfigError)
