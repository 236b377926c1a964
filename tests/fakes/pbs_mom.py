"""What runs one task of the fake PBS, as MOM does: a process of its own until the task has ended.

A login shell reads the script's name from its standard input, as OpenPBS is built by default
(``src/resmom/start_exec.c``), so TERM ends that shell at once: the task ends when no process of
its session is left, or at the KILL.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.pbs_rules import chunk, kilobytes, seconds
from tests.fakes.pbs_server import HOST, ncpus_of

if TYPE_CHECKING:
    from tests.fakes.pbs_server import Job, Server

LOOK_EVERY_S = 0.05
BEYOND_EVERY_CODE = 0x100  # what is added to the signal that ended the shell
OUT_OF_WALLTIME, OUT_OF_MEMORY = -29, -27
NO_SHELL = 254


@dataclass(kw_only=True)
class Verdict:
    """How a task ended: with which code, and whether PBS ended it."""

    code: int | None = None
    deleted: bool = False
    rerun: bool = False


def run_task(server: Server, job_id: str, number: str) -> None:
    """Run a task that was started, from its shell to its output."""
    with server.locked() as jobs:
        if job_id not in jobs:
            return
        job: Job = json.loads(json.dumps(jobs[job_id]))
    out, err = (server.marker(job_id, number, each) for each in ("OU", "ER"))
    umask = int(job["umask"] or "0077", 8)
    with _opened(out, umask) as stdout, _opened(err, umask) as stderr:
        verdict = _run(server, job_id, number, job=job, outputs=(stdout, stderr))
    if verdict.rerun:
        _back_to_queue(server, job_id, number)
        return
    code = verdict.code or 0
    with server.locked() as jobs:
        if job_id in jobs:
            jobs[job_id]["tasks"][number] |= {"state": "exiting", "exit": code}
    _deliver(job_id, job, number, output=out, errors=err, umask=umask)
    server.end(job_id, number, code=code, deleted=verdict.deleted)


def _run(
    server: Server, job_id: str, number: str, *, job: Job, outputs: tuple[Any, Any]
) -> Verdict:
    """How a task ended, and its code; ``outputs`` are opened for writing."""
    stdout, stderr = outputs
    try:
        shell = _start(
            job,
            environment=_environment(server, job_id, job, number),
            umask=int(job["umask"] or "0077", 8),
            stdout=stdout,
            stderr=stdout if job["options"].get("j") == "oe" else stderr,
        )
    except OSError as error:
        words = f"pbs_mom, exec of {_shell_of(job)} failed with error: {error.strerror}\n"
        (stdout if job["options"].get("j") == "oe" else stderr).write(words.encode())
        return Verdict(code=NO_SHELL)
    assert shell.stdin
    with suppress(BrokenPipeError):
        script = server.spool / f"{job_id.rstrip('[]')}.SC"
        shell.stdin.write(f"{shlex.quote(str(script))}\n".encode())
        shell.stdin.close()
    with server.locked() as jobs:
        if job_id in jobs:
            jobs[job_id]["tasks"][number]["session"] = shell.pid
    verdict = _watch(server, job_id, number, job=job, shell=shell)
    if verdict.code == OUT_OF_WALLTIME:
        stderr.write(b"=>> PBS: job killed: walltime exceeded limit\n")
    code = shell.wait()
    if verdict.code is None:
        verdict.code = BEYOND_EVERY_CODE - code if code < 0 else code
    return verdict


def _opened(path: Path, umask: int) -> Any:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 & ~umask), "wb")


def _start(
    job: Job, *, environment: dict[str, str], umask: int, stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    shell = _shell_of(job)
    return subprocess.Popen(
        [f"-{Path(shell).name}"],
        executable=shell,
        env=environment,
        cwd=environment["HOME"],
        umask=umask,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def _shell_of(job: Job) -> str:
    return str(job["options"].get("S", "/bin/bash"))


def _environment(server: Server, job_id: str, job: Job, number: str) -> dict[str, str]:
    me = pwd.getpwuid(os.getuid()).pw_name
    home = server.settings["home"]
    nodes = server.marker(job_id, number, "NODES")
    nodes.write_text(f"{HOST}\n")
    found = {
        "PATH": server.settings["path"],
        **job["variables"],
        "HOME": home,
        "LOGNAME": me,
        "USER": me,
        "SHELL": "/bin/bash",
        "PBS_JOBNAME": job["name"],
        "PBS_JOBID": full_id(job_id, number),
        "PBS_QUEUE": job["queue"],
        "PBS_JOBCOOKIE": "0" * 32,
        "PBS_NODENUM": "0",
        "PBS_TASKNUM": "1",
        "PBS_MOMPORT": "15003",
        "PBS_NODEFILE": str(nodes),
        "PBS_JOBDIR": home,
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "ENVIRONMENT": "BATCH",
        "NCPUS": str(ncpus_of(job)),
        "OMP_NUM_THREADS": str(ncpus_of(job)),
        "TMPDIR": "/tmp",
    }
    if job["array"]:
        found |= {"PBS_ARRAY_INDEX": number, "PBS_ARRAY_ID": full_id(job_id)}
    return found


def full_id(job_id: str, number: str = "") -> str:
    """`12.pbshost`, `12[].pbshost` or `12[3].pbshost`."""
    return f"{job_id.replace('[]', f'[{number}]')}.{HOST}"


def _watch(
    server: Server, job_id: str, number: str, *, job: Job, shell: subprocess.Popen[bytes]
) -> Verdict:
    """Until nothing of the task runs any more; ends it when it is deleted or takes too much."""
    deleted, struck = (server.marker(job_id, number, each) for each in ("deleted", "struck"))
    began = time.monotonic()
    limit_s = seconds(job["resources"].get("walltime", "999:00:00"))
    memory = _memory_limit(job) if server.settings["enforces_memory"] else None
    while shell.poll() is None:
        if struck.exists():
            word = struck.read_text()
            struck.unlink()
            if word == "rerun":
                _signal_session(shell.pid, signal.SIGKILL)
                return Verdict(rerun=True)
            return _terminated(server, shell, Verdict(code=int(word)))
        if deleted.exists():
            return _terminated(server, shell, Verdict(deleted=True))
        if time.monotonic() - began > limit_s:
            return _terminated(server, shell, Verdict(code=OUT_OF_WALLTIME))
        if memory is not None and _used_kb(shell.pid) > memory:
            return _terminated(server, shell, Verdict(code=OUT_OF_MEMORY))
        time.sleep(LOOK_EVERY_S)  # between two looks
    _signal_session(shell.pid, signal.SIGKILL)
    return Verdict(deleted=deleted.exists())


def _terminated(server: Server, shell: subprocess.Popen[bytes], verdict: Verdict) -> Verdict:
    """TERM to every process of the session, KILL later to those that are left."""
    _signal_session(shell.pid, signal.SIGTERM)
    deadline = time.monotonic() + server.settings["kill_delay_s"]
    while time.monotonic() < deadline:
        shell.poll()
        if not _session(shell.pid):
            return verdict
        time.sleep(LOOK_EVERY_S)  # between two looks
    _signal_session(shell.pid, signal.SIGKILL)
    return verdict


def _session(leader: int) -> list[int]:
    """Processes of a session that are not zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found


