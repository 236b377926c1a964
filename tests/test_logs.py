from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.end_to_end.support import Project
from tests.made_runs import FINISHED, MadeRun, done, make_run

from slidearray.core.ids import control_character
from slidearray.core.queue import QueueWord, TaskState, TaskWord
from slidearray.errors import RunError
from slidearray.logs import LOOKS_PER_QUESTION, Ending, find_log, follow, why_missing
from slidearray.slides.synthetic import write_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from slidearray.core.queue import SubmittedJob


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    """Slides a to d in four tasks of two arrays, then a alone again; x rejected, z never sent."""
    made = make_run(tmp_path, "abcd3z", rejected="x")
    made.attempt(1, "a", "b", "c", "d3", jobs=("10", "11"), advance="12")
    made.attempt(2, "a", jobs=("20",), advance="21")
    return made


@pytest.mark.parametrize(
    ("what", "path", "job"),
    [
        ("a", "attempts/0002/logs/00/0.log", "20"),
        ("b", "attempts/0001/logs/00/1.log", "10_1"),
        ("c", "attempts/0001/logs/01/0.log", "11_0"),
        ("d", "attempts/0001/logs/01/1.log", "11_1"),
        ("0", "attempts/0002/logs/00/0.log", "20"),
        ("advance", "attempts/0002/logs/advance.log", "21"),
    ],
)
def test_a_slide_a_slot_and_the_job_behind_lead_to_their_newest_log(
    made: MadeRun, what: str, path: str, job: str
) -> None:
    found = find_log(made.run, what)
    assert str(found.path.relative_to(made.run.root)) == path
    assert found.job_name == job
    assert found.notes == ()


def test_an_earlier_attempt_can_be_asked_for(made: MadeRun) -> None:
    assert find_log(made.run, "a", attempt=1).job_name == "10_0"
    assert find_log(made.run, "2", attempt=1).job_name == "11_0"
    assert find_log(made.run, "advance", attempt=1).job_name == "12"
    with pytest.raises(RunError, match=r"--attempt 3: there is no such attempt; .*: 1, 2"):
        find_log(made.run, "a", attempt=3)


def test_a_slides_name_comes_before_a_slots_number_and_the_other_one_is_said(
    made: MadeRun,
) -> None:
    found = find_log(made.run, "3", attempt=1)
    assert (found.slot, found.job_name) == (3, "11_1")
    (note,) = found.notes
    assert "slot 3 of attempt 1" in note
    assert find_log(made.run, "3").attempt == 1  # attempt 2 has neither


def test_what_has_no_log_is_told_why(made: MadeRun) -> None:
    with pytest.raises(RunError, match=r"x: rejected by the plan as missing_file \(no such file\)"):
        find_log(made.run, "x")
    for unknown in ("z", "nobody", "7", "²"):
        with pytest.raises(RunError, match="no slide of these attempts, and no slot of attempt 2"):
            find_log(made.run, unknown)


