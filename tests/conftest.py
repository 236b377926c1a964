"""Slides for every test, and how hypothesis behaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "slides"

# No deadline: two cores shared by workers make any single example slow now and then.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def real_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds ``real/`` and ``broken/`` (of real scans also ``odd-opens/``).

    ``$SLIDEARRAY_TEST_SLIDES``, else ``../shared/slides`` beside the checkout, else slides made
    here in the same layout. A test that needs one scan by name asks whether it is there.
    """
    if named := os.environ.get("SLIDEARRAY_TEST_SLIDES"):
        return Path(named)
    if (BESIDE_THE_CHECKOUT / "real").is_dir():
        return BESIDE_THE_CHECKOUT
    return _make_slides(tmp_path_factory.mktemp("slides"))


@pytest.fixture(scope="session")
def synthetic_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the demo's slides: two cohort folders, one slide mostly glass. Read only."""
    from slidearray.slides.synthetic import write_demo_slides  # opencv: only where pixels are made

    folder = tmp_path_factory.mktemp("synthetic")
    write_demo_slides(folder)
    return folder


def _make_slides(folder: Path) -> Path:
    from slidearray.slides.synthetic import write_slide

    real, odd, broken = folder / "real", folder / "odd-opens", folder / "broken"
    for each in (real, odd, broken):
        each.mkdir()
    write_slide(real / "fine.svs", width=3000, height=2200, seed=1, tissue=0.6, mpp="0.2525")
    write_slide(real / "usual.svs", width=2220, height=1900, seed=2, tissue=0.5, mpp="0.499")
    write_slide(real / "coarse.svs", width=1200, height=900, seed=3, tissue=0.5, mpp="3.1949")
    write_slide(real / "nearly-empty.svs", width=4000, height=3000, seed=4, tissue=0.01)
    write_slide(odd / "small.svs", width=16, height=16, seed=5, tissue=0.5)
    (broken / "not-a-slide.svs").write_text("This is a text file, whatever its name says.\n")
    whole = (real / "usual.svs").read_bytes()
    (broken / "truncated.svs").write_bytes(whole[: len(whole) // 2])
    return folder
