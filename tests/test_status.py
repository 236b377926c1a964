from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.end_to_end.support import Project
from tests.fakes.cluster import FakeSlurm
from tests.made_runs import FINISHED, MadeRun, done, failed, make_run

from slidearray.core.classes import FailureClass
from slidearray.core.queue import NOT_ASKED, QueueWord, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.slides.synthetic import write_slide
from slidearray.status.report import run_status, with_last_step
from slidearray.storage.ledger import read_ledger
from slidearray.storage.seals import seal
from slidearray.watch import LONGEST_S, SHORTEST_S, pause_s, watch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from slidearray.core.queue import SubmittedJob
    from slidearray.status.report import RunStatus

PENDING = TaskWord(state=TaskState.PENDING, reason="Priority")
BEHIND = TaskWord(state=TaskState.PENDING, reason="Dependency")
RUNNING = TaskWord(state=TaskState.RUNNING)
ENDED = TaskWord(state=TaskState.ENDED, outcome=SlotOutcome(exit_code=0))


class Scheduler:
    """Says what it was given, and counts the questions; names as ``10_1``, or ``12``."""

    def __init__(self, fault: str = "", /, **words: TaskWord) -> None:
        self.fault = fault
        self.words = {name.removeprefix("job"): word for name, word in words.items()}
        self.questions = 0

    def __call__(
        self, jobs: Sequence[SubmittedJob], unsettled: Collection[tuple[str, int]]
    ) -> QueueWord:
        self.questions += 1
        tasks = {
            (job.job_id, task): word
            for job in jobs
            for task in range(job.count)
            if (word := self.words.get(f"{job.job_id}_{task}" if job.array else job.job_id))
        }
        return QueueWord(tasks={} if self.fault else tasks, fault=self.fault)


def status(made: MadeRun, ask: Scheduler | None = None) -> RunStatus:
    return with_last_step(run_status(made.run, read_ledger(made.run, ask=ask), ask=ask))


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    """Four slides in an array of four tasks, with a job behind it; x rejected by the plan."""
    made = make_run(tmp_path, "abcd", rejected="x")
    made.attempt(1, *"abcd", jobs=("10",), advance="12")
    return made


