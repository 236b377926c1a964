"""Run rendered job scripts on this machine, a bounded number at a time, as a scheduler would.

submitit's `LocalExecutor` starts and watches one process a slot; what it lacks is here: the
window, the exit codes, the signal order at the walltime, and that slots end with the submitter.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError

from slidearray import command
from slidearray.core.classes import FailureClass
from slidearray.core.verdicts import SlotOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Seconds between two looks at a running slot.
POLL_S = 0.1
#: submitit ends what outlives the walltime by this much; our own wrapper is always earlier.
OUTER_GUARD_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTask:
    """One slot: the rendered script and what the scheduler would give it."""

    slot: int
    script: Path
    arguments: tuple[str, ...]
    environment: dict[str, str]  # all of it, not additions
    walltime_s: int
    kill_wait_s: float  # between TERM and KILL, as its scheduler has it
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submitter:
    """Who a slot must not outlive."""

    pid: int
    started: str  # clock ticks since boot, so that a reused pid is not taken for it
    stop_file: Path  # exists once the submitter asks its slots to end

    def gone(self) -> bool:
        return self.stop_file.exists() or _process_started(self.pid) != self.started


def run_tasks(
    tasks: Sequence[LocalTask],
    *,
    window: int,
    ended: Callable[[int, SlotOutcome | None], bool],
    tick: Callable[[], None],
) -> None:
    """Run every task's script, `window` at a time, and wait for them all.

    Parameters
    ----------
    tasks
        In the order in which they start.
    window
        How many run at once.
    ended
        Called with a slot and how it ended (None: its wrapper was killed); returns False to start
        no further slot.
    tick
        Called several times a second while slots run.

    Raises
    ------
    KeyboardInterrupt
        When this process was told to end; all slots have ended by then.
    """
    waiting = list(reversed(tasks))
    running: dict[int, submitit.Job[SlotOutcome]] = {}
    with _private_folder() as folder, _ends_its_slots(folder, running, ended=ended):
        me = _Submitter(
            pid=os.getpid(), started=_process_started(os.getpid()), stop_file=folder / "stop"
        )
        while waiting or running:
            while waiting and len(running) < window:
                task = waiting.pop()
                running[task.slot] = _submit(task, folder=folder, submitter=me)
            for slot in [slot for slot, job in running.items() if job.done()]:
                if not ended(slot, _outcome(running.pop(slot))):
                    waiting.clear()
            tick()
            time.sleep(POLL_S)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Where submitit keeps its pickles: they hold the environment, so only its owner reads them."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob("slidearray-*-*"):  # of submitters that were killed
        pid = left.name.split("-")[1]
        ours = left.lstat().st_uid == os.getuid()
        if ours and pid.isdigit() and not _process_started(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"slidearray-{os.getpid()}-") as folder:
        yield Path(folder)


@contextmanager
def _ends_its_slots(
    folder: Path,
    running: dict[int, submitit.Job[SlotOutcome]],
    *,
    ended: Callable[[int, SlotOutcome | None], bool],
) -> Iterator[None]:
    """Turn TERM and HUP into KeyboardInterrupt; whatever leaves the block ends the slots first."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {
        signum: signal.signal(signum, interrupt) for signum in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for signum in (*before, signal.SIGINT):
            before.setdefault(signum, signal.getsignal(signum))
            signal.signal(signum, signal.SIG_IGN)  # the orderly end is not to be interrupted
        (folder / "stop").touch()
        for slot, job in running.items():
            ended(slot, _outcome(job))  # waits for it
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _submit(task: LocalTask, *, folder: Path, submitter: _Submitter) -> submitit.Job[SlotOutcome]:
    # One folder a slot: submitit names results by process id, and ids come round again.
    executor = submitit.LocalExecutor(folder / str(task.slot))
    executor.update_parameters(
        timeout_min=(task.walltime_s + task.kill_wait_s + OUTER_GUARD_S) / 60, stderr_to_stdout=True
    )
    # Ctrl-C and a closed terminal reach the whole foreground group: submitit's processes must
    # live on to end their slots in good order, and what is ignored here they ignore too.
    before = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGHUP)}
    try:
        return executor.submit(run_script, task, submitter)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _outcome(job: submitit.Job[SlotOutcome]) -> SlotOutcome | None:
    try:
        outcome: SlotOutcome = job.result()
    except (FailedJobError, UncompletedJobError):
        return None
    return outcome


def run_script(task: LocalTask, submitter: _Submitter) -> SlotOutcome:
    """Run one slot's script to its end; what submitit calls in a process of its own."""
    with task.log.open("ab") as log:
        process = command.start(
            [*_interpreter(task.script), str(task.script), *task.arguments],
            env=task.environment,
            stdout=log,
            new_session=True,
            parent_death_signal=signal.SIGTERM,
        )
    deadline = time.monotonic() + task.walltime_s
    timed_out = False
    while process.poll() is None:
        timed_out = time.monotonic() >= deadline
        if timed_out or submitter.gone():
            _end(process, kill_wait_s=task.kill_wait_s)
            break
        time.sleep(POLL_S)
    _signal_all(process, signal.SIGKILL)  # what the script left behind ends with it
    return SlotOutcome(
        exit_code=process.wait(), ended_by=FailureClass.TIMEOUT if timed_out else None
    )


def _interpreter(script: Path) -> list[str]:
    """The script's own `#!` line: it is run as on a node, also where files cannot be executed."""
    with script.open(encoding="utf-8") as file:
        first = file.readline()
    return shlex.split(first[2:]) if first.startswith("#!") else ["/bin/bash"]


def _end(process: command.Process, *, kill_wait_s: float) -> None:
    """TERM to every process of it, KILL when it does not listen: the order a scheduler keeps."""
    _signal_all(process, signal.SIGTERM)
    deadline = time.monotonic() + kill_wait_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _signal_all(process, signal.SIGKILL)


def _signal_all(process: command.Process, signum: signal.Signals) -> None:
    """Tell a script and all that it started, whatever groups they made for themselves.

    PBS takes a job's whole session, children first, then its process group (openpbs:
    kill_session in mom_mach.c); SLURM takes what is in the job's control group.
    """
    for pid in _of_session(process.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)
    if signum == signal.SIGKILL:  # of those that were just being started
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)


def _of_session(session: int) -> list[int]:
    """Processes of a session, the youngest first: children are younger than their parents."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    found = {pid: words for pid in pids if (words := _stat(pid)) and int(words[3]) == session}
    return sorted(found, key=lambda pid: (int(found[pid][19]), pid), reverse=True)


def _process_started(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty when there is none."""
    words = _stat(pid)
    return "" if not words or words[0] == "Z" else words[19]


def _stat(pid: int) -> list[str]:
    """What proc_pid_stat(5) tells from the state on; nothing of a process that is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before it may hold spaces
