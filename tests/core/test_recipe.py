from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core import recipe as module
from slidearray.core.recipe import (
    EncoderSpec,
    Recipe,
    TileSpec,
    TissueSpec,
    canonical_json,
    slide_key,
)
from slidearray.errors import ConfigError, RunError

TILES = TileSpec(tile_size=256, stride=224, mpp=Fraction(1, 2))
OTSU = TissueSpec(method="otsu", min_coverage=0.5)
ENCODER = EncoderSpec(
    name="color-texture",
    options={"bins": 8},
    version=1,
    weights_sha256=None,
    source_sha256=None,
    feature_dim=96,
)
RECIPE = Recipe(tiles=TILES, tissue=OTSU, encoder=ENCODER)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_canonical_form_is_what_files_made_today_were_made_with() -> None:
    assert canonical_json(RECIPE.to_json()) == (
        '{"encoder":{"feature_dim":96,"name":"color-texture","options":{"bins":8},'
        '"source_sha256":null,"version":1,"weights_sha256":null},"pixel_rule":1,'
        '"recipe_version":1,"tiles":{"mpp":"1/2","mpp_tolerance":"1/100","pad":false,'
        '"stride":224,"tile_size":256},"tissue":{"method":"otsu","min_coverage":0.5,"version":1}}'
    )
    assert RECIPE.digest == "3b9c1168790b044131fb4564e08cccf74ad3c204c914b9136103a6b1f320470c"


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, tiles=replace(TILES, tile_size=255)),
        replace(RECIPE, tiles=replace(TILES, stride=256)),
        replace(RECIPE, tiles=replace(TILES, pad=True)),
        replace(RECIPE, tiles=replace(TILES, mpp=Fraction("0.50000000000000001"))),
        replace(RECIPE, tiles=replace(TILES, mpp=None, level=0)),
        replace(RECIPE, tiles=replace(TILES, mpp=None, level=1)),
        replace(RECIPE, tissue=replace(OTSU, min_coverage=0.25)),
        replace(RECIPE, tissue=replace(OTSU, method="none")),
        replace(RECIPE, encoder=replace(ENCODER, name="other")),
        replace(RECIPE, encoder=replace(ENCODER, options={"bins": 9})),
        replace(RECIPE, encoder=replace(ENCODER, options={})),
        replace(RECIPE, encoder=replace(ENCODER, version=2)),
        replace(RECIPE, encoder=replace(ENCODER, weights_sha256="a")),
        replace(RECIPE, encoder=replace(ENCODER, source_sha256="a")),
        replace(RECIPE, encoder=replace(ENCODER, feature_dim=97)),
    ],
)
def test_whatever_changes_features_changes_the_digest(other: Recipe) -> None:
    assert other.digest != RECIPE.digest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECIPE_VERSION", 2),
        ("PIXEL_RULE", 2),
        ("TISSUE_OTSU_VERSION", 2),
        ("MPP_TOLERANCE", Fraction(1, 50)),
    ],
)
def test_our_own_rules_are_part_of_the_digest_and_other_rules_are_refused(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, document = RECIPE.digest, RECIPE.to_json()
    monkeypatch.setattr(module, name, value)
    assert before != RECIPE.digest
    with pytest.raises(RunError, match="another version of slidearray"):
        Recipe.from_json(document)


def test_the_refusal_of_other_rules_names_them() -> None:
    document = {**RECIPE.to_json(), "pixel_rule": 7}
    with pytest.raises(RunError, match="pixel_rule is 7 there and 1 here"):
        Recipe.from_json(document)
    document = RECIPE.to_json()
    document["tissue"]["version"] = 3
    with pytest.raises(RunError, match=r"tissue\.version is 3 there and 1 here"):
        Recipe.from_json(document)


def test_what_is_not_used_is_not_part_of_the_digest() -> None:
    none = replace(RECIPE, tissue=TissueSpec(method="none", min_coverage=0.5))
    assert none.digest == replace(RECIPE, tissue=TissueSpec(method="none", min_coverage=0.1)).digest
    whole = replace(RECIPE, tissue=replace(OTSU, min_coverage=1))
    assert whole.digest == replace(RECIPE, tissue=replace(OTSU, min_coverage=1.0)).digest


@given(
    options=st.dictionaries(st.text(), JSON, max_size=4),
    mpp=st.none() | st.fractions(min_value=Fraction(1, 10**20), max_value=100),
    method=st.sampled_from(["otsu", "none"]),
    coverage=st.floats(0, 1),
    pad=st.booleans(),
)
def test_a_recipe_reads_back_from_its_file_with_the_same_digest(
    options: dict[str, Any], mpp: Fraction | None, method: str, coverage: float, pad: bool
) -> None:
    made = Recipe(
        tiles=TileSpec(tile_size=8, stride=3, pad=pad, level=2 if mpp is None else None, mpp=mpp),
        tissue=TissueSpec(method=method, min_coverage=coverage),
        encoder=replace(ENCODER, options=options),
    )
    read = Recipe.from_json(json.loads(json.dumps(made.to_json())))
    assert read.digest == made.digest
    assert read.tiles == made.tiles
    assert read.encoder == made.encoder


@pytest.mark.parametrize(
    "damage",
    [
        {"tiles": None},
        {"tiles": []},
        {"tiles": {}},
        {"tissue": {}},
        {"encoder": {"name": "x"}},
        {"encoder": {**ENCODER.to_json(), "surprise": 1}},
        {"tiles": {**TILES.to_json(), "mpp": "1/0"}},
        {"tiles": {**TILES.to_json(), "mpp": "a"}},
        {"tiles": {**TILES.to_json(), "tile_size": "256"}},
        {"tiles": {**TILES.to_json(), "tile_size": 0}},
        {"tiles": {**TILES.to_json(), "level": 0}},
        {"steps": []},
    ],
)
def test_a_damaged_recipe_is_refused_without_a_traceback(damage: dict[str, Any]) -> None:
    document = {**RECIPE.to_json(), **damage}
    with pytest.raises(RunError, match="a recipe "):
        Recipe.from_json(document)


@given(JSON)
def test_canonical_json_reads_back_equal_and_is_one_text(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_does_not_depend_on_order_or_containers() -> None:
    assert canonical_json({"b": (1, 2), "a": "é"}) == '{"a":"é","b":[1,2]}'
    assert canonical_json({"a": "é", "b": [1, 2]}) == '{"a":"é","b":[1,2]}'


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, math.nan]}, r"a\[1\]"),
        ({"a": math.inf}, "a"),
        ({"day": date(2024, 1, 1)}, "day"),
        ({"a": {1: 2}}, "the key 1 is not text"),
        ({"a": b"x"}, "bytes"),
        ({"a": {1, 2}}, "set"),
        ({"a": "\ud800"}, "a"),
        ({"\ud800": 1}, "not text"),
    ],
)
def test_what_has_no_json_form_is_refused_with_its_place(value: Any, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        canonical_json(value)
    with pytest.raises(ConfigError, match="options of encoder color-texture"):
        _ = replace(RECIPE, encoder=replace(ENCODER, options=value)).digest


@pytest.mark.parametrize(
    "fault",
    [
        {"tile_size": 0},
        {"stride": 0},
        {"level": 0},
        {"mpp": None},
        {"mpp": Fraction(0)},
        {"mpp": None, "level": -1},
    ],
)
def test_tiles_that_make_no_grid_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^tiles: "):
        replace(TILES, **fault)


def test_a_slide_key_tells_apart_what_decides_a_slide() -> None:
    keys = {
        slide_key(fingerprint=fingerprint, mpp_override=mpp, interpolated=interpolated)
        for fingerprint in ("a", "b")
        for mpp in (None, Fraction(1, 2), Fraction(1, 4))
        for interpolated in (False, True)
    }
    assert len(keys) == 12
    assert all(len(key) == 64 for key in keys)


def test_a_slide_key_is_what_files_made_today_were_made_with() -> None:
    key = slide_key(fingerprint="ab", mpp_override=Fraction("0.25"), interpolated=True)
    assert key == "31f6cbe4fb5e48529a274a44ecfe751836b14208bb34ce3715f8685ed6c2e4fd"