def test_a_run_that_was_not_submitted_has_no_logs(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a")
    with pytest.raises(RunError, match="nothing was submitted yet"):
        find_log(made.run, "a")
    made.attempt(1, "a", jobs=("10",), until="begun")
    with pytest.raises(RunError, match="attempt 1 was never sent"):
        find_log(made.run, "a", attempt=1)


def test_behind_an_attempt_that_was_run_here_no_job_goes_on(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a", slurm=False)
    made.attempt(1, "a")
    assert find_log(made.run, "a").job_name == ""
    with pytest.raises(RunError, match="attempt 1 was run here: no job goes on behind it"):
        find_log(made.run, "advance")


def read(path: Path, *, grow: Sequence[bytes] = ()) -> str:
    """What `follow` shows of a log that grows between looks and then is over."""
    more = list(grow)

    def wait(seconds: float) -> None:
        with path.open("ab") as file:
            file.write(more.pop(0))

    return "".join(follow(path, over=lambda: not more, wait=wait))


def test_a_log_is_followed_from_before_it_is_there_to_its_last_byte(tmp_path: Path) -> None:
    text = "é and 漢\nlast".encode()
    grow = [text[k : k + 1] for k in range(len(text))]
    assert read(tmp_path / "0.log", grow=grow) == "é and 漢\nlast"


def test_progress_bars_become_lines_and_terminals_are_not_steered(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"10%\r20%\r\n\x1b[2J\xff\x00\tend\x9b\n\xc2\x9b31m")
    assert read(path) == "10%\n20%\n\\x1b[2J�\\x00\tend�\n\\x9b31m"


@given(st.binary(), st.integers(0, 20))
def test_no_byte_of_a_log_steers_a_terminal(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "0.log"
    shown = read(path, grow=[data[:cut], data[cut:]])
    assert control_character(shown.replace("\n", "").replace("\t", "")) is None
    path.write_bytes(data)
    assert read(path) == shown  # however it was cut


def scheduler(*states: TaskState) -> tuple[Callable[..., QueueWord], list[object]]:
    """A scheduler that gives these answers, the last one for ever; and what it was asked."""
    asked: list[object] = []

    def ask(jobs: Sequence[SubmittedJob], unsettled: Collection[tuple[str, int]]) -> QueueWord:
        state = states[min(len(asked), len(states) - 1)]
        asked.append(sorted(unsettled))
        return QueueWord(tasks={key: TaskWord(state=state, reason="why") for key in unsettled})

    return ask, asked


def test_a_record_that_came_to_its_end_is_the_end_without_a_question(made: MadeRun) -> None:
    ask, asked = scheduler(TaskState.RUNNING)
    ending = Ending(made.run, find_log(made.run, "b"), ask=ask)
    assert not ending.seen()
    made.record(1, 1, done("b"), FINISHED)
    assert ending.seen()
    assert asked == [[("10", 1)]]


def test_of_a_requeued_slot_the_newest_execution_counts(made: MadeRun) -> None:
    ask, _ = scheduler(TaskState.RUNNING)
    made.record(1, 1, FINISHED, token="t1")
    made.record(1, 1, token="t2")
    assert not Ending(made.run, find_log(made.run, "b"), ask=ask).seen()


def test_the_scheduler_is_asked_at_some_looks_only(made: MadeRun) -> None:
    ask, asked = scheduler(TaskState.PENDING, TaskState.RUNNING, TaskState.ENDED)
    ending = Ending(made.run, find_log(made.run, "advance"), ask=ask)
    looks = 0
    while not ending.seen():
        looks += 1
    assert looks == 2 * LOOKS_PER_QUESTION
    assert asked == [[("21", 0)]] * 3


def test_what_was_run_here_is_over_once_its_submitter_is_gone(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a", slurm=False)
    made.attempt(1, "a")
    log = find_log(made.run, "a")
    made.run.lock.write_text("1\nlogin.elsewhere\n")
    assert not Ending(made.run, log, ask=None).seen()
    made.run.lock.unlink()
    assert Ending(made.run, log, ask=None).seen()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TaskState.PENDING, "10_1 has not started: pending (why)"),
        (TaskState.UNKNOWN, "10_1 may not have started: why"),
        (TaskState.ENDED, "10_1 ended without one"),
    ],
)
def test_a_log_that_is_not_there_is_explained(made: MadeRun, state: TaskState, words: str) -> None:
    log = find_log(made.run, "b")
    said = why_missing(log, TaskWord(state=state, reason="why"))
    assert said.startswith(f"{log.path}: no log there: job {words}")


def test_the_command_shows_where_a_log_is_and_what_it_holds(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    write_slide(tmp_path / "s0.svs", width=600, height=500, seed=1, tissue=0.8)
    project.manifest([{"slide_id": "s0", "path": "s0.svs"}])
    project.config()
    project.run("plan", "slidearray.yaml")
    assert "nothing was submitted yet" in project.run("logs", "runs/one", "s0", expect=1).stderr
    project.run("submit", "runs/one")
    log = tmp_path / "runs/one/attempts/0001/logs/00/0.log"
    for words in (["s0"], ["0"], ["s0", "-f"], ["s0", "--attempt", "1"]):
        first, *rest = project.run("logs", "runs/one", *words).stdout.splitlines()
        assert first == f"==> {log} (attempt 1, slot 0)"
        assert "\n".join(rest) == log.read_text().rstrip("\n")
        assert "s0: done" in rest[0]
    log.unlink()
    told = project.run("logs", "runs/one", "s0", expect=1).stderr
    assert told == f"error: {log}: no log there: slot 0 has not started, or its log was removed\n"


def test_following_ends_by_ctrl_c_as_it_ends_by_itself(tmp_path: Path) -> None:
    made = make_run(tmp_path, "a", slurm=False)
    made.attempt(1, "a")
    made.run.lock.write_text("1\nlogin.elsewhere\n")  # somebody is at work on it
    made.log(1, 0, 0).write_text("first line\n")
    argv = Project.argv("logs", made.run.root, "a", "--follow")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        assert following.stdout.readline().startswith("==> ")
        assert following.stdout.readline() == "first line\n"
        following.send_signal(signal.SIGINT)
        assert following.stdout.read() == ""
    assert following.returncode == 0
