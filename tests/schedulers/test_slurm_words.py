"""What SLURM prints is read as it is meant; recorded from SLURM 22.05.8 under its own names.

The recorded array 97 has a task for each way to end; 110 runs one at a time, its tasks 3 to 5 were
cancelled before they began; 111 and 112 lost their node, 111 was requeued; 113 was cancelled
while it was held; 114 was behind 112, which was to succeed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.classes import FailureClass
from slidearray.core.queue import SubmittedJob, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.schedulers.slurm import parse_found
from slidearray.schedulers.slurm_states import STATES, from_wait_status, outcome, task_state
from slidearray.schedulers.slurm_words import parse_history, parse_queue, queue_rows, task_numbers

RECORDED = Path(__file__).with_name("recorded")


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text()


def job(job_id: str, name: str, count: int = 1, *, array: bool = False) -> SubmittedJob:
    return SubmittedJob(
        job_id=job_id, name=name, attempt=1, split=0, offset=0, count=count, array=array
    )


JOBS = [
    job("97", "saaaaaaa-1-0", 13, array=True),
    job("110", "saaaaaaa-1-1", 8, array=True),
    job("111", "saaaaaaa-1-2"),
    job("112", "saaaaaaa-1-3"),
    job("113", "saaaaaaa-1-4", 10, array=True),
    job("114", "svaaaaaa-1"),
]


def in_words(word: TaskWord) -> str:
    return f"{word.state} {word.reason} {word.restarts}"


def test_squeue_tells_where_each_task_is() -> None:
    words = parse_queue(recorded("squeue-22.05.8-midway"), JOBS)
    assert in_words(words["97", 0]) == "ended COMPLETED 0"
    assert in_words(words["97", 2]) == "pending BeginTime 1"
    assert in_words(words["110", 0]) == "running RUNNING 0"
    assert in_words(words["110", 7]) == "pending JobArrayTaskLimit 0"
    assert in_words(words["111", 0]) == "pending BeginTime 1"
    assert in_words(words["114", 0]) == "pending DependencyNeverSatisfied 0"
    assert {task for job_id, task in words if job_id == "110"} == {0, 1, 2, 6, 7}
    assert len(words) == 28


def test_squeue_tells_the_exit_code_for_as_long_as_it_remembers() -> None:
    words = parse_queue(recorded("squeue-22.05.8-ended"), JOBS)
    told = {task: word.outcome for (job_id, task), word in words.items() if job_id == "97"}
    assert told[0] == SlotOutcome(exit_code=0, word="COMPLETED", node="c1")
    assert told[1] == SlotOutcome(exit_code=3, word="FAILED 3:0", node="c1")
    assert told[5] == SlotOutcome(exit_code=-9, word="FAILED 0:9", node="c1")
    assert told[3] == SlotOutcome(
        exit_code=None, ended_by=FailureClass.OUT_OF_MEMORY, word="OUT_OF_MEMORY 0:125", node="c1"
    )


def test_a_reason_of_several_words_is_kept_whole() -> None:
    rows = {row.job_id: row.reason for row in queue_rows(recorded("squeue-22.05.8-ended"))}
    assert rows["111"] == "ReqNodeNotAvail, UnavailableNodes:c3"


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (("97", 0), SlotOutcome(exit_code=0, word="COMPLETED", node="c1")),
        (("97", 1), SlotOutcome(exit_code=3, word="FAILED 3:0", node="c1")),
        (("97", 2), SlotOutcome(exit_code=0, word="COMPLETED", node="c1", restarts=1)),
        (
            ("97", 3),
            SlotOutcome(
                exit_code=None,
                ended_by=FailureClass.OUT_OF_MEMORY,
                word="OUT_OF_MEMORY 0:125",
                node="c1",
            ),
        ),
        (
            ("97", 4),  # `srun` in the script
            SlotOutcome(
                exit_code=1,
                ended_by=FailureClass.OUT_OF_MEMORY,
                word="FAILED 1:0, its step 0 OUT_OF_MEMORY",
                node="c1",
            ),
        ),
        (("97", 5), SlotOutcome(exit_code=-9, word="FAILED 0:9", node="c1")),
        (
            ("97", 6),
            SlotOutcome(
                exit_code=None,
                ended_by=FailureClass.CANCELLED,
                word="CANCELLED by 0",
                node="c1",
            ),
        ),
        (
            ("97", 7),
            SlotOutcome(exit_code=None, ended_by=FailureClass.TIMEOUT, word="TIMEOUT", node="c1"),
        ),
        (("97", 8), SlotOutcome(exit_code=5, word="FAILED 5:0", node="c2")),
        (("97", 12), SlotOutcome(exit_code=0, word="COMPLETED", node="c1")),  # raw id 97
        (
            ("112", 0),
            SlotOutcome(
                exit_code=None, ended_by=FailureClass.NODE_FAILURE, word="NODE_FAIL", node="c3"
            ),
        ),
    ],
)
def test_sacct_tells_how_each_task_ended(task: tuple[str, int], expected: SlotOutcome) -> None:
    history = parse_history(recorded("sacct-22.05.8-ended"), JOBS)
    assert history.tasks[task].outcome == expected


def test_of_a_requeued_task_the_newest_execution_counts() -> None:
    midway = parse_history(recorded("sacct-22.05.8-midway"), JOBS).tasks
    assert in_words(midway["97", 2]) == "pending REQUEUED 0"  # its second one is not told yet
    assert in_words(midway["111", 0]) == "pending PENDING 1"
    ended = parse_history(recorded("sacct-22.05.8-ended"), JOBS).tasks
    assert in_words(ended["111", 0]) == "ended CANCELLED by 0 1"


def test_tasks_that_never_began_are_told_in_one_line() -> None:
    ended = parse_history(recorded("sacct-22.05.8-ended"), JOBS)
    cancelled = [task for job_id, task in ended.tasks if job_id == "113"]
    assert cancelled == [0, 1, 2, 6, 7, 8, 9]  # and nobody tells of 3 to 5 any more
    assert "113" in ended.known
    assert in_words(ended.tasks["110", 2]) == "ended CANCELLED by 0 0"
    midway = parse_history(recorded("sacct-22.05.8-midway"), JOBS).tasks
    assert in_words(midway["110", 2]) == "pending PENDING 0"


def test_a_job_of_another_name_has_a_used_id() -> None:
    text = (
        "7|NODE_FAIL|0:0|n1|2026-01-01T00:00:00|someone-elses\n"
        "7.batch|OUT_OF_MEMORY|0:125|n1|2026-01-01T00:00:01|batch\n"
        "7|FAILED|3:0|n2|2026-01-02T00:00:00|ours\n"
        "7.batch|FAILED|3:0|n2|2026-01-02T00:00:01|batch\n"
    )
    history = parse_history(text, [job("7", "ours")])
    assert history.tasks["7", 0].outcome == SlotOutcome(
        exit_code=3, word="FAILED 3:0", node="n2", restarts=0
    )
    assert parse_history(text, [job("7", "others")]).known == frozenset()
    line = recorded("squeue-22.05.8-ended").replace("saaaaaaa-1-3", "somebodys-1x")
    assert ("112", 0) not in parse_queue(line, JOBS)


def test_a_job_whose_name_the_accounting_has_not_heard_of_is_ours() -> None:
    text = "7|PENDING|0:0|None assigned|2026-01-01T00:00:00|allocation\n"
    assert parse_history(text, [job("7", "ours")]).known == {"7"}


def test_a_line_of_an_array_that_names_no_task_is_not_taken_for_task_0() -> None:
    text = (
        "10|COMPLETED|0:0|n1|2026-01-01T00:00:00|ours\n"
        "10.batch|COMPLETED|0:0|n1|2026-01-01T00:00:00|batch\n"
        "10_1|FAILED|3:0|n1|2026-01-01T00:00:00|ours\n"
    )
    history = parse_history(text, [job("10", "ours", 3, array=True)])
    assert list(history.tasks) == [("10", 1)]
    assert history.tasks["10", 1].outcome == SlotOutcome(exit_code=3, word="FAILED 3:0", node="n1")


def test_what_a_site_prints_around_the_answer_is_passed_over() -> None:
    banner = "*** Maintenance on Friday | see the web page ***\n\n"
    assert parse_history(banner + recorded("sacct-22.05.8-ended") + banner, JOBS).tasks == (
        parse_history(recorded("sacct-22.05.8-ended"), JOBS).tasks
    )
    assert parse_queue(banner + recorded("squeue-22.05.8-ended"), JOBS) == (
        parse_queue(recorded("squeue-22.05.8-ended"), JOBS)
    )


def test_jobs_in_the_queue_are_found_by_name() -> None:
    text = recorded("squeue-find-22.05.8-midway")
    assert parse_found(text) == {
        "saaaaaaa-1-0": ["97"],
        "saaaaaaa-1-1": ["110"],
        "saaaaaaa-1-2": ["111"],
        "svaaaaaa-1": ["114"],
    }
    assert parse_found(text, ended=True)["saaaaaaa-1-3"] == ["112"]


def as_slurm(numbers: list[int]) -> str:
    """A list of tasks as SLURM prints it."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


