from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.support import feature_data

from slidearray import FeatureStore
from slidearray.core.classes import FailureClass, Rejected
from slidearray.core.recipe import canonical_json
from slidearray.errors import RunError, StoreError
from slidearray.reducer import reduce_run
from slidearray.storage.feature_file import write_feature_file
from slidearray.storage.files import execution_token, host_name
from slidearray.storage.journal import Journal
from slidearray.storage.manifest import read_manifest, write_manifest
from slidearray.storage.plan_files import write_rejected
from slidearray.storage.records import RecordWriter
from slidearray.storage.rundir import Output, RunDir, RunDocument, write_document
from slidearray.storage.slots import Slot, SlotSlide, write_slots
from slidearray.storage.verify import verify_paths

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.feature_file import FeatureData

RECIPE = {"encoder": {"name": "demo"}}
DIGEST = hashlib.sha256(canonical_json(RECIPE).encode()).hexdigest()
SLIDES = {"d": "x", "0012": "", "b": "y", "a": "x"}  # slide_id → cohort, in manifest order
SHAPE = {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}

ANY_CLASS = frozenset(FailureClass)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _data(slide_id: str) -> FeatureData:
    tiles = 0 if slide_id == "b" else 3 + len(slide_id)
    return feature_data(slide_id, tiles=tiles, dim=2, recipe_digest=DIGEST)


@dataclass
class Runs:
    """Makes planned runs, and plays the worker's part in them."""

    project: Path

    def plan(self, name: str, *, rejected: tuple[Rejected, ...] = ()) -> RunDir:
        run = RunDir(root=self.project / name, project=self.project)
        run.plan_dir.mkdir(parents=True)
        rows = [
            {"slide_id": slide_id, "path": f"raw/{slide_id}.svs", "cohort": cohort, "age": "07"}
            for slide_id, cohort in SLIDES.items()
        ]
        write_manifest(run.manifest, ("slide_id", "path", "cohort", "age"), rows)
        write_rejected(run.rejected, rejected)
        document = RunDocument(
            run_id="r",
            created="now",
            version="0",
            project="..",
            config={},
            profile={},
            manifest_digest=read_manifest(run.manifest).digest,
            outputs=(Output(label="demo", recipe=RECIPE, recipe_digest=DIGEST, feature_dim=2),),
            versions={},
        )
        write_document(run, document)
        return run

    def attempt(self, run: RunDir, *shards: list[str]) -> None:
        number = max(run.attempts(), default=0) + 1
        attempt = run.attempt(number)
        attempt.root.mkdir(parents=True)
        slots = [
            Slot(
                slot=k,
                shape=SHAPE,
                slides=tuple(SlotSlide(slide_id=slide, path="p") for slide in ids),
            )
            for k, ids in enumerate(shards)
        ]
        write_slots(attempt.slots, slots)
        Journal(attempt.journal).append("released")

    def work(self, run: RunDir, slot: int, *slide_ids: str, host: str = "") -> None:
        attempt = run.attempt(run.attempts()[-1])
        with RecordWriter(attempt.record(slot, execution_token())) as record:
            record.write("started", host=host or host_name())
            for slide_id in slide_ids:
                record.write("slide_started", slide_id=slide_id)
                self.publish(run, record, slide_id)

    def publish(self, run: RunDir, record: RecordWriter, slide_id: str, **fields: Any) -> None:
        data = replace(_data(slide_id), **fields)
        path = run.feature_file("demo", SLIDES[slide_id], slide_id)
        facts = write_feature_file(path, data)
        event = "done" if len(data.features) else "empty"
        file = {"path": str(path.relative_to(run.root)), **asdict(facts)}
        record.write(event, slide_id=slide_id, num_tiles=len(data.features), file=file)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def finished(runs: Runs) -> RunDir:
    run = runs.plan("finished")
    runs.attempt(run, list(SLIDES))
    runs.work(run, 0, *SLIDES)
    return run


def test_a_complete_run_becomes_a_complete_store(finished: RunDir) -> None:
    report = reduce_run(finished)
    assert (report.slides, report.tiles, report.missing, report.complete) == (4, 15, (), True)
    assert report.store == finished.root / "stores" / "demo.h5"
    store = FeatureStore(report.store)
    assert list(store.slide_ids) == list(SLIDES)
    for slide_id in SLIDES:
        np.testing.assert_array_equal(store[slide_id].features, _data(slide_id).features)
    assert store.slides["cohort"].tolist() == list(SLIDES.values())
    assert verify_paths([report.store])[0].faults == ()
    assert _names(report.store.parent) == ["demo.h5"]


def test_order_attempts_kills_and_seconds_leave_no_mark_in_the_store(
    runs: Runs, finished: RunDir
) -> None:
    run = runs.plan("other name")
    runs.attempt(run, ["a"], ["b", "d"], ["0012"])
    runs.work(run, 1, "b")
    runs.work(run, 2)
    leftover = run.feature_file("demo", "x", "d").with_name(".d_features.h5.t.partial")
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    before = int(time.time())
    while int(time.time()) == before:
        pass
    runs.attempt(run, ["0012", "d"], ["a"])
    runs.work(run, 1, "a")
    runs.work(run, 0, "d", "0012")
    runs.work(run, 0, "d")  # executed twice
    first, second = reduce_run(finished).store, reduce_run(run).store
    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()


