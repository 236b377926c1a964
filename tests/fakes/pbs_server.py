"""The server and scheduler of the fake PBS: its jobs, which of them may start, and how they end.

A job is a plain dictionary in ``jobs.json``: many short-lived programs change it, one at a time.
Subjobs are in its ``tasks`` by number; a plain job has one task without a number.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.fakes.pbs_rules import RefusedError, chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.fakes.pbs_rules import Request

HOST = "pbshost"
UNKNOWN_ID, HISTORY_OFF, FINISHED, FINISHED_SUBJOB = 15001, 15140, 15139, 15159
INVALID = 15004
ENDED = ("finished", "failed", "terminated", "dropped")
#: What is behind the comment of a task that PBS ended itself.
EXCEEDED = {-29: "walltime", -28: "cput", -27: "mem", -26: "vmem"}
Job = dict[str, Any]
Task = dict[str, Any]


class Server:
    """All that the programs share, in a folder.

    Parameters
    ----------
    folder
        Holds ``settings.json``, ``jobs.json`` and the spool.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((folder / "settings.json").read_text())
        self.spool = folder / "spool"

    @contextmanager
    def locked(self) -> Iterator[dict[str, Job]]:
        """All jobs by id without server; what was changed is written at the end of the block."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "jobs.json"
            jobs = json.loads(path.read_text())
            yield jobs
            # Whoever looks without the lock sees it whole.
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(jobs))
            fresh.replace(path)

    def next_id(self, *, array: bool) -> str:
        """An id that nobody had before; also a job that is refused then has used it up."""
        path = self.folder / "sequence"
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = int(file.read())
            file.seek(0)
            file.write(str(number + 1))
        return f"{number}[]" if array else str(number)

    def accept(self, job_id: str, job: Job) -> None:
        """Queue a job, and start what can start."""
        with self.locked() as jobs:
            jobs[job_id] = job
            job["was_behind"] = _waits(job, jobs)
        self.run_what_can()

    def run_what_can(self) -> None:
        """Start every task that is not held, not behind another job, and finds CPUs."""
        with self.locked() as jobs:
            for job in jobs.values():
                _drop_if_hopeless(job, jobs)
            starting = [] if self.settings["busy"] else self._startable(jobs)
            for job_id, number in starting:
                _start(jobs[job_id], number, ncpus=ncpus_of(jobs[job_id]))
            self._forget(jobs)
        for job_id, number in starting:
            self._begin(job_id, number)

    def _startable(self, jobs: dict[str, Job]) -> list[tuple[str, str]]:
        free = self.settings["ncpus"] - sum(
            ncpus_of(job) for job in jobs.values() for task in job["tasks"].values() if _runs(task)
        )
        found = []
        for job_id, job in jobs.items():
            if job["held"] or _waits(job, jobs):
                continue
            if ncpus_of(job) > self.settings["ncpus"]:
                asked, there = ncpus_of(job), self.settings["ncpus"]
                job["comment"] = (
                    "Can Never Run: Insufficient amount of resource: ncpus "
                    f"(R: {asked} A: {there} T: {there})"
                )
                continue
            running = sum(_runs(task) for task in job["tasks"].values())
            for number, task in job["tasks"].items():
                throttled = job["most_running"] is not None and running >= job["most_running"]
                if task["state"] == "queued" and not throttled and free >= ncpus_of(job):
                    found.append((job_id, number))
                    free -= ncpus_of(job)
                    running += 1
        return found

    def _begin(self, job_id: str, number: str) -> None:
        # Its own session, and none of our descriptors: qsub and its caller do not wait for it.
        with (self.folder / "mom.log").open("a") as log:
            subprocess.Popen(
                [self.folder.parent / "mom", job_id, number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def _forget(self, jobs: dict[str, Job]) -> None:
        """Without a history, a job is gone when all of it has ended."""
        if not self.settings["history"]:
            for job_id in [each for each, job in jobs.items() if is_over(job)]:
                del jobs[job_id]

    def end(self, job_id: str, number: str, **values: Any) -> None:
        """Write down how a task ended, and start what waited for it."""
        with self.locked() as jobs:
            if job_id in jobs:
                end_task(jobs[job_id], number, **values)
        self.run_what_can()

    def marker(self, job_id: str, number: str, what: str) -> Path:
        """A file by which a running task is told something."""
        return self.spool / f"{job_id.rstrip('[]')}.{number}.{what}"


def new_job(request: Request, *, queue: str, **values: Any) -> Job:
    """What is known of a job when it is accepted."""
    numbers = request.indices
    most = request.most_running
    return {
        "name": request.options["N"],
        "queue": queue,
        "array": numbers is not None,
        "range": request.options.get("J", "").partition("%")[0],
        "most_running": int(most) if most else None,
        "held": "h" in request.options,
        "after": request.after,
        "options": request.options,
        "resources": request.resources,
        "umask": request.attributes.get("umask"),
        "group_list": request.attributes.get("group_list"),
        "ctime": time.time(),
        "stime": None,
        "obittime": None,
        "exit": None,
        "last": None,
        "deleted": False,
        "dropped": False,
        "holds": None,
        "comment": "",
        "tasks": {
            "" if numbers is None else str(k): {"state": "queued", "runs": 0}
            for k in ([0] if numbers is None else numbers)
        },
        **values,
    }


def ncpus_of(job: Job) -> int:
    """CPUs of each task."""
    asked = chunk(job["resources"]["select"]) if "select" in job["resources"] else job["resources"]
    return int(asked.get("ncpus", 1))


def _runs(task: Task) -> bool:
    return task["state"] in ("running", "exiting")


def is_over(job: Job) -> bool:
    """Whether all of it has ended."""
    return all(task["state"] in ENDED for task in job["tasks"].values())


def _waits(job: Job, jobs: dict[str, Job]) -> bool:
    return any(each in jobs and not is_over(jobs[each]) for _, each in job["after"])


def is_behind(job: Job, jobs: dict[str, Job]) -> bool:
    """Whether it is held by a dependency."""
    return not is_over(job) and _waits(job, jobs)


def holds_of(job: Job, jobs: dict[str, Job]) -> str:
    """`Hold_Types`: a deleted job has those that it had."""
    if is_over(job) and job["holds"]:
        return str(job["holds"])
    return ("s" if is_behind(job, jobs) else "") + ("u" if job["held"] else "") or "n"


def _drop_if_hopeless(job: Job, jobs: dict[str, Job]) -> None:
    """A dependency that can never hold deletes the job; `afterany` always holds at the end."""
    for kind, each in job["after"]:
        other = jobs.get(each)
        if other is None or not is_over(other) or is_over(job):
            continue
        # The end of the subjob that ended last decides, whatever the others did.
        well = other["last"] == 0
        if (kind == "afterok" and not well) or (kind == "afternotok" and well):
            job["dropped"] = True
            for task in job["tasks"].values():
                task["state"] = "dropped"


def _start(job: Job, number: str, *, ncpus: int) -> None:
    now = time.time()
    job["stime"] = job["stime"] or now
    run_at = time.strftime("%a %b %d at %H:%M", time.localtime(now))
    job["comment"] = f"Job Array Began at {run_at}"
    taken = {task.get("cpu") for task in job["tasks"].values() if _runs(task)}
    job["tasks"][number] |= {
        "state": "running",
        "runs": job["tasks"][number]["runs"] + 1,
        "stime": now,
        "cpu": next(k for k in range(len(taken) + 1) if k not in taken),
        "comment": f"Job run at {run_at} on ({HOST}:ncpus={ncpus})",
    }


def end_task(job: Job, number: str, *, code: int, deleted: bool = False) -> None:
    """A task that ran has ended; a parent shows what changed last."""
    now = time.time()
    if deleted:
        state, words = "terminated", f"terminated by {job['owner']}@{HOST}"
    elif code == 0:
        state, words = "finished", "finished"
    else:
        state = "failed"
        words = f"exceeded resource {EXCEEDED[code]}" if code in EXCEEDED else "failed"
    task = job["tasks"][number]
    task |= {"state": state, "exit": code, "obittime": now}
    task["comment"] = f"{task['comment']} and {words}"
    job |= {"exit": int(code != 0), "last": code, "obittime": now}


def delete_tasks(server: Server, job_id: str, jobs: dict[str, Job], numbers: Sequence[str]) -> None:
    """End tasks: a running one is told, a waiting one never runs.

    Those among several that have ended lose their records, as if they had never run.

    Raises
    ------
    RefusedError
        Only one is meant, and it has ended.
    """
    job = jobs[job_id]
    if len(numbers) == 1 and job["tasks"][numbers[0]]["state"] in ENDED:
        raise RefusedError("Request invalid for finished array subjob", FINISHED_SUBJOB)
    if len(numbers) == len(job["tasks"]):
        job |= {"deleted": True, "holds": holds_of(job, jobs)}
    for number in numbers:
        if job["tasks"][number]["state"] in ENDED:
            job["tasks"][number] = {"state": "terminated", "runs": 0}
        elif job["tasks"][number]["state"] == "queued":
            job["tasks"][number]["state"] = "terminated"
            job["obittime"] = time.time()
        else:
            server.marker(job_id, number, "deleted").touch()


def look_up(jobs: dict[str, Job], text: str) -> tuple[str, Sequence[str]]:
    """The job of an id as a person types it, and the tasks that are meant.

    Raises
    ------
    RefusedError
        Its words lack program and id.
    """
    bare = text.partition(".")[0]
    head, bracket, inside = bare.partition("[")
    job_id = f"{head}[]" if bracket else head
    if job_id not in jobs:
        raise RefusedError("Unknown Job Id", UNKNOWN_ID)
    numbers = list(jobs[job_id]["tasks"])
    inside = inside.rstrip("]")
    if not inside:
        return job_id, numbers
    first, _, last = inside.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise RefusedError("illegally formed job identifier", 1)
    meant = [each for each in numbers if int(first) <= int(each) <= int(last or first)]
    if not meant:
        raise RefusedError("Invalid request", INVALID)
    return job_id, meant