@given(numbers=st.sets(st.integers(0, 4000), min_size=1), throttle=st.none() | st.integers(1, 99))
def test_every_list_of_tasks_is_read_back(numbers: set[int], throttle: int | None) -> None:
    text = as_slurm(list(numbers)) + (f"%{throttle}" if throttle else "")
    assert task_numbers(f"[{text}]") == task_numbers(text) == sorted(numbers)


@given(first=st.integers(0, 50), count=st.integers(1, 50), step=st.integers(1, 9))
def test_steps_are_counted(first: int, count: int, step: int) -> None:
    numbers = list(range(first, first + count * step, step))
    assert task_numbers(f"[{first}-{numbers[-1]}:{step}%2]") == numbers


@pytest.mark.parametrize("text", ["[0-2,5-...]", "[0-2,...]", "0-2,5-..."])
def test_a_list_that_was_cut_is_told_up_to_there(text: str) -> None:
    assert task_numbers(text) == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("CANCELLED by 1000", TaskState.ENDED),
        ("CANCELLED+", TaskState.ENDED),
        ("COMPLETING", TaskState.RUNNING),
        ("SPECIAL_EXIT", TaskState.PENDING),
        ("SOMETHING_NEW", TaskState.UNKNOWN),
        ("", TaskState.UNKNOWN),
    ],
)
def test_states_are_read_with_their_suffixes(text: str, state: TaskState) -> None:
    assert task_state(text) is state