def test_an_attempt_is_told_with_its_jobs_slots_and_the_job_behind_it(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    ask = Scheduler(job10_0=ENDED, job10_1=RUNNING, job10_2=PENDING, job10_3=PENDING, job12=BEHIND)
    found = status(made, ask)
    assert ask.questions == 1
    (attempt,) = found.by_attempt
    assert (attempt.number, attempt.where, attempt.job_ids) == (1, "slurm", ("10",))
    assert attempt.slots == {"pending": 2, "running": 1, "ended": 1, "unknown": 0}
    assert (attempt.state, attempt.sealed) == ("at work", False)
    assert (attempt.advance_id, attempt.advance) == ("12", "pending (Dependency)")
    assert [(each.reason, each.slots) for each in found.waiting] == [("Priority", 2)]
    assert found.advice[:2] == ("slots are at work", "job 12 goes on when they have ended")
    assert found.at_work


def test_reasons_to_wait_are_told_with_what_they_mean(made: MadeRun) -> None:
    never = TaskWord(state=TaskState.PENDING, reason="DependencyNeverSatisfied")
    words = {"job10_0": never, "job10_1": PENDING, "job10_2": PENDING, "job10_3": ENDED}
    found = status(made, Scheduler(job12=never, **words))
    assert [each.slots for each in found.waiting] == [2, 1]
    assert "others go first" in found.waiting[0].advice
    assert f"`slidearray cancel {made.run.root}`" in found.waiting[1].advice
    (line,) = [line for line in found.advice if line.startswith("job 12, which goes on, waits: ")]
    assert f"`slidearray cancel {made.run.root}`" in line


def test_slots_that_nobody_can_be_asked_about_are_unknown_and_not_to_be_sent(
    made: MadeRun,
) -> None:
    made.record(1, 0, done("a"), FINISHED)
    found = status(made, Scheduler("squeue: command not found"))
    assert found.fault == "squeue: command not found"
    assert found.states["done"] == 1
    assert found.states["unknown"] == 3
    assert found.by_attempt[0].slots["unknown"] == 3
    assert (found.by_attempt[0].state, found.by_attempt[0].advance) == ("not known", "unknown")
    assert found.at_work
    assert "3 unknown: nothing of them is sent again before the scheduler tells" in found.advice


def test_a_scheduler_that_does_not_answer_is_told_also_where_no_job_goes_on(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a")
    made.attempt(1, "a", jobs=("10",))
    assert status(made, Scheduler("away")).fault == "away"


def test_a_sealed_attempt_asks_only_for_the_job_that_may_still_merge(made: MadeRun) -> None:
    for slot, slide in enumerate("abcd"):
        made.record(1, slot, done(slide), FINISHED)
    seal(made.run.attempt(1), dict.fromkeys(range(4), SlotOutcome(exit_code=0)))
    ask = Scheduler(job12=RUNNING)
    found = status(made, ask)
    assert (ask.questions, found.at_work) == (1, True)
    assert "job 12 goes on with what follows attempt 1" in found.advice
    found = status(made, Scheduler(job12=ENDED))
    assert not found.at_work
    assert found.advice[0].startswith("1 rejected by the plan")
    assert found.advice[1:] == (f"not merged yet: `slidearray reduce {made.run.root}`",)


def test_what_is_merged_asks_nobody(made: MadeRun) -> None:
    for slot, slide in enumerate("abcd"):
        made.record(1, slot, done(slide), FINISHED)
    seal(made.run.attempt(1), dict.fromkeys(range(4), SlotOutcome(exit_code=0)))
    _journal(made, 1, "reduced")
    made.run.stores_dir.mkdir()
    made.run.store("demo").touch()
    ask = Scheduler("away")
    found = status(made, ask)
    assert (ask.questions, found.fault, found.at_work) == (0, "", False)
    assert found.stores == (str(made.run.store("demo")),)
    assert found.by_attempt[0].state == "merged"


def test_the_job_behind_that_ended_too_early_is_told_with_what_to_type(made: MadeRun) -> None:
    killed = SlotOutcome(exit_code=None, ended_by=FailureClass.OUT_OF_MEMORY, node="n2")
    bad = TaskWord(state=TaskState.ENDED, outcome=killed)
    words = {f"job10_{k}": ENDED for k in range(4)}
    found = status(made, Scheduler(job12=bad, **words))
    (line,) = [line for line in found.advice if line.startswith("job 12")]
    assert "ended before it could (out_of_memory on n2)" in line
    assert str(made.run.attempt(1).advance_log) in line
    assert f"`slidearray resubmit {made.run.root}`" in line
    assert not found.at_work
    early = status(made, Scheduler(job12=bad, **{**words, "job10_3": RUNNING}))
    assert line in early.advice  # nobody has to wait for the slots to learn it
    assert early.at_work


def test_a_chain_that_stopped_says_why(made: MadeRun) -> None:
    _journal(made, 1, "stopped", reason="slot after slot failed with setup_failed")
    found = status(made, Scheduler(**{f"job10_{k}": ENDED for k in range(4)}))
    assert found.by_attempt[0].state == "stopped"
    assert not any("ended before it could" in line for line in found.advice)
    assert "stopped after attempt 1: slot after slot failed with setup_failed" in found.advice


@pytest.mark.parametrize(("first", "command"), [(True, "submit"), (False, "resubmit")])
def test_an_attempt_that_was_begun_and_never_let_go_says_how_it_goes_on(
    tmp_path: Path, first: bool, command: str
) -> None:
    made = make_run(tmp_path, "ab")
    if not first:
        made.attempt(1, "a", "b", jobs=("10",))
        made.record(1, 0, done("a"), FINISHED)
        made.record(1, 1, failed("b", "worker_error"), FINISHED)
    made.attempt(1 if first else 2, "b", jobs=("20",), until="begun")
    found = status(made, Scheduler())
    assert found.by_attempt[-1].state == "not let go"
    assert any(
        line.endswith(f"never let go: `slidearray {command} {made.run.root}` goes on with it")
        for line in found.advice
    )
    assert not found.at_work


def test_a_submitter_at_work_is_not_called_dead(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a")
    made.attempt(1, "a", jobs=("20",), until="begun")
    made.run.lock.write_text("1\nlogin.elsewhere\n")
    found = status(made, Scheduler())
    assert found.at_work
    assert found.advice[0].startswith("attempt 1 is being submitted")


def test_a_planned_run_says_how_to_submit_it(tmp_path: Path) -> None:
    found = status(make_run(tmp_path, "a"))
    assert found.advice == (f"not submitted yet: `slidearray submit {tmp_path / 'run'}`",)
    assert (found.by_attempt, found.at_work) == ((), False)


def test_slots_that_ended_badly_are_told_with_their_logs(made: MadeRun) -> None:
    words = {f"job10_{k}": ENDED for k in range(3)}
    crash = SlotOutcome(exit_code=-11, node="n1")
    words["job10_3"] = TaskWord(state=TaskState.ENDED, outcome=crash)
    (bad,) = status(made, Scheduler(**words)).failed_slots
    assert (bad.attempt, bad.slot, bad.how) == (1, 3, "signal 11 (SIGSEGV) on n1")
    assert bad.log == str(made.run.attempt(1).log(0, 3))


def test_requeues_are_counted(made: MadeRun) -> None:
    again = TaskWord(state=TaskState.RUNNING, restarts=2)
    words = {f"job10_{k}": ENDED for k in range(3)}
    assert status(made, Scheduler(job10_3=again, **words)).by_attempt[0].requeued == 2


def test_what_json_holds_is_plain_and_whole(made: MadeRun) -> None:
    made.record(1, 0, done("a"), FINISHED)
    ask = Scheduler(job10_0=ENDED, job10_1=RUNNING, job10_2=PENDING, job10_3=ENDED, job12=BEHIND)
    raw = json.loads(json.dumps(status(made, ask).to_json()))
    assert raw["slides"] == 5
    assert raw["attempts"] == 1
    assert raw["complete"] is False
    assert raw["at_work"] is True
    assert raw["by_attempt"][0]["job_ids"] == ["10"]
    assert raw["waiting"][0]["reason"] == "Priority"
    assert raw["failed_slots"] == []
    assert raw["troubles"][-1]["class"] == "missing_file"


def test_the_command_shows_attempts_store_and_advice_and_watches_to_the_end(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    write_slide(tmp_path / "s0.svs", width=600, height=500, seed=1, tissue=0.8)
    project.manifest([{"slide_id": "s0", "path": "s0.svs"}, {"slide_id": "x", "path": "gone"}])
    project.config()
    project.run("plan", "slidearray.yaml")
    project.run("submit", "runs/one", expect=3)
    shown = project.run("status", "runs/one", expect=3).stdout
    assert "\nattempt  on    jobs  ended  state" in shown
    assert "\n      1  here            1  ended" in shown
    assert "not merged yet: `slidearray reduce" in shown
    project.run("reduce", "runs/one", "--allow-missing", expect=3)
    watched = project.run("status", "runs/one", "--watch", expect=3).stdout
    assert f"\nstore {project.store()}\n" in watched
    assert "not merged yet" not in watched
    assert watched.count("run /") == 1
    alone = json.loads(project.run("status", "runs/one", "--watch", "--json", expect=3).stdout)
    assert alone["stores"] == [str(project.store())]


def test_one_question_is_asked_however_large_the_run_and_its_silence_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSlurm(tmp_path / "fake")
    fake.put_on_path(monkeypatch)
    made = make_run(tmp_path, "abcdefgh")
    made.attempt(1, *"abcdefgh", jobs=("10", "11"), advance="12")
    project = Project(tmp_path)
    away = {"works": False, "code": 1, "stderr": "squeue: error: Unable to contact controller"}
    fake.fails("squeue", away)
    shown = project.run("status", "run", expect=3).stdout
    assert len(fake.calls("squeue")) == 1
    assert shown.count("Unable to contact controller") == 1
    assert "the scheduler could not be asked: " in shown
    monkeypatch.setenv("PATH", "")
    assert "the scheduler could not be asked: " in project.run("status", "run", expect=3).stdout


def _journal(made: MadeRun, number: int, event: str, **fields: Any) -> None:
    from slidearray.storage.journal import Journal

    Journal(made.run.attempt(number).journal).append(event, **fields)


def test_what_no_task_can_have_is_not_said_to_go_again(made: MadeRun) -> None:
    made.record(1, 0, failed("a", "out_of_memory"), FINISHED)
    ledger = read_ledger(made.run, ask=lambda *_: QueueWord(tasks={}))
    most = replace(NOT_ASKED, max_memory_mb=4000)
    again = "can go again: `slidearray resubmit"
    assert any(again in line for line in run_status(made.run, ledger).advice)
    shown = run_status(made.run, ledger, limits=most).advice
    assert any("failed for good with out_of_memory" in line for line in shown)


def test_watching_shows_every_look_and_ends_when_nothing_is_at_work() -> None:
    looks = iter([3, 2, 1, 0])
    shown: list[int] = []
    pauses: list[float] = []
    last = watch(lambda: next(looks), show=shown.append, at_work=bool, wait=pauses.append)
    assert (last, shown) == (0, [3, 2, 1, 0])
    assert pauses == [SHORTEST_S] * 3


def test_who_has_watched_enough_gets_what_was_seen_last() -> None:
    looks = iter([3, 2, 1])

    def wait(seconds: float) -> None:
        if seen[-1] == 2:
            raise KeyboardInterrupt

    seen: list[int] = []
    assert watch(lambda: next(looks), show=seen.append, at_work=bool, wait=wait) == 2


def test_long_watching_becomes_rare_looking() -> None:
    pauses = [pause_s(hours * 3600) for hours in range(6)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (SHORTEST_S, LONGEST_S)
