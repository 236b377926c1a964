from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slidearray.errors import RunError
from slidearray.storage.lock import lock_is_live, run_lock
from slidearray.storage.rundir import RunDir

HOLD = """
import sys
from pathlib import Path
from slidearray.storage.lock import run_lock
from slidearray.storage.rundir import RunDir

with run_lock(RunDir(root=Path(sys.argv[1]), project=Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    root = tmp_path / "a run"
    root.mkdir()
    return RunDir(root=root, project=tmp_path)


def _holder(run: RunDir) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, run.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_free_before_and_after(run: RunDir) -> None:
    for _ in range(2):
        with run_lock(run):
            assert run.lock.exists()
        assert not run.lock.exists()
        assert not lock_is_live(run)


def test_a_lock_is_released_when_the_block_fails(run: RunDir) -> None:
    with pytest.raises(ValueError, match="no"), run_lock(run):
        raise ValueError("no")
    assert not run.lock.exists()


def test_who_holds_the_lock_is_not_hindered_by_it(run: RunDir) -> None:
    with run_lock(run):
        assert not lock_is_live(run)


def test_a_second_submitter_is_told_who_holds_the_lock_and_how_to_remove_it(run: RunDir) -> None:
    with _holder(run) as holder:
        assert lock_is_live(run)
        with pytest.raises(RunError, match=rf"process {holder.pid} on ") as caught, run_lock(run):
            pass
        assert f"rm -- '{run.lock}'" in str(caught.value)
        holder.communicate("")
    assert not lock_is_live(run)


def test_the_lock_of_a_killed_submitter_of_this_host_is_taken_over(run: RunDir) -> None:
    with _holder(run) as holder:
        holder.kill()
        holder.wait()
    assert run.lock.exists()
    assert not lock_is_live(run)
    with run_lock(run):
        assert run.lock.read_text().splitlines()[0] == str(os.getpid())


def test_the_lock_of_another_host_counts_as_held(run: RunDir) -> None:
    run.lock.write_text("1\nanother-host\n")
    assert lock_is_live(run)
    with pytest.raises(RunError, match="process 1 on another-host; if it is gone: rm --"):
        run_lock(run).__enter__()
    assert run.lock.read_text() == "1\nanother-host\n"


def test_a_lock_file_that_says_nothing_is_taken_over_in_the_end(run: RunDir) -> None:
    run.lock.write_text("?")
    assert not lock_is_live(run)
    with run_lock(run):
        pass


def test_a_lock_file_without_a_word_is_left_to_a_person(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slidearray.storage.lock.TAKE_OVER_S", 0.1)
    Path(run.lock).touch()
    with pytest.raises(RunError, match="held by an unknown process; if none is at work: rm --"):
        run_lock(run).__enter__()
