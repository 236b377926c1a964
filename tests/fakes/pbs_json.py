"""What `qstat` of the fake PBS tells of a job in JSON: the keys of a real server, and its lies."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.fakes.pbs_mom import full_id, output_path
from tests.fakes.pbs_rules import TIMES, chunk, seconds
from tests.fakes.pbs_server import ENDED, HOST, holds_of, is_behind, is_over, ncpus_of

if TYPE_CHECKING:
    from tests.fakes.pbs_server import Job, Task

SUBSTATES = {"running": 42, "exiting": 51, "finished": 92, "failed": 93, "terminated": 91}
AT_THE_END = {91: "terminated", 92: "finished", 93: "failed"}  # of an array
DROPPED = 92  # what a job shows that was deleted by its dependency
Attributes = dict[str, Any]


def attributes_of(job_id: str, job: Job, jobs: dict[str, Job]) -> Attributes:
    """Attributes of a plain job, or of an array itself."""
    letter, substate = _state(job, jobs)
    task = None if job["array"] else job["tasks"][""]
    found = {
        **_of_every_job(job_id, job, ""),
        "job_state": letter,
        "substate": substate,
        "Checkpoint": "u",
        "Hold_Types": holds_of(job, jobs),
        "Submit_arguments": job["arguments"],
        "project": job["options"].get("P", "_pbs_project_default"),
        "Submit_Host": HOST,
        **_dependencies(job_id, job, jobs),
        **_times(job),
    }
    if job["comment"]:
        found["comment"] = job["comment"]
    if task is None:
        found |= _of_array(job)
        if is_over(job) and job["stime"]:
            found["comment"] += f" and {AT_THE_END[substate]}"
    elif task["runs"]:
        found |= _of_run(job_id, job, "", task)
    if is_over(job) and not job["dropped"]:
        found["obittime"] = _when(job["obittime"])
    if is_over(job):
        found["history_timestamp"] = int(job["obittime"] or job["ctime"])
    return found


def subjob_attributes(job_id: str, job: Job, number: str, jobs: dict[str, Job]) -> Attributes:
    """Attributes of a subjob; of one that never ran they are the parent's, its exit status too."""
    task = job["tasks"][number]
    over = is_over(job)
    if task["runs"] and task["state"] != "queued":
        found = _of_every_job(job_id, job, number) | _of_run(job_id, job, number, task)
        letter = {"running": "R", "exiting": "E"}.get(task["state"], "F" if over else "X")
        return found | {
            "job_state": letter,
            "substate": SUBSTATES[task["state"]],
            "project": job["options"].get("P", "_pbs_project_default"),
            "Submit_Host": HOST,
            "array_id": full_id(job_id),
            "array_index": int(number),
            **_times(job, stime=task["stime"]),
        }
    parent = attributes_of(job_id, job, jobs)
    for key in [*_of_array(job), "project", "Submit_Host", "history_timestamp"]:
        if key not in ("Exit_status", "Stageout_status"):
            parent.pop(key, None)
    if task["state"] in ENDED:
        return parent | {"job_state": "F" if over else "X", "comment": "Subjob finished"}
    return parent | {"job_state": "Q", "substate": 10}


def _state(job: Job, jobs: dict[str, Job]) -> tuple[str, int]:
    states = [task["state"] for task in job["tasks"].values()]
    if job["dropped"]:
        return "F", DROPPED
    if is_over(job):
        if not job["array"]:
            return "F", SUBSTATES[states[0]]
        if job["deleted"]:
            return "F", 91
        return "F", 93 if "failed" in states or "terminated" in states else 92
    if job["array"] and job["stime"]:
        return "B", 70
    if states[0] in SUBSTATES:
        return "RE"[states[0] == "exiting"], SUBSTATES[states[0]]
    if job["held"]:  # one that was behind others keeps the substate of that, whatever they do
        return "H", 22 if job["was_behind"] else 20
    return ("H", 22) if is_behind(job, jobs) else ("Q", 10)


def _of_every_job(job_id: str, job: Job, number: str) -> Attributes:
    return {
        "Job_Name": job["name"],
        "Job_Owner": f"{job['owner']}@{HOST}",
        "queue": job["queue"],
        "server": HOST,
        "Error_Path": f"{HOST}:{output_path(job_id, job, number, letter='e')}",
        "Join_Path": job["options"].get("j", "n"),
        "Keep_Files": job["options"].get("k", "n"),
        "Mail_Points": job["options"].get("m", "a"),
        "Output_Path": f"{HOST}:{output_path(job_id, job, number, letter='o')}",
        "Priority": int(job["options"].get("p", 0)),
        "Rerunable": "False" if job["options"].get("r") == "n" else "True",
        "Resource_List": _resources(job),
        "schedselect": _select(job),
        "Variable_List": {name: _retyped(text) for name, text in job["variables"].items()},
        "euser": job["owner"],
        "egroup": (job["group_list"] or job["owner"]).partition("@")[0],
        "queue_rank": int(job["ctime"] * 1e6),
        "queue_type": "E",
        **_where_asked(job),
    }


