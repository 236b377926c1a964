from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support import feature_data, run_document

from slidearray.errors import RunError
from slidearray.storage.feature_file import read_facts, write_feature_file
from slidearray.storage.manifest import Manifest, read_manifest, write_manifest
from slidearray.storage.reuse import Candidate, Reuse, candidates, take
from slidearray.storage.rundir import Output, RunDir, write_document

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "0" * 64  # what `feature_data` carries
OUTPUT = Output(label="new", recipe={"a": 1}, recipe_digest=DIGEST, feature_dim=3)


def other_run(folder: Path, *slides: str, recipe_digest: str = DIGEST) -> RunDir:
    """A run with a feature file for each slide, ``cohort/slide_id`` or ``slide_id``."""
    run = RunDir(root=folder / "other", project=folder)
    run.root.mkdir()
    output = Output(label="old", recipe={"a": 2}, recipe_digest=recipe_digest, feature_dim=3)
    write_document(run, run_document(outputs=(output,)))
    rows = []
    for name in slides:
        cohort, _, slide_id = name.rpartition("/")
        rows.append({"slide_id": slide_id, "path": f"{slide_id}.svs", "cohort": cohort})
        write_feature_file(run.feature_file("old", cohort, slide_id), feature_data(slide_id))
    write_manifest(run.manifest, ["slide_id", "path", "cohort"], rows)
    return run


def manifest_of(folder: Path, *ids: str) -> Manifest:
    rows = [{"slide_id": slide_id, "path": "p"} for slide_id in ids]
    write_manifest(folder / "new.csv", ["slide_id", "path"], rows)
    return read_manifest(folder / "new.csv")


def offered(reuse: Reuse, manifest: Manifest) -> list[Candidate]:
    wanted = range(len(manifest.rows))
    return list(candidates(reuse, manifest, output=OUTPUT, wanted=wanted, invalid=0.0))


def test_a_file_is_found_by_id_wherever_the_other_run_has_it(tmp_path: Path) -> None:
    reuse = Reuse(run=other_run(tmp_path, "one/a", "b"))
    found = offered(reuse, manifest_of(tmp_path, "new", "b", "a"))
    assert [(file.index, file.path.name, file.path.parent.name) for file in found] == [
        (1, "b_features.h5", "old"),
        (2, "a_features.h5", "one"),
    ]
    assert {file.slide_key for file in found} == {"1" * 64}


def test_only_a_file_of_the_slide_as_it_is_now_is_taken(tmp_path: Path) -> None:
    reuse = Reuse(run=other_run(tmp_path, "a", "b", "c"))
    files = offered(reuse, manifest_of(tmp_path, "a", "b", "c"))
    for file, key in zip(files, ("1" * 64, "2" * 64, None), strict=True):
        reuse.judge(file, key=key)
    assert reuse.taken == {0: reuse.run.feature_file("old", "", "a")}
    assert reuse.text() == (
        f"{reuse.run.root}: 1 feature file taken; not taken: 1 of slides that cannot be "
        "read now, 1 of slides that changed, or whose mpp did"
    )


def test_another_recipe_says_in_what_it_differs(tmp_path: Path) -> None:
    reuse = Reuse(run=other_run(tmp_path, "a", recipe_digest="f" * 64))
    assert offered(reuse, manifest_of(tmp_path, "a")) == []
    assert reuse.text().endswith("nothing taken, its recipe is another one: a (2 there, 1 now)")


def test_damaged_files_and_those_of_other_recipes_are_counted_and_missing_ones_are_not(
    tmp_path: Path,
) -> None:
    run = other_run(tmp_path, "a", "b", "c", "d")
    run.feature_file("old", "", "a").write_bytes(b"cut")
    run.feature_file("old", "", "b").unlink()
    strange = feature_data("c", recipe_digest="f" * 64)
    write_feature_file(run.feature_file("old", "", "c"), strange)
    reuse = Reuse(run=run)
    assert [file.index for file in offered(reuse, manifest_of(tmp_path, "a", "b", "c", "d"))] == [3]
    assert dict(reuse.refused) == {"damaged": 1, "of another recipe": 1}


def test_what_is_no_run_directory_is_an_error(tmp_path: Path) -> None:
    reuse = Reuse(run=RunDir(root=tmp_path / "nowhere", project=tmp_path))
    with pytest.raises(RunError, match="not a run directory"):
        offered(reuse, manifest_of(tmp_path, "a"))


def test_a_file_is_linked_and_replacing_it_leaves_the_other_run_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "old" / "a.h5", tmp_path / "new" / "cohort" / "a.h5"
    write_feature_file(source, feature_data("a"))
    before = source.read_bytes()
    take(source, target)
    assert target.samefile(source)
    write_feature_file(target, feature_data("a", tiles=9))
    assert source.read_bytes() == before
    assert read_facts(target).num_tiles == 9


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_where_links_cannot_be_made_the_file_is_copied_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    source, target = tmp_path / "a.h5", tmp_path / "new" / "a.h5"
    write_feature_file(source, feature_data("a"))
    monkeypatch.setattr("os.link", refuse)
    take(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert not target.samefile(source)
    assert [path.name for path in target.parent.iterdir()] == ["a.h5"]


def test_another_failure_of_a_link_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a.h5").write_bytes(b"x")
    monkeypatch.setattr("os.link", fail)
    with pytest.raises(OSError, match="Input/output error"):
        take(tmp_path / "a.h5", tmp_path / "new" / "a.h5")
