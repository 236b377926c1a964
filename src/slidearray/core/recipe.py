"""What decides the features of every slide (the recipe) and of one slide (its key)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from slidearray.core.differences import differences
from slidearray.errors import ConfigError, RunError

RECIPE_VERSION = 1  # the canonical form below
PIXEL_RULE = 1  # raised whenever any slide's pixels would change
TISSUE_OTSU_VERSION = 1  # raised whenever Otsu's tissue would change
MPP_TOLERANCE = Fraction(1, 100)  # within it a level's own scale is used


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSpec:
    """Square tiles on a regular grid, all at one resolution: a level's own, or an mpp.

    Raises
    ------
    ConfigError
        A size below 1, or not exactly one of `level` and `mpp`.
    """

    tile_size: int  # tile edge, in pixels at the target resolution
    stride: int  # step between tile corners, in the same pixels
    pad: bool = False  # tiles may reach over the far edges; the outside is white
    level: int | None = None  # read at exactly this level
    mpp: Fraction | None = None  # micrometres per pixel of the target

    def __post_init__(self) -> None:
        if self.tile_size < 1 or self.stride < 1:
            raise ConfigError(
                f"tiles: tile_size {self.tile_size} and stride {self.stride}: both are 1 or more"
            )
        if (self.level is None) == (self.mpp is None):
            raise ConfigError("tiles: exactly one of level and mpp (or magnification) is needed")
        if (self.level is not None and self.level < 0) or (self.mpp is not None and self.mpp <= 0):
            raise ConfigError("tiles: level is 0 or more, mpp is more than 0")

    def to_json(self) -> dict[str, Any]:
        """The canonical form."""
        resolution = {"level": self.level} if self.mpp is None else {"mpp": _ratio(self.mpp)}
        return {
            "tile_size": self.tile_size,
            "stride": self.stride,
            "pad": self.pad,
            "mpp_tolerance": _ratio(MPP_TOLERANCE),
            **resolution,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueSpec:
    """How tissue is told from glass, and how much of a tile must be tissue."""

    method: str  # "otsu" or "none"
    min_coverage: float  # share of a tile's area, 0 to 1; without meaning for "none"

    def to_json(self) -> dict[str, Any]:
        """The canonical form: nothing that `method` does not use."""
        if self.method == "none":
            return {"method": "none"}
        return {
            "method": self.method,
            "min_coverage": float(self.min_coverage),
            "version": TISSUE_OTSU_VERSION,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """The encoder, as far as it decides features."""

    name: str
    options: dict[str, Any]  # JSON values, as the user wrote them
    version: int  # of the encoder's algorithm
    weights_sha256: str | None
    source_sha256: str | None  # of the user's file, for `python:` encoders
    feature_dim: int

    def to_json(self) -> dict[str, Any]:
        """The canonical form."""
        return {
            "name": self.name,
            "options": _plain(self.options, where=f"options of encoder {self.name}"),
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "source_sha256": self.source_sha256,
            "feature_dim": self.feature_dim,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides the features of every slide; one an output."""

    tiles: TileSpec
    tissue: TissueSpec
    encoder: EncoderSpec

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex."""
        return _sha256(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The canonical form, of plain JSON values."""
        return {
            "recipe_version": RECIPE_VERSION,
            "pixel_rule": PIXEL_RULE,
            "tiles": self.tiles.to_json(),
            "tissue": self.tissue.to_json(),
            "encoder": self.encoder.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Recipe:
        """The recipe of which `document` is the canonical form.

        Raises
        ------
        RunError
            `document` is damaged, or was written by a version with other rules.
        """
        try:
            recipe = cls(
                tiles=_tiles(document["tiles"]),
                tissue=_tissue(document["tissue"]),
                encoder=EncoderSpec(**document["encoder"]),
            )
            written = recipe.to_json()
        except (
            LookupError,
            TypeError,
            AttributeError,
            ValueError,
            ArithmeticError,
            ConfigError,
        ) as err:
            raise RunError(f"a recipe that cannot be read: {type(err).__name__}: {err}") from err
        if different := differences(document, written):
            texts = [
                f"{key} is {there!r} there and {here!r} here" for key, there, here in different
            ]
            raise RunError(
                f"a recipe of another version of slidearray: {'; '.join(texts)}; "
                "plan a new run with this version, or continue with the one that planned it"
            )
        return recipe


def slide_key(*, fingerprint: str, mpp_override: Fraction | None, interpolated: bool) -> str:
    """SHA-256 (hex) of what decides one slide's features beside the recipe.

    Parameters
    ----------
    fingerprint
        Digest of the slide's bytes.
    mpp_override
        The manifest's mpp, where it replaces the header's.
    interpolated
        The reader can only interpolate the level that is read.
    """
    # What does not apply is left out, so that keys made today stay valid when more is added.
    parts: dict[str, Any] = {"fingerprint": fingerprint}
    if mpp_override is not None:
        parts["mpp_override"] = _ratio(mpp_override)
    if interpolated:
        parts["interpolated"] = True
    return _sha256(parts)


def canonical_json(value: object) -> str:
    """The one JSON text of `value`: keys sorted, no spaces, characters as they are.

    Raises
    ------
    ConfigError
        Something in `value` has no JSON form that reads back equal (NaN, a date, a key that is
        not text, half a surrogate pair).

    Examples
    --------
    >>> canonical_json({"b": [1, 0.5], "a": None})
    '{"a":null,"b":[1,0.5]}'
    """
    return json.dumps(
        _plain(value, where="value"),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def _sha256(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _plain(value: object, *, where: str) -> Any:
    """`value` of dicts, lists and scalars only, or ConfigError naming the place."""
    match value:
        case None | bool() | int():
            return value
        case str() if _encodable(value):
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {_key(k, where=where): _plain(v, where=f"{where}.{k}") for k, v in value.items()}
        case Sequence() if not isinstance(value, str | bytes | bytearray):
            return [_plain(v, where=f"{where}[{i}]") for i, v in enumerate(value)]
    raise ConfigError(
        f"{where}: {value!r} ({type(value).__name__}) cannot be kept in a recipe; "
        "accepted are text, finite numbers, true, false, null, lists and mappings of them"
    )


def _key(key: object, *, where: str) -> str:
    # JSON would turn 1 into "1", and 10 sorts before 9 only as text: the digest would change.
    if isinstance(key, str) and _encodable(key):
        return key
    raise ConfigError(f"{where}: the key {key!r} is not text; put it in quotes")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _tiles(document: Mapping[str, Any]) -> TileSpec:
    mpp = document.get("mpp")
    return TileSpec(
        tile_size=document["tile_size"],
        stride=document["stride"],
        pad=document["pad"],
        level=document.get("level"),
        mpp=None if mpp is None else Fraction(mpp),
    )


def _tissue(document: Mapping[str, Any]) -> TissueSpec:
    return TissueSpec(method=document["method"], min_coverage=document.get("min_coverage", 0.0))