def _where_asked(job: Job) -> Attributes:
    """What a job has only if it was asked for."""
    umask = int(job["umask"]) if job["umask"] else None  # its octal digits
    found = {
        "Account_Name": job["options"].get("A"),
        "group_list": job["group_list"],
        "umask": umask,
    }
    return {name: value for name, value in found.items() if value is not None}


def _of_run(job_id: str, job: Job, number: str, task: Task) -> Attributes:
    found = {
        "exec_host": f"{HOST}/{task['cpu']}",
        "exec_vnode": f"({HOST}:ncpus={ncpus_of(job)})",
        "hashname": full_id(job_id, number),
        "jobdir": job["home"],
        "resources_used": {
            "cpupercent": 0,
            "cput": "00:00:00",
            "mem": "7308kb",
            "ncpus": ncpus_of(job),
            "vmem": "10380kb",
            "walltime": "00:00:02",
        },
        "run_count": task["runs"],
        "run_version": task["runs"],
        "comment": task["comment"],
    }
    if "session" in task:
        found["session_id"] = task["session"]
    if "exit" in task:  # E carries it already
        found["Exit_status"] = task["exit"]
    if task["state"] in ENDED:
        found |= {
            "Stageout_status": 1,
            "obittime": _when(task["obittime"]),
            "history_timestamp": int(task["obittime"]),
        }
    return found


def _of_array(job: Job) -> Attributes:
    states = [task["state"] for task in job["tasks"].values()]
    counts = {
        "Queued": states.count("queued"),
        "Running": states.count("running"),
        "Exiting": states.count("exiting"),
        "Expired": sum(state in ENDED for state in states),
    }
    left = [number for number, task in job["tasks"].items() if task["state"] == "queued"]
    found: Attributes = {
        "array": "True",
        "array_state_count": " ".join(f"{name}:{count}" for name, count in counts.items()),
        "array_indices_submitted": job["range"],
        "array_indices_remaining": _as_range(left),
    }
    if job["most_running"] is not None:
        found["max_run_subjobs"] = job["most_running"]
    if job["exit"] is not None:
        found |= {"Exit_status": job["exit"], "Stageout_status": 1}
    return found


def _as_range(numbers: list[str]) -> str:
    if len(numbers) > 1 and int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(numbers) or "-"


def _dependencies(job_id: str, job: Job, jobs: dict[str, Job]) -> Attributes:
    found: dict[str, list[str]] = {}
    for kind, each in job["after"]:
        if job["dropped"] or (each in jobs and not is_over(jobs[each])):
            found.setdefault(kind, []).append(each)
    for other, job_behind in jobs.items():
        for kind, before in job_behind["after"]:
            if before == job_id:
                found.setdefault(f"before{kind.removeprefix('after')}", []).append(other)
    lists = [
        ":".join([kind, *(f"{full_id(each)}@{HOST}" for each in ids)])
        for kind, ids in found.items()
    ]
    return {"depend": ",".join(lists)} if lists else {}


def _times(job: Job, *, stime: float | None = None) -> Attributes:
    stime = stime or job["stime"]
    found = {"ctime": _when(job["ctime"]), "qtime": _when(job["ctime"])}
    found["mtime"] = _when(job["obittime"] or stime or job["ctime"])
    if not job["held"] and not job["dropped"]:
        found["etime"] = _when(job["ctime"])
    return found | ({"stime": _when(stime)} if stime else {})


def _when(at: float | None) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(at or 0))


def _select(job: Job) -> str:
    asked = job["resources"]
    if "select" in asked:
        return str(asked["select"])
    of_chunk = {name: asked[name] for name in ("ncpus", "mem", "ngpus") if name in asked}
    return ":".join(["1", *(f"{k}={v}" for k, v in ({"ncpus": "1"} | of_chunk).items())])


def _resources(job: Job) -> Attributes:
    asked = {**job["resources"], **chunk(_select(job))}
    found: Attributes = {name: int(v) if v.isdigit() else v for name, v in sorted(asked.items())}
    found |= {name: _clock(asked[name]) for name in TIMES if name in asked}
    place = asked.get("place", "free" if "select" in asked else "pack")
    return found | {"nodect": 1, "place": place, "select": _select(job)}


def _clock(time_asked: str) -> str:
    total = round(seconds(time_asked))
    return f"{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02}"


def _retyped(text: str) -> Any:
    """A value as the JSON has it: what looks like a number or an object becomes one."""
    try:
        return json.loads(text)
    except ValueError:
        digits = text.lstrip("0")
        return int(digits) if digits.isdigit() else text
