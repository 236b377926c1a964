"""A PBS of a few small files: its name says which program it is, or the one that runs a task.

Its state is in ``../state`` beside it. It keeps the rules of a real OpenPBS 23.06, and lies where
that one lies; tasks run in the background. The faults of `tests.fakes.pbs_bed.FakePbs` come first.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.pbs_json import attributes_of, subjob_attributes
from tests.fakes.pbs_mom import full_id, run_task
from tests.fakes.pbs_orders import qalter, qdel, qrls, with_host
from tests.fakes.pbs_rules import (
    OPTIONS,
    USAGE,
    RefusedError,
    check_at_server,
    check_name,
    options_of,
    read_request,
)
from tests.fakes.pbs_server import (
    FINISHED,
    HOST,
    Server,
    holds_of,
    is_over,
    look_up,
    new_job,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fakes.pbs_server import Job

VERSION = "23.06.06"
NO_HISTORY = "PBS is not configured to maintain job history"


def qsub(server: Server, words: list[str]) -> int:
    _, operands = options_of("qsub", words, OPTIONS)
    if len(operands) > 1:
        raise RefusedError(USAGE, 2)
    path = Path(operands[0]) if operands else None
    if path and not path.exists():
        raise RefusedError("qsub: script file:: No such file or directory", 1)
    text = path.read_bytes() if path else sys.stdin.buffer.read()
    flat = words[: len(words) - len(operands)]
    request = read_request(flat, text.decode(errors="replace"))
    if "N" not in request.options:
        name = path.name if path else "STDIN"
        request = read_request(["-N", name, *flat], text.decode(errors="replace"))
    variables = _variables(request.options.get("v", ""), everything="V" in request.options)
    job_id = server.next_id(array=request.indices is not None)
    check_at_server(request, server.settings)
    queue = request.options.get("q", "").partition("@")[0] or server.settings["default_queue"]
    job = new_job(
        request,
        queue=queue,
        owner=_me(),
        home=server.settings["home"],
        arguments=" ".join(words),
        variables={**variables, "PBS_O_QUEUE": queue, "PBS_O_HOST": HOST},
    )
    script = server.spool / f"{job_id.rstrip('[]')}.SC"
    script.write_bytes(text)
    script.chmod(0o700)
    _drop_behind_nothing(server, job)
    server.accept(job_id, job)
    if "z" not in request.options:
        print(full_id(job_id))
    return 0


def _drop_behind_nothing(server: Server, job: Job) -> None:
    """A job behind one that nobody knows is accepted, and then deleted."""
    with server.locked() as jobs:
        if any(each not in jobs for _, each in job["after"]):
            job["dropped"] = True
            for task in job["tasks"].values():
                task["state"] = "dropped"


def _variables(listed: str, *, everything: bool) -> dict[str, str]:
    """What goes along of the submitter's environment."""
    found = dict(os.environ) if everything else {}
    for name in ("HOME", "LANG", "LOGNAME", "PATH", "MAIL", "SHELL", "TZ"):
        if name in os.environ:
            found[f"PBS_O_{name}"] = os.environ[name]
    found |= {"PBS_O_WORKDIR": str(Path.cwd()), "PBS_O_SYSTEM": "Linux"}
    for part in re.split(r",(?=[A-Za-z_]\w*(?:=|,|$))", listed):
        name, equals, value = part.partition("=")
        if name and not equals and name not in os.environ:
            raise RefusedError("qsub: cannot send environment with the job", 1)
        if name:
            found[name] = value if equals else os.environ[name]
    return found


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def qstat(server: Server, words: list[str]) -> int:
    given, operands = options_of("qstat", words, "ainpqrstwxu:fGHJMQEBW:T1F:D:")
    options = dict(given)
    if options.get("-F", "default") != "default" and "-f" not in options:
        raise RefusedError("qstat: conflicting options.\nusage: \nqstat [-f] [-J]", 2)
    answer: dict[str, Any] = {
        "timestamp": int(time.time()),
        "pbs_version": VERSION,
        "pbs_server": HOST,
    }
    code = 0
    with server.locked() as jobs:
        if "-B" in options:
            answer["Server"] = {HOST: _server_attributes(server, jobs)}
        elif "-Q" in options:
            answer["Queue"] = _queues(server, jobs)
        else:
            found, code = _found(server, jobs, operands, options)
            answer |= {"Jobs": found} if found else {}
    if options.get("-F") == "json":
        text = json.dumps(answer, indent="\t", separators=(",", ":\t"), ensure_ascii=False)
        # What is no UTF-8 in a variable comes out as it went in.
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    else:
        for name, each in answer.get("Jobs", answer.get("Queue", {})).items():
            print(f"{name:<30} {each.get('job_state', '-')} {each.get('queue', '-')}")
    return code


