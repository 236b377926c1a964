"""A SLURM of one file, for what a real one cannot be made to do: its name says which program it is.

Its state is in ``../state`` beside it. It answers at once and runs job scripts itself, inside the
command that lets them start: an array's tasks one after the other, then what is behind them. The
faults of `tests.fakes.cluster.FakeSlurm` come first.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = Path(sys.argv[0]).resolve().parent.parent / "state"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL")
Job = dict[str, Any]


@contextmanager
def jobs_locked() -> Iterator[dict[str, Job]]:
    """All jobs; what was changed is written at the end of the block."""
    with (STATE / "jobs.json").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        jobs = json.load(file)
        yield jobs
        file.seek(0)
        file.truncate()
        json.dump(jobs, file)


def options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Long options with their values, and what is no option."""
    pairs = [word[2:].partition("=") for word in words if word.startswith("--")]
    return {name: value for name, _, value in pairs}, [
        word for word in words if not word.startswith("--")
    ]


def sbatch(words: list[str]) -> int:
    given, (script,) = options(words)
    text = Path(script).read_text()
    lines = re.findall(r"^#SBATCH (.*)", text, re.MULTILINE)
    said, _ = options([shlex.split(line)[0] for line in lines])
    asked = said | given
    if "test-only" in asked:
        print("sbatch: Job 1 to start at 2026-01-01T00:00:00", file=sys.stderr)
        return 0
    last = re.match(r"0-(\d+)", asked.get("array", ""))
    with jobs_locked() as jobs:
        job_id = str(1000 + len(jobs))
        jobs[job_id] = {
            "name": asked.get("job-name", "sbatch"),
            "script": str(Path(script).absolute()),
            "output": asked.get("output", "/dev/null"),
            "environment": dict(os.environ),
            "held": "hold" in asked,
            "after": re.findall(r"\d+", asked.get("dependency", "")),
            "array": "array" in asked,
            "tasks": {str(k): new_task() for k in range(int(last[1]) + 1 if last else 1)},
        }
    run_what_can()
    print(job_id + (STATE / "cluster").read_text())
    return 0


def new_task() -> dict[str, Any]:
    return {"state": "PENDING", "code": 0, "restarts": 0}


def run_what_can() -> None:
    """Run every job that is neither held nor behind one that has not ended."""
    if (STATE / "busy").exists():
        return
    while found := next_task():
        job_id, task, job = found
        code = run_task(job_id, task, job)
        with jobs_locked() as jobs:
            state = "COMPLETED" if code == 0 else "FAILED"
            jobs[job_id]["tasks"][task] |= {"state": state, "code": code}


def next_task() -> tuple[str, str, Job] | None:
    with jobs_locked() as jobs:
        for job_id, job in jobs.items():
            waits = any(not ended(jobs[each]) for each in job["after"] if each in jobs)
            if job["held"] or waits:
                continue
            for task, found in job["tasks"].items():
                if found["state"] == "PENDING":
                    found["state"] = "RUNNING"
                    return job_id, task, job
    return None


def ended(job: Job) -> bool:
    return all(task["state"] in ENDED for task in job["tasks"].values())


