"""What becomes of each slide of a slot."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.support import read_features

from slidearray.storage.feature_file import check_feature_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import Bench


def test_every_slide_gets_its_feature_file(bench: Bench) -> None:
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")
    for slide_id in "abc":
        path = bench.run.feature_file("acting", cohort="", slide_id=slide_id)
        assert check_feature_file(path) == []
        data = read_features(path)
        assert data.features.shape == (4, 8)
        assert data.coords.tolist() == [[0, 0], [256, 0], [0, 256], [256, 256]]
        assert (data.mpp, data.mpp_level0, data.slide_id) == (0.5, 0.5, slide_id)
        assert (data.level0_magnification, data.target_magnification) == (20, 20)
        assert (data.level0_width, data.patch_size_level0, data.overlap) == (512, 256, 0)


def test_a_record_tells_the_whole_execution(bench: Bench) -> None:
    bench.work()
    events = bench.events()
    assert [event["event"] for event in events] == [
        "started", *["slide_started", "done"] * 3, "finished",
    ]  # fmt: skip
    assert events[0]["slot"] == 0
    assert events[0]["attempt"] == 1
    assert events[0]["versions"].keys() == {"slidearray", "python"}
    assert events[-1]["exit_code"] == 0
    done = events[2]
    stored = (bench.run.root / done["file"]["path"]).read_bytes()
    assert done["file"]["size"] == len(stored)
    assert done["file"]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert (done["num_tiles"], done["dropped_tiles"], done["reused"]) == (4, 0, False)


def test_a_finished_slide_is_not_done_again(bench: Bench) -> None:
    bench.work()
    before = bench.features()
    bench.acts("raise", "raise", "raise")
    assert bench.work() == 0
    assert bench.features() == before
    first, second = (bench.events()[2], bench.events()[10])
    assert (first["reused"], second["reused"]) == (False, True)
    assert second["file"] == first["file"]
    assert second["num_tiles"] == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole, features: b"",
        lambda whole, features: b"not HDF5",
        lambda whole, features: whole[:-100],
        lambda whole, features: whole.replace(features, bytes(len(features))),
    ],
)
def test_a_damaged_feature_file_is_made_anew(
    bench: Bench, damage: Callable[[bytes, bytes], bytes]
) -> None:
    bench.work()
    before = bench.features()
    path = bench.run.feature_file("acting", cohort="", slide_id="b")
    path.write_bytes(damage(path.read_bytes(), read_features(path).features.tobytes()))
    assert bench.features() != before
    assert bench.work() == 0
    assert bench.features() == before


def test_another_resolution_in_the_manifest_makes_the_file_anew(bench: Bench) -> None:
    bench.work()
    bench.slides[0] = replace(bench.slides[0], mpp="0.25")
    assert bench.work() == 0
    data = read_features(bench.run.feature_file("acting", cohort="", slide_id="a"))
    assert data.mpp == 0.25
    assert [event["reused"] for event in bench.events() if "reused" in event][3:] == [
        False, True, True,
    ]  # fmt: skip


def test_the_batch_size_has_no_part_in_the_features(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    bench.work()
    other = make_bench("other")
    other.batches_of(3)
    assert other.work() == 0
    assert other.features() == bench.features()


def test_half_precision_is_kept_and_never_mixed(bench: Bench) -> None:
    bench.batches_of(2)
    bench.acts("half", "half", "half", "work")
    assert bench.work() == 0
    assert bench.outcome() == {"a": "done", "b": "failed bad_features", "c": "done"}
    data = read_features(bench.run.feature_file("acting", cohort="", slide_id="a"))
    assert data.features.dtype == np.float16
    assert "float16 for the first tiles and float32" in bench.event("failed")["reason"]


def test_a_slide_without_tiles_is_empty(bench: Bench, small_slides: object) -> None:
    from slidearray.slides.synthetic import write_slide

    write_slide(bench.project / "tiny.svs", width=200, height=200, seed=9, tissue=0.5)
    bench.slides[1] = replace(bench.slides[1], path="tiny.svs")
    assert bench.work() == 0
    assert bench.outcome() == {"a": "done", "b": "empty", "c": "done"}
    data = read_features(bench.run.feature_file("acting", cohort="", slide_id="b"))
    assert data.features.shape == (0, 8)
    assert data.features.dtype == np.float32
    bench.work()
    assert bench.outcome()["b"] == "empty"


def test_paths_start_from_the_project_and_cohorts_are_folders(bench: Bench) -> None:
    name = "a b'; $(touch x) é%.svs"
    (bench.project / name).symlink_to(bench.slides[0].path)
    bench.slides[0] = replace(bench.slides[0], path=name, cohort="kidney one")
    assert bench.work() == 0
    assert bench.run.feature_file("acting", cohort="kidney one", slide_id="a").is_file()


@pytest.mark.parametrize(
    ("act", "outcome", "reason"),
    [
        ("raise", "failed worker_error", "ValueError: no features today ("),
        ("leave", "failed worker_error", "SystemExit"),
        ("vanish", "failed worker_error", "ended with exit code 3"),
        ("crash", "failed worker_error", "signal 11 (SIGSEGV)"),
        ("killed", "failed worker_error", "signal 9 (SIGKILL)"),
        ("too-large", "failed out_of_memory", "Unable to allocate"),
        ("nan", "failed bad_features", ""),
    ],
)
def test_a_slide_that_fails_does_not_stop_the_others(
    bench: Bench, act: str, outcome: str, reason: str
) -> None:
    bench.acts("work", act)
    assert bench.work() == 0
    assert bench.outcome() == {"a": "done", "b": outcome, "c": "done"}
    failed = bench.event("failed")
    assert reason in failed["reason"]
    assert "\n" not in failed["reason"]
    assert "b_features.h5" not in bench.features()
    assert len(bench.features()) == 2


def test_an_exception_names_its_line_and_leaves_its_traceback_in_the_log(bench: Bench) -> None:
    bench.acts("raise")
    bench.work()
    assert "acting_encoder.py:" in bench.event("failed")["reason"]
    assert "Traceback" in bench.log
    assert "Traceback" not in bench.event("failed")["reason"]


def test_a_native_crash_leaves_the_line_that_called_it_in_the_log(bench: Bench) -> None:
    bench.acts("crash")
    bench.work()
    assert "Fatal Python error: Segmentation fault" in bench.log
    assert "acting_encoder.py" in bench.log


def test_a_child_that_the_kernel_killed_for_memory_is_out_of_memory(bench: Bench) -> None:
    groups = bench.project / "groups"
    groups.mkdir()
    (groups / "memory.events").write_text("oom 0\noom_kill 0\n")
    (groups / "memory.max").write_text(f"{2**31}\n")
    (groups / "cgroup").write_text("0::/\n")
    (groups / "mountinfo").write_text(f"30 24 0:26 / {groups} rw - cgroup2 cgroup2 rw\n")
    bench.proc = groups
    bench.acts("oom-killed", "killed")
    assert bench.work() == 0
    assert bench.outcome() == {
        "a": "failed out_of_memory", "b": "failed worker_error", "c": "done",
    }  # fmt: skip
    assert "2048 MB" in next(e["reason"] for e in bench.events() if e["event"] == "failed")


def test_bad_slides_have_the_class_that_the_reader_gives(bench: Bench) -> None:
    (bench.project / "text.svs").write_text("no slide\n")
    bench.slides[0] = replace(bench.slides[0], path="text.svs")
    bench.slides[1] = replace(bench.slides[1], path="gone.svs")
    assert bench.work() == 0
    assert bench.outcome() == {
        "a": "failed unsupported_slide", "b": "failed missing_file", "c": "done",
    }  # fmt: skip


def test_an_encoder_may_print(bench: Bench) -> None:
    bench.acts("print", "print", "print")
    assert bench.work() == 0
    assert bench.outcome() == dict.fromkeys("abc", "done")
    assert bench.log.count("printed") == 3


def test_the_log_has_one_line_a_slide(bench: Bench) -> None:
    bench.acts("work", "nan")
    bench.work()
    assert [line.split(":")[0] for line in bench.log.splitlines()] == ["a", "b", "c"]


def test_numerical_libraries_find_their_thread_count_before_they_load(bench: Bench) -> None:
    import json

    bench.acts("environment")
    bench.work()
    environment = json.loads((bench.project / "environment").read_text())
    assert environment["OMP_NUM_THREADS"] == str(bench.event("started")["cpus"])
