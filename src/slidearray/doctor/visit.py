"""The submitting side: send one job to a node, meet it in a folder, bring home what it found."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slidearray.core.queue import SubmittedJob, TaskState
from slidearray.doctor.basics import found_versions, umask_found
from slidearray.doctor.checks import Check, Result, fail, ok, parse_checks, tried, warn
from slidearray.doctor.folder import Question, write_question
from slidearray.doctor.probe import held_name
from slidearray.errors import SlidearrayError
from slidearray.schedulers.arrays import ArrayJob
from slidearray.schedulers.dialect import dialect_for, queue_dialect_for
from slidearray.schedulers.environment import clean_environment
from slidearray.schedulers.local import LocalTask, run_tasks
from slidearray.schedulers.queue import Queue
from slidearray.storage.feature_file import check_feature_file
from slidearray.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from slidearray.core.profile import Profile
    from slidearray.core.queue import TaskWord
    from slidearray.core.verdicts import SlotOutcome
    from slidearray.doctor.folder import ProbeFolder

#: Between two looks into the folder, and between two questions to the scheduler.
LOOK_S = 1.0
FIRST_ASK_S = 5.0
LONGEST_ASK_S = 30.0
#: A job that has not ended by then is taken back.
PATIENCE_S = 1800.0
#: How long the report of a job that ended may need to be seen here.
SETTLE_S = 30.0
WALLTIME_S = 120
LOG_TAIL = 15
#: Said of a job that nobody has looked at yet.
NO_REASON = ("", "none")
#: The check that both sides have a part in.
RESULTS = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a visit to a node needs."""

    profile: Profile
    folder: ProbeFolder
    paths: Sequence[Path]  # folders that jobs have to see and write to
    render: Callable[[str], str]  # the job's name → its script
    news: Callable[[str], None]  # told what is going on
    wait: Callable[[float], None]  # sleeps
    name: str = field(default_factory=lambda: f"sd{secrets.token_hex(3)}")


def visit_node(visit: Visit) -> list[Check]:
    """Run one job of the profile that looks at everything; what it found.

    The job ends with this function, whatever ends it.
    """
    folder = visit.folder
    question = Question(
        name=visit.name,
        profile=visit.profile.to_json(),
        versions=found_versions(),
        umask=umask_found(),
        paths=tuple(map(str, visit.paths)),
    )
    try:
        write_question(folder, question)
        write_text(folder.script, visit.render(visit.name))
        if dialect_for(visit.profile).runs_here:
            fault = _run_here(visit)
        else:
            fault = _run_in_the_queue(visit)
    except SlidearrayError as error:
        return [fail("job", str(error), advice="nothing was seen of a node")]
    return [fault] if fault else _brought_home(folder)


def _run_here(visit: Visit) -> Check | None:
    """Without a scheduler: the same script, on this machine."""
    dialect, folder = dialect_for(visit.profile), visit.folder
    job = ArrayJob(index=0, name=visit.name, offset=0, count=1, shape=visit.profile.shape())
    task = LocalTask(
        slot=0,
        script=folder.script,
        arguments=tuple(dialect.task_arguments(job, 0)),
        environment={**clean_environment(os.environ), **dialect.task_environment(job, 0)},
        walltime_s=WALLTIME_S,
        kill_wait_s=dialect.kill_wait_s,
        log=folder.log,
    )
    ends: list[SlotOutcome | None] = []

    def ended(slot: int, outcome: SlotOutcome | None) -> bool:
        ends.append(outcome)
        return True

    run_tasks([task], window=1, ended=ended, tick=lambda: _reply(folder))
    return None if folder.report.exists() else _no_report(folder, ends[0], said="")


def _run_in_the_queue(visit: Visit) -> Check | None:
    queue = Queue(visit.profile)
    with _nothing_left(visit, queue) as left:
        job_id = queue.submit(visit.folder.script, name=visit.name, held=False)
        visit.news(f"job {job_id} is submitted as {visit.name}")
        fault = _follow(visit, queue, job_id=job_id)
        if fault is None:
            left.remove(visit.name)  # it ends by itself, with the report written
        return fault