def _found(
    server: Server, jobs: dict[str, Job], operands: Sequence[str], options: dict[str, str]
) -> tuple[dict[str, Any], int]:
    """Attributes by id, and the exit code; of several jobs the JSON has the first one only."""
    found: dict[str, Any] = {}
    code = 0
    history, subjobs = "-x" in options, "-t" in options
    if history and not server.settings["history"]:
        for each in operands or [""]:
            print(f"qstat: {NO_HISTORY} {each}", file=sys.stderr)
        return {}, 0
    for job_id in [] if operands else jobs:
        if history or not is_over(jobs[job_id]):
            found |= _told(jobs, job_id, list(jobs[job_id]["tasks"]), subjobs=subjobs)
    for each in operands:
        try:
            job_id, numbers = look_up(jobs, each)
        except RefusedError as error:
            print(f"qstat: {error} {with_host(each)}", file=sys.stderr)
            code = error.code
            continue
        if is_over(jobs[job_id]) and not history:
            words = f"{full_id(job_id)} Job has finished, use -x or -H to obtain historical job"
            print(f"qstat: {words} information", file=sys.stderr)
            code = FINISHED % 256
        elif not found or "-F" not in options:
            one = "[" in each and "[]" not in each
            found |= _told(jobs, job_id, numbers, subjobs=subjobs or one, parent=not one)
    return found, code


def _told(
    jobs: dict[str, Job], job_id: str, numbers: Sequence[str], *, subjobs: bool, parent: bool = True
) -> dict[str, Any]:
    job = jobs[job_id]
    found = {full_id(job_id): attributes_of(job_id, job, jobs)} if parent else {}
    for number in numbers if subjobs and job["array"] else ():
        found[full_id(job_id, number)] = subjob_attributes(job_id, job, number, jobs)
    return found


def _server_attributes(server: Server, jobs: dict[str, Job]) -> dict[str, Any]:
    return {
        "server_state": "Active",
        "server_host": HOST,
        "scheduling": "True",
        "total_jobs": len(jobs),
        "default_queue": server.settings["default_queue"],
        "query_other_jobs": "True",
        "resources_default": {"ncpus": 1},
        "default_chunk": {"ncpus": 1},
        "max_array_size": server.settings["max_array_size"],
        "pbs_version": VERSION,
        "job_history_enable": str(server.settings["history"]),
        "job_history_duration": "72:00:00",
        **server.settings["server"],
    }


def _queues(server: Server, jobs: dict[str, Job]) -> dict[str, Any]:
    return {
        name: {
            "queue_type": "Execution",
            "total_jobs": sum(job["queue"] == name for job in jobs.values()),
            "enabled": "True",
            "started": "True",
            **attributes,
        }
        for name, attributes in server.settings["queues"].items()
    }