def run_task(job_id: str, task: str, job: Job) -> int:
    # The last task of an array bears the array's own id, as in a real one.
    own = job_id if task == list(job["tasks"])[-1] else f"{job_id}{int(task):04d}"
    environment = job["environment"] | {
        "SLURM_JOB_ID": own,
        "SLURM_JOB_NAME": job["name"],
        "SLURMD_NODENAME": "fake1",
    }
    if job["array"]:
        environment |= {"SLURM_ARRAY_JOB_ID": job_id, "SLURM_ARRAY_TASK_ID": task}
    output = job["output"].replace("%a", task).replace("%%", "%")
    with Path(output).open("ab") as log:
        return subprocess.run(
            ["/bin/bash", job["script"]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


def squeue(words: list[str]) -> int:
    given, _ = options(words)
    columns = [each.partition(":") for each in given["Format"].split(",")]
    names = given["name"].split(",") if "name" in given else None
    with jobs_locked() as jobs:
        for job_id, job in jobs.items():
            for task, found in job["tasks"].items():
                state = found["state"]
                forgotten = (STATE / "forgets").exists() and state in ENDED
                over = given.get("states") != "all" and state in ENDED
                if forgotten or over or (names is not None and job["name"] not in names):
                    continue
                reason = "None"
                if state == "PENDING":
                    reason = "JobHeldUser" if job["held"] else "Priority"
                cells = {
                    "ArrayJobID": job_id,
                    "ArrayTaskID": task if job["array"] else "N/A",
                    "State": state,
                    "exit_code": str(found["code"] << 8),
                    "RestartCnt": str(found["restarts"]),
                    "NodeList": "" if state == "PENDING" or found.get("unbegun") else "fake1",
                    "Name": job["name"],
                    "Reason": reason,
                }
                print("".join(f"{cells[name]:{width}.{width}}" for name, _, width in columns))
    return 0


def sacct(words: list[str]) -> int:
    given, _ = options(words)
    mode = (STATE / "accounting").read_text()
    if mode == "off":
        print("Slurm accounting storage is disabled", file=sys.stderr)
        return 1
    with jobs_locked() as jobs:
        for job_id in given["jobs"].split(","):
            job: Job = jobs.get(job_id, {"tasks": {}})
            for task, found in job["tasks"].items():
                state = "RUNNING" if mode == "lags" else found["state"]
                cells = {
                    "JobID": f"{job_id}_{task}" if job["array"] else job_id,
                    "State": "CANCELLED by 0" if state == "CANCELLED" else state,
                    "ExitCode": f"{found['code']}:0",
                    "NodeList": "None assigned" if found.get("unbegun") else "fake1",
                    "Submit": "2026-01-01T00:00:00",
                    "JobName": job["name"],
                }
                if mode != "silent":
                    print("|".join(cells[name] for name in given["format"].split(",")))
    return 0


def scancel(words: list[str]) -> int:
    given, ids = options(words)
    if "clusters" in given:
        (STATE / "cancelled-elsewhere").write_text(" ".join(words))
        return 0
    with jobs_locked() as jobs:
        for word in ids:
            job_id, _, task = word.partition("_")
            for number, found in jobs.get(job_id, {"tasks": {}})["tasks"].items():
                if task in ("", number) and found["state"] not in ENDED:
                    found |= {"state": "CANCELLED", "unbegun": found["state"] == "PENDING"}
    run_what_can()
    return 0


def scontrol(words: list[str]) -> int:
    _, (verb, what, *_) = options(words)
    if verb == "show":
        answer = STATE / f"{what}.txt"
        print(answer.read_text() if answer.exists() else "")
        return 0
    assert verb == "release"
    with jobs_locked() as jobs:
        unknown = [each for each in what.split(",") if each not in jobs]
        for job_id in what.split(","):
            if job_id in jobs:
                jobs[job_id]["held"] = False
    run_what_can()
    for job_id in unknown:
        print(f"Invalid job id specified for job {job_id}", file=sys.stderr)
    return 1 if unknown else 0


def sacctmgr(words: list[str]) -> int:
    _, (_, what, *_) = options(words)
    answer = STATE / f"sacctmgr-{what}.txt"
    if not answer.exists():
        print("sacctmgr: error: You are not running a supported accounting_storage plugin")
        return 1
    print(answer.read_text(), end="")
    return 0


PROGRAMS = {
    "sbatch": sbatch,
    "squeue": squeue,
    "sacct": sacct,
    "scancel": scancel,
    "scontrol": scontrol,
    "sacctmgr": sacctmgr,
}


def next_fault(program: str) -> dict[str, Any]:
    """What goes wrong with this call."""
    path = STATE / f"faults-{program}.json"
    faults = json.loads(path.read_text()) if path.exists() else []
    if not faults:
        return {}
    left = path.with_suffix(f".{os.getpid()}")
    left.write_text(json.dumps(faults[1:]))
    left.replace(path)  # another call may be reading it
    return dict(faults[0])


def main() -> int:
    program = Path(sys.argv[0]).name
    fds = [int(each.name) for each in Path("/proc/self/fd").iterdir()]
    call = {"argv": [program, *sys.argv[1:]], "env": dict(os.environ), "fds": fds}
    with (STATE / "calls.jsonl").open("a") as log:
        log.write(json.dumps(call) + "\n")
    fault = next_fault(program)
    print(fault.get("before", ""), end="", flush=True)
    code = PROGRAMS[program](sys.argv[1:]) if fault.get("works", True) else 0
    print(fault.get("behind", ""), end="", flush=True)
    sys.stderr.write(fault.get("stderr", ""))
    if fault.get("hangs"):
        signal.pause()
    return int(fault.get("code", code))


if __name__ == "__main__":
    sys.exit(main())
