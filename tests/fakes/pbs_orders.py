"""What changes jobs of the fake PBS from outside: `qdel`, `qrls` and `qalter`."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

from tests.fakes.pbs_rules import RefusedError, options_of, seconds
from tests.fakes.pbs_server import FINISHED, HOST, delete_tasks, is_over, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fakes.pbs_server import Job, Server


def qdel(server: Server, words: list[str]) -> int:
    _, operands = options_of("qdel", words, "W:x")
    with server.locked() as jobs:
        doomed = _is_too_much(jobs, operands)
    if doomed:
        print("double free or corruption (fasttop)", file=sys.stderr, flush=True)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()

    def delete(jobs: dict[str, Job], job_id: str, numbers: Sequence[str]) -> None:
        if is_over(jobs[job_id]):
            raise RefusedError("Job has finished", FINISHED)
        delete_tasks(server, job_id, jobs, numbers)

    return _each(server, "qdel", operands, delete)


def _is_too_much(jobs: dict[str, Job], operands: Sequence[str]) -> bool:
    """Whether qdel of 23.06.06 dies of these ids, and deletes none.

    An array before a plain job ends qdel itself. With an unknown id among several it says nothing,
    or ends the server, which this one survives.
    """
    known = []
    for each in operands:
        try:
            known.append(look_up(jobs, each)[0])
        except RefusedError:
            known.append("")
    arrays = [job_id.endswith("[]") for job_id in known]
    return len(known) > 1 and (not all(known) or arrays != sorted(arrays))


def qrls(server: Server, words: list[str]) -> int:
    _, operands = options_of("qrls", words, "h:")

    def release(jobs: dict[str, Job], job_id: str, numbers: Sequence[str]) -> None:
        if is_over(jobs[job_id]):
            raise RefusedError("Job has finished", FINISHED)
        jobs[job_id]["held"] = False

    return _each(server, "qrls", operands, release)


def qalter(server: Server, words: list[str]) -> int:
    given, operands = options_of("qalter", words, "l:W:N:")

    def alter(jobs: dict[str, Job], job_id: str, numbers: Sequence[str]) -> None:
        for option, value in given:
            name, _, text = value.partition("=")
            if option == "-l" and name == "walltime":
                seconds(text)
                jobs[job_id]["resources"][name] = text
            if option == "-W" and name == "max_run_subjobs":
                jobs[job_id]["most_running"] = int(text)

    return _each(server, "qalter", operands, alter)


def _each(
    server: Server,
    program: str,
    operands: Sequence[str],
    action: Callable[[dict[str, Job], str, Sequence[str]], None],
) -> int:
    """Do something to each job that is named; the code is that of the last that failed."""
    code = 0
    with server.locked() as jobs:
        for each in operands:
            try:
                action(jobs, *look_up(jobs, each))
            except RefusedError as error:
                unnamed = (program, error.code) == ("qrls", FINISHED % 256)
                named = "" if unnamed else with_host(each)
                print(f"{program}: {error} {named}".rstrip(), file=sys.stderr)
                code = error.code
    server.run_what_can()
    return code


def with_host(text: str) -> str:
    """An id as it is answered: with the server's name."""
    return text if "." in text else f"{text}.{HOST}"