def qselect(server: Server, words: list[str]) -> int:
    given, _ = options_of("qselect", words, "a:A:c:h:HJl:N:p:P:q:r:s:t:Tu:xz")
    options: dict[str, str] = dict(given)
    if "-t" in options:  # of the times that it stands for, this one knows none
        raise RefusedError("qselect: illegal -t value\nusage: qselect [-a [op]date_time]", 2)
    check_name(options.get("-N", "a"), program="qselect")
    if "-x" in options and not server.settings["history"]:
        print(f"qselect: {NO_HISTORY}", file=sys.stderr)
        return 0
    with server.locked() as jobs:
        for job_id, job in jobs.items():
            wanted = {"-N": job["name"], "-u": job["owner"], "-q": job["queue"]}
            if any(options.get(each, value) != value for each, value in wanted.items()):
                continue
            if "-h" in options and set(options["-h"]) != set(holds_of(job, jobs)):
                continue
            if "-x" in options or not is_over(job):
                told = _told(jobs, job_id, list(job["tasks"]), subjobs="-T" in options)
                if "-T" in options and job["array"]:
                    del told[full_id(job_id)]
                letters = options.get("-s", "BEFHQRX")
                print(
                    "".join(f"{each}\n" for each, a in told.items() if a["job_state"] in letters),
                    end="",
                )
    return 0


def pbsnodes(server: Server, words: list[str]) -> int:
    node = {
        "Mom": HOST,
        "Port": 15002,
        "pbs_version": VERSION,
        "ntype": "PBS",
        "state": "free",
        "pcpus": server.settings["ncpus"],
        "resources_available": {
            "arch": "linux",
            "host": HOST,
            "mem": "32768000kb",
            "ncpus": server.settings["ncpus"],
            "vnode": HOST,
            **server.settings["node"],
        },
        "resources_assigned": {"ncpus": 0},
    }
    answer = {
        "timestamp": int(time.time()),
        "pbs_version": VERSION,
        "pbs_server": HOST,
        "nodes": {HOST: node},
    }
    print(json.dumps(answer, indent="\t", separators=(",", ":\t")))
    return 0


PROGRAMS = {
    "qsub": qsub,
    "qstat": qstat,
    "qdel": qdel,
    "qrls": qrls,
    "qalter": qalter,
    "qselect": qselect,
    "pbsnodes": pbsnodes,
}


def main(argv: Sequence[str]) -> int:
    """Be the program that is named by the first argument."""
    place = Path(argv[0]).resolve()
    program, words = place.name, list(argv[1:])
    state = place.parent.parent / "state"
    if program == "mom":
        run_task(Server(place.parent / "state"), words[0], words[1] if words[1:] else "")
        return 0
    _write_down(state, program, words)
    fault = _next_fault(state, program)
    print(fault.get("before", ""), end="", flush=True)
    code = 0
    if words == ["--version"]:
        print(f"pbs_version = {VERSION}")
    elif fault.get("works", True):
        try:
            code = PROGRAMS[program](Server(state), words)
        except RefusedError as error:
            print(error, file=sys.stderr)
            code = error.code
    print(fault.get("behind", ""), end="", flush=True)
    sys.stderr.write(fault.get("stderr", ""))
    if fault.get("hangs"):
        signal.pause()
    return int(fault.get("code", code))


def _write_down(state: Path, program: str, words: list[str]) -> None:
    fds = [int(each.name) for each in Path("/proc/self/fd").iterdir()]
    call = {"argv": [program, *words], "env": dict(os.environ), "fds": fds}
    with (state / "calls.jsonl").open("a") as log:
        log.write(json.dumps(call) + "\n")


def _next_fault(state: Path, program: str) -> dict[str, Any]:
    """What goes wrong with this call."""
    path = state / f"faults-{program}.json"
    faults = json.loads(path.read_text()) if path.exists() else []
    if not faults:
        return {}
    left = path.with_suffix(f".{os.getpid()}")
    left.write_text(json.dumps(faults[1:]))
    left.replace(path)  # another call may be reading it
    return dict(faults[0])
