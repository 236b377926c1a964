"""Real processes, killed with SIGKILL while they write."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from slidearray.storage.feature_file import FeatureData, check_feature_file, write_feature_file
from slidearray.storage.store_writer import StoreContent, write_store
from slidearray.storage.verify import verify_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# `stop` says how much of the partial file is there, and waits to be killed.
START = """
import os, pickle, sys
from pathlib import Path
from slidearray.storage.feature_file import write_feature_file
from slidearray.storage.store_writer import write_store

folder, when = Path(sys.argv[1]), sys.argv[3]
what = pickle.loads(Path(sys.argv[2]).read_bytes())

def written():
    return sum(path.stat().st_size for path in folder.glob(".*.partial"))

def stop(*_):
    if written():
        print(written(), flush=True)
        sys.stdin.read()

class Names(tuple):  # of the features: written after them, while the file is open
    def __iter__(self):
        stop()
        return super().__iter__()

def hook(event, arguments):
    if event == when and "target.h5" in str(arguments[0]):
        stop()

sys.addaudithook(hook)
"""
FEATURES = """
from dataclasses import replace
if when == "half-way":
    what = replace(what, feature_names=Names("abc"))
write_feature_file(folder / "target.h5", what)
"""
STORE = """
write_store(folder / "target.h5", what, progress=stop if when == "half-way" else None)
"""


def _kill_in_mid_write(tmp_path: Path, code: str, *, what: object, when: str) -> Path:
    """What the killed writer left of its new file."""
    (tmp_path / "what.pickle").write_bytes(pickle.dumps(what))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "target.h5").write_text("what was there")
    with subprocess.Popen(
        [sys.executable, "-c", START + code, tmp_path / "out", tmp_path / "what.pickle", when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.kill()
        assert process.wait() == -9
    assert (tmp_path / "out" / "target.h5").read_text() == "what was there"
    assert len(_names(tmp_path / "out")) == 2  # the old file, and what the writer left
    return next((tmp_path / "out").glob(".*.partial"))


@pytest.mark.parametrize("when", ["half-way", "open", "os.rename"])
def test_a_killed_writer_of_features_publishes_nothing(
    tmp_path: Path, make_data: Callable[..., FeatureData], when: str
) -> None:
    data = make_data(tiles=100_000)
    left = _kill_in_mid_write(tmp_path, FEATURES, what=data, when=when)
    write_feature_file(tmp_path / "out" / "target.h5", data)
    assert check_feature_file(tmp_path / "out" / "target.h5") == []
    assert (check_feature_file(left) == []) == (when != "half-way")


@pytest.mark.parametrize("when", ["half-way", "os.rename"])
def test_a_killed_reducer_publishes_nothing(
    tmp_path: Path,
    make_data: Callable[..., FeatureData],
    make_content: Callable[..., StoreContent],
    when: str,
) -> None:
    content = make_content(make_data("a", tiles=1000), make_data("b", tiles=1000))
    left = _kill_in_mid_write(tmp_path, STORE, what=content, when=when)
    assert (verify_paths([left])[0].faults == ()) == (when != "half-way")
    write_store(tmp_path / "out" / "target.h5", content)
    assert verify_paths([tmp_path / "out" / "target.h5"])[0].faults == ()
