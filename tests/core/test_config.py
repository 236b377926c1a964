from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from slidearray.core.config import parse_config
from slidearray.core.recipe import TileSpec, TissueSpec
from slidearray.core.resending import Retry
from slidearray.errors import ConfigError

LEAST: dict[str, Any] = {
    "version": 1,
    "manifest": "slides.csv",
    "run_dir": "runs/first",
    "tiles": {"mpp": 0.5},
    "encoder": {"name": "color-texture"},
}

FULL: dict[str, Any] = {
    **LEAST,
    "tiles": {"tile_size": 224, "stride": 112, "magnification": 20, "pad": True},
    "tissue": {"method": "none", "min_coverage": 0},
    "encoder": {
        "name": "python:mine.py:make",
        "label": "mine",
        "batch_size": 8,
        "options": {"a": 1},
    },
    "save": {"features": True, "tiles": False, "masks": False},
    "shards": {"target_minutes": 5, "slides_per_task": 3, "max_tasks": 10},
    "retry": {"max_attempts": 2, "auto": False, "memory_factor": 1.5, "walltime_factor": 2},
    "reduce": {"layout": "stacked"},
}


def faults(raw: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, source="c.yaml")
    return str(caught.value).splitlines()


def with_tiles(**tiles: object) -> dict[str, object]:
    return {**LEAST, "tiles": tiles}


def test_what_is_left_out_has_the_documented_value() -> None:
    config = parse_config(LEAST, source="c.yaml")
    assert config.tile_spec() == TileSpec(tile_size=256, stride=256, mpp=Fraction(1, 2))
    assert config.tissue_spec() == TissueSpec(method="otsu", min_coverage=0.5)
    assert config.retry_policy() == Retry(max_attempts=3, memory_factor=2.0, walltime_factor=1.5)
    assert (config.shards.slides_per_task, config.shards.max_tasks) == ("auto", 1000)
    assert (config.encoder.batch_size, config.encoder.label) == (64, None)


def test_every_key_reaches_the_config() -> None:
    config = parse_config(FULL, source="c.yaml")
    assert config.tile_spec() == TileSpec(tile_size=224, stride=112, pad=True, mpp=Fraction(1, 2))
    assert config.tissue_spec() == TissueSpec(method="none", min_coverage=0.0)
    assert config.retry_policy() == Retry(max_attempts=2, memory_factor=1.5, walltime_factor=2)
    assert (config.shards.slides_per_task, config.shards.max_tasks) == (3, 10)
    assert (config.encoder.label, config.encoder.options) == ("mine", {"a": 1})
    assert config.retry.auto is False


@pytest.mark.parametrize("raw", [LEAST, FULL])
def test_a_config_written_to_json_reads_back_equal(raw: dict[str, Any]) -> None:
    config = parse_config(raw, source="c.yaml")
    assert parse_config(config.to_json(), source="run.json") == config


@pytest.mark.parametrize(
    ("written", "exact"),
    [(0.1, "1/10"), ("0.2525", "101/400"), (1, "1"), (0.25, "1/4"), ("5e-1", "1/2")],
)
def test_mpp_is_the_decimal_that_was_written(written: object, exact: str) -> None:
    config = parse_config(with_tiles(mpp=written), source="c.yaml")
    assert config.tile_spec().mpp == Fraction(exact)


def test_magnification_means_ten_micrometres_over_it() -> None:
    config = parse_config(with_tiles(magnification=40), source="c.yaml")
    assert config.tile_spec().mpp == Fraction(1, 4)


def test_the_stride_is_the_tile_size_unless_it_is_given() -> None:
    config = parse_config(with_tiles(level=0, tile_size=100), source="c.yaml")
    assert config.tiles.stride == 100