def test_an_incomplete_run_is_not_reduced_unless_asked(runs: Runs) -> None:
    bad = Rejected(
        slide_id="a",
        row=5,
        failure=FailureClass.MISSING_MPP,
        reason=f"{runs.project}/raw/a.svs: no mpp",
    )
    run = runs.plan("run", rejected=(bad,))
    runs.attempt(run, ["d", "0012", "b"])
    runs.work(run, 0, "d", "b")
    refused = reduce_run(run)
    assert (refused.store, refused.complete) == (None, False)
    assert not run.store("demo").exists()
    report = reduce_run(run, allow_missing=ANY_CLASS)
    assert [(m.slide_id, m.failure.value) for m in report.missing] == [
        ("0012", "not_started"),
        ("a", "missing_mpp"),
    ]
    store = FeatureStore(run.store("demo"))
    assert (store.slide_ids, store.complete) == (("d", "b"), False)
    assert store.missing == list(report.missing)
    assert store.missing[1].reason == "a.svs: no mpp"
    assert str(runs.project).encode() not in run.store("demo").read_bytes()


def test_a_refusal_leaves_an_older_store_alone(runs: Runs, finished: RunDir) -> None:
    store = reduce_run(finished).store
    assert store is not None
    before = store.read_bytes()
    finished.feature_file("demo", "x", "d").unlink()
    assert reduce_run(finished).store is None
    assert store.read_bytes() == before


def test_nothing_done_makes_no_store(runs: Runs) -> None:
    run = runs.plan("run")
    report = reduce_run(run, allow_missing=ANY_CLASS)
    assert (report.store, report.slides, len(report.missing)) == (None, 0, 4)
    assert not run.stores_dir.exists()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _replace(path: Path) -> None:
    features = _data("d").features + 1
    write_feature_file(path, replace(_data("d"), features=features))


@pytest.mark.parametrize("damage", [os.unlink, _truncate, _replace])
def test_a_file_that_is_not_the_recorded_one_is_lost(finished: RunDir, damage: Any) -> None:
    damage(finished.feature_file("demo", "x", "d"))
    damage(finished.feature_file("demo", "x", "a")) if damage is not _replace else None
    report = reduce_run(finished, allow_missing=ANY_CLASS)
    assert {m.failure for m in report.missing} == {FailureClass.LOST}
    assert report.missing[0].slide_id == "d"
    assert "d" not in FeatureStore(finished.store("demo"))


def test_a_flipped_bit_is_found(finished: RunDir) -> None:
    path = finished.feature_file("demo", "x", "d")
    data = path.read_bytes()
    start = data.index(_data("d").features.tobytes())
    path.write_bytes(data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :])
    (lost,) = reduce_run(finished).missing
    assert (lost.slide_id, lost.failure) == ("d", FailureClass.LOST)
    assert "content digest differs" in lost.reason


@pytest.mark.parametrize("seen", [None, b"the first bytes"])
def test_a_file_of_another_host_is_waited_for(runs: Runs, seen: bytes | None) -> None:
    run = runs.plan("run")
    runs.attempt(run, list(SLIDES))
    runs.work(run, 0, *SLIDES, host="another-host")
    path = run.feature_file("demo", "x", "d")
    whole = path.rename(path.with_name("not seen yet"))
    if seen is not None:
        path.write_bytes(seen)
    appears = threading.Timer(0.2, lambda: whole.replace(path))
    appears.start()
    report = reduce_run(run)
    appears.join()
    assert report.complete


def test_a_file_of_another_host_that_never_comes_is_lost(runs: Runs) -> None:
    run = runs.plan("run")
    runs.attempt(run, list(SLIDES))
    runs.work(run, 0, *SLIDES, host="another-host")
    run.feature_file("demo", "x", "d").unlink()
    (lost,) = reduce_run(run, patience_s=0.05).missing
    assert (lost.slide_id, lost.failure) == ("d", FailureClass.LOST)


def test_a_missing_file_of_this_host_is_not_waited_for(finished: RunDir) -> None:
    finished.feature_file("demo", "x", "d").unlink()
    begun = time.monotonic()
    assert reduce_run(finished, patience_s=3600).missing
    assert time.monotonic() - begun < 1800


def test_another_recipe_among_the_files_is_refused_by_name(runs: Runs) -> None:
    run = runs.plan("run")
    runs.attempt(run, list(SLIDES))
    runs.work(run, 0, "d", "0012", "b")
    with RecordWriter(run.attempt(1).record(0, "z")) as record:
        runs.publish(run, record, "a", recipe_digest="0" * 64)
    with pytest.raises(StoreError, match=r"features/demo/x/a_features\.h5: recipe digest 0000"):
        reduce_run(run)


def test_a_manifest_changed_after_the_plan_is_refused(finished: RunDir) -> None:
    finished.manifest.write_text(finished.manifest.read_text().replace("07", "08"))
    with pytest.raises(RunError, match="changed after the plan"):
        reduce_run(finished)


def test_leftovers_of_a_killed_reduce_are_swept(finished: RunDir) -> None:
    finished.stores_dir.mkdir()
    token = execution_token().rpartition("-")[0] + f"-{2**22 + 1}"
    (finished.stores_dir / f".demo.h5.{token}.partial").write_text("half a store")
    reduce_run(finished)
    assert _names(finished.stores_dir) == ["demo.h5"]


def test_only_slides_of_the_classes_allowed_may_be_missing(runs: Runs, finished: RunDir) -> None:
    whole = reduce_run(finished).store
    assert whole is not None
    before = whole.read_bytes()
    finished.feature_file("demo", "x", "d").unlink()
    allowed = ANY_CLASS - {FailureClass.LOST}
    assert reduce_run(finished, allow_missing=allowed).store is None
    assert whole.read_bytes() == before
    assert reduce_run(finished, allow_missing=ANY_CLASS).store == whole
