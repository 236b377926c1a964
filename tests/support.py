"""What tests of several parts share: feature data of a slide, and waiting for processes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slidearray.storage.feature_file import FeatureData, read_with_digest
from slidearray.storage.rundir import Output, RunDocument

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 120  # for what has no promised bound


def feature_data(slide_id: str = "s1", tiles: int = 5, dim: int = 3, **fields: Any) -> FeatureData:
    """Feature data of a slide, other numbers for another id; any field may be given."""
    rng = np.random.default_rng([tiles, *slide_id.encode()])
    data = FeatureData(
        features=rng.normal(size=(tiles, dim)).astype("float32"),
        coords=rng.integers(0, 90_000, size=(tiles, 2), dtype="int32"),
        slide_id=slide_id,
        model="demo",
        mpp=0.5,
        mpp_level0=0.25,
        recipe_digest="0" * 64,
        slide_key="1" * 64,
        patch_size=256,
        patch_size_level0=512,
        level0_width=90_000,
        level0_height=80_000,
        level0_magnification=40,
        target_magnification=None,
        overlap=0,
    )
    return replace(data, **fields)


def read_features(path: Path) -> FeatureData:
    """What a sound feature file holds."""
    return read_with_digest(path)[0]


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Return once `condition` holds; fail when it does not for long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.02)  # between two looks: other processes have no way to wake us


def running(pid: int) -> bool:
    """Whether a process is there and at work; a zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def run_document(**changes: Any) -> RunDocument:
    """What run.json holds, with some values of no meaning."""
    values: dict[str, Any] = {
        "run_id": "abc",
        "created": "2026-01-01T00:00:00.000Z",
        "version": "0.1.0",
        "project": "../..",
        "config": {"run_dir": "runs/é"},
        "profile": {},
        "manifest_digest": "d",
        "outputs": (Output(label="demo", recipe={"a": 1}, recipe_digest="e", feature_dim=3),),
        "versions": {"python": "3.11"},
    }
    return RunDocument(**{**values, **changes})
