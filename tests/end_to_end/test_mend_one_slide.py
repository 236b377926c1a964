"""A bad slide was mended: a new run does it and takes the features of the others."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.end_to_end.support import snapshot

from slidearray.core.cost import REUSED_SECONDS
from slidearray.slides.synthetic import write_slide
from slidearray.storage.plan_files import read_planned

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.support import Project

CONFIG = {"tiles": {"tile_size": 256, "stride": 256, "mpp": 0.5}}


def prepare(project: Project, slides: Path, bad: bytes) -> None:
    """Four slides in the project, one of them not as it should be."""
    shutil.copytree(slides, project.folder / "raw")
    (project.folder / "raw" / "bad.svs").write_bytes(bad)
    names = sorted(path.stem for path in (project.folder / "raw").iterdir())
    project.manifest({"slide_id": name, "path": f"raw/{name}.svs", "mpp": ""} for name in names)
    project.config(**CONFIG)


def made_anew(project: Project, run: str) -> set[str]:
    events = [event for event in project.events(run) if event["event"] == "done"]
    return {event["slide_id"] for event in events if not event["reused"]}


def predicted(project: Project, run: str) -> dict[str, float]:
    table = read_planned(project.folder / run / "plan" / "slides.csv")
    return {slide.slide_id: slide.seconds for slide in table}


def good_bytes(folder: Path) -> bytes:
    write_slide(folder / "good.svs", width=900, height=700, seed=9, tissue=0.8)
    return (folder / "good.svs").read_bytes()


def test_a_corrupt_slide_that_was_mended_is_the_only_one_done_again(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    good = good_bytes(tmp_path)
    prepare(project, slides, bad=good[: len(good) // 2])
    assert "corrupt_slide" in project.run("run", "slidearray.yaml", expect=3).stdout
    before = snapshot(project.folder / "runs" / "one")
    (project.folder / "raw" / "bad.svs").write_bytes(good)
    printed = project.run(
        "run", "slidearray.yaml", "--run-dir", "runs/two", "--reuse", "runs/one"
    ).stdout
    assert f"{project.folder / 'runs' / 'one'}: 3 feature files taken" in printed
    assert made_anew(project, "runs/two") == {"bad"}
    assert predicted(project, "runs/two")["s0"] == REUSED_SECONDS
    assert predicted(project, "runs/two")["bad"] > REUSED_SECONDS
    assert snapshot(project.folder / "runs" / "one") == before
    project.run("run", "slidearray.yaml", "--run-dir", "runs/fresh")
    assert project.store("runs/two").read_bytes() == project.store("runs/fresh").read_bytes()


def test_a_slide_whose_mpp_was_wrong_is_done_again_with_the_right_one(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    prepare(project, slides, bad=good_bytes(tmp_path))
    project.run("run", "slidearray.yaml")
    manifest = project.folder / "metadata" / "slide_manifest.csv"
    manifest.write_text(manifest.read_text().replace("raw/bad.svs,", "raw/bad.svs,0.25"))
    reuse = ("--run-dir", "runs/two", "--reuse", "runs/one")
    printed = project.run("run", "slidearray.yaml", *reuse).stdout
    assert "3 feature files taken; not taken: 1 of slides that changed, or whose mpp did" in printed
    assert made_anew(project, "runs/two") == {"bad"}


def test_features_that_were_damaged_since_are_made_anew_and_stay_damaged_where_they_were(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    prepare(project, slides, bad=good_bytes(tmp_path))
    project.run("run", "slidearray.yaml")
    features = project.folder / "runs" / "one" / "features" / "color-texture"
    data = bytearray((features / "s0_features.h5").read_bytes())
    data[-5] ^= 1  # within the features: the file opens, its digest is wrong
    (features / "s0_features.h5").write_bytes(data)
    (features / "s1_features.h5").write_bytes(b"cut")
    reuse = ("--run-dir", "runs/two", "--reuse", "runs/one")
    printed = project.run("run", "slidearray.yaml", *reuse).stdout
    assert "not taken: 1 damaged" in printed
    assert made_anew(project, "runs/two") == {"s0", "s1"}
    assert (features / "s0_features.h5").read_bytes() == bytes(data)
    assert project.run("verify", "runs/two")


def test_a_reused_run_must_be_one_and_nothing_is_planned_otherwise(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    prepare(project, slides, bad=good_bytes(tmp_path))
    for nowhere in ("nowhere", "raw"):
        refused = project.run("plan", "slidearray.yaml", "--reuse", nowhere, expect=1)
        assert "is not a run directory" in refused.stderr
    assert not (project.folder / "runs").exists()


def test_a_run_of_another_recipe_gives_nothing_and_says_in_what_it_differs(
    project: Project, slides: Path, tmp_path: Path
) -> None:
    prepare(project, slides, bad=good_bytes(tmp_path))
    project.run("run", "slidearray.yaml")
    project.config(tiles={"tile_size": 128, "mpp": 0.5})
    reuse = ("--run-dir", "runs/two", "--reuse", "runs/one")
    printed = project.run("plan", "slidearray.yaml", *reuse).stdout
    assert "tiles.tile_size (256 there, 128 now)" in printed