@pytest.mark.parametrize(
    ("tiles", "found"),
    [
        ({}, "no resolution"),
        ({"mpp": 1, "level": 0}, "mpp and level"),
        ({"mpp": 1, "magnification": 10}, "mpp and magnification"),
        ({"level": 1, "magnification": 10, "stride": 0}, "level and magnification"),
    ],
)
def test_exactly_one_resolution_is_asked_for(tiles: dict[str, object], found: str) -> None:
    line = f"c.yaml: tiles: found {found}; accepted: exactly one of mpp, level and magnification"
    assert line in faults({**LEAST, "tiles": tiles})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tile_size", 0),
        ("tile_size", 256.0),
        ("tile_size", "256"),
        ("tile_size", True),
        ("tile_size", 100_000),
        ("stride", -1),
        ("pad", "yes"),
        ("pad", 1),
        ("level", -1),
        ("mpp", 0),
        ("mpp", -0.5),
        ("mpp", "0,5"),
        ("mpp", "1e999"),
        ("mpp", True),
        ("mpp", float("nan")),
        ("mpp", [1]),
        ("magnification", "20x"),
    ],
)
def test_a_bad_tile_value_is_named_with_what_is_accepted(key: str, value: object) -> None:
    lines = faults({**LEAST, "tiles": {"mpp": 1, key: value}})
    assert any(line.startswith(f"c.yaml: tiles.{key}: found ") for line in lines), lines
    assert all("accepted: " in line for line in lines)


@pytest.mark.parametrize(
    ("section", "raw", "expected"),
    [
        ("version", 2, "version: found 2; accepted: 1"),
        ("version", True, "version: found true; accepted: 1"),
        ("manifest", "", "manifest: found '': it is empty"),
        ("run_dir", "a\nb", "run_dir: found 'a\\nb': it holds the control character '\\n'"),
        ("run_dir", "a\u2028b", "control character '\\u2028'"),
        ("tissue", {"method": "hsv"}, "tissue.method: found 'hsv', which is not in this version"),
        ("tissue", {"min_coverage": 1.1}, "tissue.min_coverage: found 1.1; accepted: share"),
        ("encoder", None, "encoder: found nothing, which is not in this version"),
        ("encoder", [{"name": "a"}], "encoder: found a list, which is not in this version"),
        ("encoder", "color-texture", "encoder: found 'color-texture'; accepted: a mapping"),
        ("encoder", {"name": "a", "label": "a/b"}, "encoder.label: found 'a/b': it holds '/'"),
        ("encoder", {}, "encoder.name: missing; accepted: color-texture"),
        ("encoder", {"name": "a", "options": {"x": float("nan")}}, "encoder.options: found a map"),
        ("encoder", {"name": "a", "options": {1: 2}}, "encoder.options"),
        ("save", {"features": False}, "save.features: found false, which is not in this version"),
        ("save", {"tiles": True}, "save.tiles: found true, which is not in this version"),
        ("shards", {"slides_per_task": 0}, "shards.slides_per_task: found 0; accepted: auto, or"),
        ("shards", {"target_minutes": float("inf")}, "shards.target_minutes: found inf"),
        ("retry", {"memory_factor": 0.5}, "retry.memory_factor: found 0.5; accepted: a number"),
        ("reduce", {"layout": "grouped"}, "reduce.layout: found 'grouped', which is not in this"),
        ("reduce", {"by": "cohort"}, "reduce.by: not in this version"),
        ("tiles", {"mpp": 1, "max_empty_fraction": 1}, "tiles.max_empty_fraction: not in this ver"),
        ("reader", "quick", "reader: found 'quick'; accepted: auto, openslide or fast"),
        ("process", {}, "process: not in this version"),
    ],
)
def test_a_bad_value_is_named_by_its_key(section: str, raw: object, expected: str) -> None:
    (line,) = faults({**LEAST, section: raw})
    assert line.startswith("c.yaml: ")
    assert expected in line


def test_an_unknown_key_lists_the_known_ones() -> None:
    (line,) = faults(with_tiles(mpp=1, tilesize=256))
    assert line == (
        "c.yaml: tiles.tilesize: unknown key; "
        "known keys are tile_size, stride, pad, level, mpp, magnification, max_invalid_fraction"
    )


def test_every_fault_is_named_at_once() -> None:
    lines = faults(
        {"version": 3, "tiles": {"stride": 0, 7: 1}, "encoder": {"batch_size": 0}, "extra": 1}
    )
    keys = [line.split(": ")[1] for line in lines]
    assert keys == ["version", "manifest", "run_dir", "tiles.stride", "tiles", "tiles.7",
                    "encoder.name", "encoder.batch_size", "extra"]  # fmt: skip


@pytest.mark.parametrize("raw", [None, [], "text", 5])
def test_what_is_no_mapping_is_refused(raw: object) -> None:
    (line,) = faults(raw)
    assert "accepted: a mapping with the keys version, manifest" in line


def test_a_config_cannot_be_changed() -> None:
    config = parse_config(LEAST, source="c.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.run_dir = "elsewhere"
