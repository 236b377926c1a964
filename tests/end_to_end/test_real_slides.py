from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openslide
import pytest

from slidearray import FeatureStore

if TYPE_CHECKING:
    from tests.end_to_end.support import Project

TARGET = Fraction("0.5")


def good_slides(folder: Path) -> dict[str, Path]:
    """One entry a slide: a file, or the folder of a DICOM slide."""
    entries = (folder / "real").iterdir()
    return {entry.stem if entry.is_file() else entry.name: entry for entry in entries}


def bad_slides(folder: Path) -> dict[str, Path]:
    names = ["unreadable.svs", "luna-fake_slide.svs", "not-a-slide.svs", "truncated.svs"]
    found = [folder / "broken" / name for name in names]
    return {path.stem: path for path in found if path.exists()}


@pytest.fixture
def mixed(project: Project, real_slides: Path) -> Project:
    slides = {**good_slides(real_slides), **bad_slides(real_slides), "gone": Path("gone.svs")}
    assert len(bad_slides(real_slides)) == 2
    project.manifest(
        {"slide_id": slide_id, "path": str(path), "cohort": "a b"}
        for slide_id, path in sorted(slides.items())
    )
    return project


def troubles(status: dict[str, Any]) -> dict[str, str]:
    assert all(trouble["reason"] for trouble in status["troubles"])
    return {trouble["slide_id"]: trouble["class"] for trouble in status["troubles"]}


def test_bad_slides_are_listed_and_all_good_ones_are_in_the_store(
    mixed: Project, real_slides: Path
) -> None:
    mixed.config()
    mixed.run("run", "slidearray.yaml", expect=3)
    status = mixed.json("status", "runs/one", expect=3)
    failed = troubles(status)
    assert failed.keys() == bad_slides(real_slides).keys() | {"gone"}
    assert failed["gone"] == "missing_file"
    assert set(failed.values()) <= {"missing_file", "unsupported_slide", "corrupt_slide"}
    store = FeatureStore(mixed.store())
    assert list(store.slide_ids) == sorted(good_slides(real_slides))
    assert not store.complete
    assert {missing.slide_id: missing.failure for missing in store.missing} == failed
    assert all(slide.num_tiles == len(slide.coords) for slide in store)
    mixed.run("verify", "runs/one")


def test_slides_without_the_resolution_asked_for_are_rejected_by_class_at_plan_time(
    mixed: Project, real_slides: Path
) -> None:
    mixed.config(tiles={"tile_size": 256, "stride": 256, "mpp": 0.5})
    mixed.run("plan", "slidearray.yaml")
    expected = {
        slide_id: why
        for slide_id, path in good_slides(real_slides).items()
        if (why := resolution_fault(path))
    }
    rejected = troubles(mixed.json("status", "runs/one", expect=3))
    assert expected.items() <= rejected.items()
    assert expected
    mixed.run("run", "slidearray.yaml", expect=3)
    store = FeatureStore(mixed.store())
    assert set(store.slide_ids) == good_slides(real_slides).keys() - expected.keys()


def test_a_nearly_empty_slide_counts_as_done_or_empty(mixed: Project, real_slides: Path) -> None:
    mixed.config(tiles={"tile_size": 256, "stride": 256, "mpp": 0.5})
    mixed.run("run", "slidearray.yaml", expect=3)
    nearly_empty = [i for i in good_slides(real_slides) if i in ("luna-1065626", "nearly-empty")]
    assert nearly_empty
    counts = FeatureStore(mixed.store()).slides.set_index("slide_id")["num_tiles"]
    assert all(0 <= counts[slide_id] < 50 for slide_id in nearly_empty)


def resolution_fault(path: Path) -> str | None:
    """Which class the header's resolution earns at 0.5 micrometres, told anew from the rules."""
    file = sorted(path.glob("*.dcm"))[0] if path.is_dir() else path
    with openslide.OpenSlide(file) as slide:
        texts = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    if None in texts:
        return "missing_mpp"
    mpps = [Fraction(text) for text in texts if text]
    if not all(Fraction("0.05") <= mpp <= 20 for mpp in mpps):
        return "implausible_mpp"
    too_coarse = any(mpp > TARGET * Fraction("1.01") for mpp in mpps)
    return "resolution_too_coarse" if too_coarse else None