@contextmanager
def _nothing_left(visit: Visit, queue: Queue) -> Iterator[list[str]]:
    """Take jobs of these names out of the queue at the end, also after Ctrl-C."""
    names = [visit.name, held_name(visit.name)]
    try:
        yield names
    finally:
        try:
            job_ids = [job_id for ids in queue.find(names).values() for job_id in ids]
            if job_ids:
                queue.cancel(job_ids)
                visit.news(f"taken back: {', '.join(job_ids)}")
        except SlidearrayError as error:
            visit.news(f"jobs named {' and '.join(names)} may be left: {error}")


def _follow(visit: Visit, queue: Queue, *, job_id: str) -> Check | None:
    """Wait for the report; what went wrong when there is none."""
    folder = visit.folder
    job = SubmittedJob(
        job_id=job_id, name=visit.name, attempt=0, split=0, offset=0, count=1, array=False
    )
    advice_for = queue_dialect_for(visit.profile).advice_for
    waited = next_ask = 0.0
    end_seen_s: float | None = None
    said = ""
    while waited < PATIENCE_S:
        _reply(folder)
        if folder.report.exists():
            return None
        if end_seen_s is None and waited >= next_ask:
            word = queue.ask([job], {(job_id, 0)}).of(job_id, 0)
            next_ask = waited + min(LONGEST_ASK_S, max(FIRST_ASK_S, waited / 10))
            if (now := _in_words(word, advice_for)) != said:
                visit.news(f"job {job_id}: {now}")
                said = now
            end_seen_s = waited if word.state is TaskState.ENDED else None
        if end_seen_s is not None and waited >= end_seen_s + _grace_s(word):
            return _no_report(folder, word.outcome, said=said)
        visit.wait(LOOK_S)
        waited += LOOK_S
    return fail(
        "job",
        f"job {job_id} has not ended after {PATIENCE_S / 60:.0f} minutes: {said}",
        advice="submit to where short jobs start soon, or when fewer jobs wait",
    )


def _in_words(word: TaskWord, advice_for: Callable[[str], str | None]) -> str:
    if word.reason.lower() in (*NO_REASON, word.state):
        return str(word.state)
    meaning = advice_for(word.reason) if word.state is TaskState.PENDING else None
    return f"{word.state} ({word.reason}{f': {meaning}' if meaning else ''})"


def _grace_s(word: TaskWord) -> float:
    """How long a report may still be on its way: not after a job that failed."""
    return 0.0 if word.outcome and word.outcome.exit_code else SETTLE_S


def _reply(folder: ProbeFolder) -> None:
    """Answer the node once it has arrived."""
    names = {path.name for path in folder.root.iterdir()}  # so that NFS looks anew
    if folder.arrival.name in names and folder.reply.name not in names:
        write_text(folder.reply, "{}\n")


def _no_report(folder: ProbeFolder, outcome: SlotOutcome | None, *, said: str) -> Check:
    """The job ended without a report: its end, and the end of its log."""
    how = f"exit code {outcome.exit_code}" if outcome and outcome.exit_code is not None else said
    try:
        lines = folder.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        advice = (
            "the node could not write the log: it has to see the project's folder under the same "
            "path, and may write to it"
        )
        return fail("job", f"ended without a report or a log: {how}", advice=advice)
    shown = "\n".join(lines[-LOG_TAIL:])
    advice = "mend what the log says: set-up lines, `python` and the container are the profile's"
    return fail("job", f"ended without a report: {how}; its log ends:\n{shown}", advice=advice)


def _brought_home(folder: ProbeFolder) -> list[Check]:
    """What the node wrote, with what can be told of it only from here."""
    try:
        report = json.loads(folder.report.read_bytes())
        node = str(report["node"])
        checks = parse_checks(report["checks"], where=node)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [fail("job", f"its report is damaged: {error}", advice="run it once more")]
    own = [check for check in checks if check.name == RESULTS and check.result is not Result.OK]
    others = [check for check in checks if check.name != RESULTS]
    return [*others, *(own or [tried(RESULTS, lambda: _results_here(folder, node=node))])]


def _results_here(folder: ProbeFolder, *, node: str) -> Check:
    if not folder.features.exists():
        advice = "files of a job are needed here for the steps that follow it"
        return warn(RESULTS, f"no feature file of {node} is seen here", advice=advice)
    if faults := check_feature_file(folder.features):
        advice = "the file system gives other bytes here than were written there"
        return fail(RESULTS, f"the feature file of {node}: {'; '.join(faults)}", advice=advice)
    return ok(RESULTS, f"a feature file that {node} wrote is whole here")