@pytest.mark.parametrize(
    ("state", "steps", "expected"),
    [
        ("COMPLETED", ["COMPLETED", "OUT_OF_MEMORY"], FailureClass.OUT_OF_MEMORY),
        ("TIMEOUT", ["OUT_OF_MEMORY"], FailureClass.OUT_OF_MEMORY),
        ("CANCELLED by 7", ["OUT_OF_MEMORY"], FailureClass.CANCELLED),
        ("TIMEOUT", ["CANCELLED"], FailureClass.TIMEOUT),
        ("FAILED", ["CANCELLED"], None),
        ("BOOT_FAIL", [], FailureClass.NODE_FAILURE),
        ("PREEMPTED", ["CANCELLED"], FailureClass.PREEMPTED),
        ("DEADLINE", [], FailureClass.CANCELLED),
        ("COMPLETED", ["COMPLETED"], None),
    ],
)
def test_the_worst_of_a_job_and_its_steps_counts(
    state: str, steps: list[str], expected: FailureClass | None
) -> None:
    named = [(str(number), word) for number, word in enumerate(steps)]
    assert outcome(state, "0:0", node="", restarts=0, steps=named).ended_by is expected


@given(code=st.integers(0, 255), signum=st.integers(0, 64))
def test_a_wait_status_and_its_text_tell_the_same(code: int, signum: int) -> None:
    text = from_wait_status(code << 8 | signum)
    assert text == f"{code}:{signum}"
    told = outcome("FAILED", text, node="", restarts=0).exit_code
    known = None if signum == 53 else -signum  # SLURM's own: it could not be launched
    assert told == (known if signum else code or None)


def test_every_state_is_one_word_of_slurm() -> None:
    assert all(name == name.upper() and " " not in name for name in STATES)
    assert TaskState.UNKNOWN not in STATES.values()