def _signal_session(leader: int, signum: signal.Signals) -> None:
    for pid in _session(leader):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _memory_limit(job: Job) -> int | None:
    asked = chunk(job["resources"]["select"]) if "select" in job["resources"] else job["resources"]
    return kilobytes(asked["mem"]) if "mem" in asked else None


def _used_kb(leader: int) -> int:
    total = 0
    for pid in _session(leader):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4
    return total


def _back_to_queue(server: Server, job_id: str, number: str) -> None:
    with server.locked() as jobs:
        if job_id in jobs:
            jobs[job_id]["tasks"][number] |= {"state": "queued"}
            jobs[job_id]["exit"] = 2  # what a parent shows after a restart of PBS
    server.run_what_can()


def _deliver(job_id: str, job: Job, number: str, *, output: Path, errors: Path, umask: int) -> None:
    """Copy the output to where it is wanted; where that fails, nobody is told."""
    kinds = [("o", "OU", output)] + (
        [] if job["options"].get("j") == "oe" else [("e", "ER", errors)]
    )
    for letter, ending, source in kinds:
        target = Path(output_path(job_id, job, number, letter=letter))
        if target.is_dir():
            target = target / f"{full_id(job_id, number)}.{ending}"
        with suppress(OSError):
            if target == Path("/dev/null"):
                continue
            shutil.copyfile(source, target)
            target.chmod(0o666 & ~umask)


def output_path(job_id: str, job: Job, number: str, *, letter: str) -> str:
    """Where the output (`o`) or the errors (`e`) of a task go."""
    folder = job["variables"]["PBS_O_WORKDIR"]
    usual = f"{job['name']}.{letter}{job_id.rstrip('[]')}" + (
        ".^array_index^" if job["array"] else ""
    )
    asked = job["options"].get(letter, usual).rpartition(":")[2]
    path = str(Path(folder, asked)) + ("/" if asked.endswith("/") else "")
    return path.replace("^array_index^", number or "^array_index^")
