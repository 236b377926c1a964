from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from typing import TYPE_CHECKING

import pytest
from tests.support import PATIENCE_S, running, wait_for

from slidearray.core.classes import FailureClass
from slidearray.core.verdicts import SlotOutcome
from slidearray.schedulers.environment import clean_environment
from slidearray.schedulers.local import LocalTask, run_tasks

if TYPE_CHECKING:
    from pathlib import Path


def task(
    folder: Path, slot: int, script: str, *, walltime_s: int = 60, kill_wait_s: float = 30
) -> LocalTask:
    path = folder / f"slot {slot}.sh"
    path.write_text(f"#!/bin/bash\ncd -- {str(folder)!r}\n{textwrap.dedent(script)}\n")
    return LocalTask(
        slot=slot,
        script=path,
        arguments=(str(slot),),
        environment=clean_environment(os.environ),
        walltime_s=walltime_s,
        kill_wait_s=kill_wait_s,
        log=folder / f"{slot}.log",
    )


def outcomes(tasks: list[LocalTask], *, window: int = 2) -> dict[int, SlotOutcome | None]:
    found: dict[int, SlotOutcome | None] = {}

    def ended(slot: int, outcome: SlotOutcome | None) -> bool:
        found[slot] = outcome
        return True

    run_tasks(tasks, window=window, ended=ended, tick=lambda: None)
    return found


def test_exit_codes_and_signals_reach_the_submitter_as_they_were(tmp_path: Path) -> None:
    tasks = [
        task(tmp_path, 0, "exit 0"),
        task(tmp_path, 1, "exit 78"),
        task(tmp_path, 2, "kill -KILL $$"),
    ]
    codes = {slot: o.exit_code for slot, o in outcomes(tasks).items() if o}
    assert codes == {0: 0, 1: 78, 2: -signal.SIGKILL}


def test_slots_run_side_by_side_but_never_more_than_the_window(tmp_path: Path) -> None:
    # Slots 0 and 1, then 2 and 3, wait for each other: with a window below 2 they never would end.
    script = """
    touch running.$1; ls running.* | wc -l >> counts
    other=$(( $1 ^ 1 ))
    until [ -e running.$other ] || [ -e ended.$other ]; do read -t 0.05 < /dev/zero; done
    touch ended.$1; rm running.$1
    """
    outcomes([task(tmp_path, slot, script) for slot in range(4)], window=2)
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert len(counts) == 4
    assert max(counts) <= 2


def test_each_slot_has_a_log_of_its_own_with_all_it_printed(tmp_path: Path) -> None:
    outcomes([task(tmp_path, slot, "echo out $1; echo err $1 >&2") for slot in range(2)])
    assert [(tmp_path / f"{slot}.log").read_text() for slot in range(2)] == [
        "out 0\nerr 0\n",
        "out 1\nerr 1\n",
    ]


def test_at_the_walltime_the_whole_group_gets_term_and_the_slot_counts_as_timed_out(
    tmp_path: Path,
) -> None:
    script = """
    (trap 'echo child >> told; exit' TERM; while :; do read -t 0.05 < /dev/zero; done) &
    trap 'echo parent >> told; wait; exit 75' TERM
    while :; do wait; done
    """
    (outcome,) = outcomes([task(tmp_path, 0, script, walltime_s=1)]).values()
    assert outcome == SlotOutcome(exit_code=75, ended_by=FailureClass.TIMEOUT)
    assert sorted((tmp_path / "told").read_text().split()) == ["child", "parent"]


def test_a_process_in_a_group_of_its_own_gets_term_too(tmp_path: Path) -> None:
    # `timeout` makes such a group; PBS and SLURM find what is in it all the same.
    script = """
    trap 'wait; exit 75' TERM
    timeout 1000 bash -c 'trap "touch told; exit" TERM; while :; do read -t 0.05 </dev/zero; done' &
    while :; do wait; done
    """
    outcomes([task(tmp_path, 0, script, walltime_s=1)])
    assert (tmp_path / "told").exists()


def test_what_does_not_listen_to_term_is_killed_as_soon_as_its_scheduler_would(
    tmp_path: Path,
) -> None:
    script = """
    trap 'touch told' TERM
    sleep 1000 & echo $! > pid
    while :; do read -t 0.05 < /dev/zero; done
    """
    slots = [task(tmp_path, 0, script, walltime_s=1, kill_wait_s=0.5)]
    (outcome,) = outcomes(slots).values()
    assert outcome == SlotOutcome(exit_code=-signal.SIGKILL, ended_by=FailureClass.TIMEOUT)
    assert (tmp_path / "told").exists()
    assert not running(int((tmp_path / "pid").read_text()))


def test_what_a_script_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    outcomes([task(tmp_path, 0, "sleep 1000 & echo $! > pid")])
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not running(pid), "the process left behind")


def test_no_further_slot_starts_once_the_caller_has_had_enough(tmp_path: Path) -> None:
    tasks = [task(tmp_path, slot, "touch started.$1") for slot in range(3)]
    run_tasks(tasks, window=1, ended=lambda slot, outcome: False, tick=lambda: None)
    assert [path.name for path in tmp_path.glob("started.*")] == ["started.0"]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_slots_end_with_the_submitter_however_it_ends(
    tmp_path: Path, signum: signal.Signals
) -> None:
    script = "trap 'exit 75' TERM; echo $$ > pid.new; mv pid.new pid; sleep 1000 & wait"
    slot = task(tmp_path, 0, script, walltime_s=1000)
    program = f"""
    from slidearray.schedulers.local import LocalTask, run_tasks
    from pathlib import Path, PosixPath
    run_tasks([{slot!r}], window=1, ended=lambda slot, outcome: True, tick=lambda: None)
    """
    submitter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for((tmp_path / "pid").exists, "the slot to start")
    pid = int((tmp_path / "pid").read_text())
    os.killpg(submitter.pid, signum)  # as a terminal does: submitit's processes get it too
    submitter.wait(PATIENCE_S)
    wait_for(lambda: not running(pid), "the slot to end")


def test_an_enclosing_job_leaves_no_trace_in_a_slots_environment() -> None:
    inherited = {
        "SLURM_JOB_ID": "7",
        "SBATCH_ARRAY_INX": "0-9",
        "PBS_JOBID": "8",
        "PBS_O_HOST": "login",
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_CONF": "/etc/slurm.conf",
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/home/a",
    }
    assert clean_environment(inherited) == {
        "SLURM_CONF": "/etc/slurm.conf",
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/home/a",
    }


def test_what_a_killed_submitter_left_in_the_temporary_folder_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in (f"slidearray-{dead.pid}-x", f"slidearray-{os.getppid()}-x", "slidearray-else-x"):
        (tmp_path / name).mkdir()
    outcomes([task(tmp_path, 0, "exit 0")])
    left = sorted(path.name for path in tmp_path.glob("slidearray-*"))
    assert left == sorted([f"slidearray-{os.getppid()}-x", "slidearray-else-x"])
