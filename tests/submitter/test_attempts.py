"""What a later attempt would send."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.made_runs import FINISHED, MadeRun, done, failed, make_run

from slidearray.core.classes import FailureClass
from slidearray.core.queue import NOT_ASKED, QueueLimits, QueueWord, TaskState, TaskWord
from slidearray.core.verdicts import SlotOutcome
from slidearray.errors import TakenError
from slidearray.storage.ledger import read_ledger
from slidearray.storage.plan_files import PlannedSlide, write_planned
from slidearray.submitter.attempts import Asked, next_attempt
from slidearray.submitter.beginning import claim

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.submitter.attempts import PreparedAttempt

FINE = SlotOutcome(exit_code=0)


def planned(folder: Path, slides: str) -> MadeRun:
    """A run of slides, a slot each, as job 7 with job 8 behind it."""
    made = make_run(folder, slides)
    rows = [
        PlannedSlide(slide_id=name, shard=k, seconds=10.0, megabytes=700)
        for k, name in enumerate(slides)
    ]
    write_planned(made.run.slides_table, rows)
    made.attempt(1, *slides, jobs=["7"], advance="8")
    return made


def again(
    made: MadeRun, outcomes: dict[int, SlotOutcome], limits: QueueLimits = NOT_ASKED
) -> PreparedAttempt | None:
    tasks = {("7", slot): ended(outcome) for slot, outcome in outcomes.items()}
    return send(made, tasks, limits=limits)


def send(
    made: MadeRun,
    tasks: dict[tuple[str, int], TaskWord],
    *,
    by_hand: bool = False,
    limits: QueueLimits = NOT_ASKED,
) -> PreparedAttempt | None:
    ledger = read_ledger(made.run, ask=lambda jobs, unsettled: QueueWord(tasks=tasks))
    return next_attempt(made.run, ledger, Asked(by_hand=by_hand, limits=limits))


def ended(outcome: SlotOutcome) -> TaskWord:
    return TaskWord(state=TaskState.ENDED, outcome=outcome)


def test_what_crashed_the_worker_goes_alone(tmp_path: Path) -> None:
    made = planned(tmp_path, "abc")
    made.record(1, 0, done("a"), FINISHED)
    (made.run.root / "f.h5").write_bytes(b"x")  # the file that the record tells of
    for slot, name in ((1, "b"), (2, "c")):
        made.record(1, slot, failed(name, "worker_error"), FINISHED)
    prepared = again(made, {0: FINE, 1: FINE, 2: FINE})
    assert prepared is not None
    assert [[s.slide_id for s in slot.slides] for slot in prepared.slots] == [["b"], ["c"]]


@pytest.mark.parametrize("most", [3, 4])
def test_troubled_slides_share_slots_where_the_scheduler_takes_no_more(
    tmp_path: Path, most: int
) -> None:
    made = planned(tmp_path, "abcdef")
    for slot, name in enumerate("abcdef"):
        made.record(1, slot, failed(name, "worker_error"), FINISHED)
    limits = replace(NOT_ASKED, max_submit=most)  # two of them are for what goes on behind
    prepared = again(made, dict.fromkeys(range(6), FINE), limits)
    assert prepared is not None
    assert len(prepared.slots) <= most - 2
    assert prepared.slides == 6


@pytest.mark.parametrize(
    ("nodes", "avoided"),
    [
        (frozenset({"n1", "n2"}), "--exclude=n2"),
        (frozenset({"n2"}), None),  # no other is left
        (frozenset({"n1", "n3"}), None),  # the cluster does not have it any more
        (None, None),  # nobody knows the nodes
    ],
)
def test_a_node_that_failed_is_avoided_where_others_are_left(
    tmp_path: Path, nodes: frozenset[str] | None, avoided: str | None
) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, ("slide_started", {"slide_id": "a"}))
    lost = SlotOutcome(exit_code=None, ended_by=FailureClass.NODE_FAILURE, node="n2")
    prepared = again(made, {0: lost}, replace(NOT_ASKED, nodes=nodes))
    assert prepared is not None
    assert ("--exclude" in prepared.scripts[0]) is (avoided is not None)
    assert avoided is None or avoided in prepared.scripts[0]


def test_more_memory_is_asked_for_up_to_that_of_the_largest_node(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, failed("a", "out_of_memory"), FINISHED)
    for largest, asked in ((None, 8000), (6000, 6000)):
        prepared = again(made, {0: FINE}, replace(NOT_ASKED, max_memory_mb=largest))
        assert prepared is not None
        assert prepared.jobs[0].shape.memory_mb == asked
    assert again(made, {0: FINE}, replace(NOT_ASKED, max_memory_mb=4000)) is None


def test_more_time_is_asked_for_up_to_what_the_scheduler_gives(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, failed("a", "timeout"), FINISHED)
    for most_s, asked_s in ((None, 90), (75, 75)):
        prepared = again(made, {0: FINE}, replace(NOT_ASKED, max_walltime_s=most_s))
        assert prepared is not None
        assert prepared.jobs[0].shape.walltime_s == asked_s
    assert again(made, {0: FINE}, replace(NOT_ASKED, max_walltime_s=60)) is None


def test_a_slide_whose_file_was_lost_is_not_sent_while_it_is_queued_again(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, done("a"), FINISHED)  # and there is no such file
    assert again(made, {0: FINE}) is not None
    made.attempt(2, "a", jobs=["9"], advance="10")
    tasks = {("9", 0): TaskWord(state=TaskState.PENDING), ("7", 0): ended(FINE)}
    assert send(made, tasks) is None


def test_a_slide_whose_file_never_shows_up_is_not_sent_for_ever(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, done("a"), FINISHED)
    for number in (2, 3):
        made.attempt(number, "a", jobs=[f"7{number}"], advance="8")
        made.record(number, 0, done("a"), FINISHED)
    tasks = {(job, 0): ended(FINE) for job in ("7", "72", "73")}
    assert send(made, tasks) is None
    assert send(made, tasks, by_hand=True) is not None


def test_a_requeued_slot_does_its_slides_again_by_itself(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, failed("a", "worker_error"), FINISHED)
    waiting = TaskWord(state=TaskState.PENDING, reason="BeginTime", restarts=1)
    assert send(made, {("7", 0): waiting}) is None


def test_what_was_chosen_from_an_old_look_cannot_become_a_second_attempt(tmp_path: Path) -> None:
    made = planned(tmp_path, "a")
    made.record(1, 0, failed("a", "worker_error"), FINISHED)
    word = QueueWord(tasks={("7", 0): ended(FINE)})
    ledger = read_ledger(made.run, ask=lambda jobs, unsettled: word)
    made.attempt(2, "a", jobs=["9"], advance="10")  # another submitter was faster
    prepared = next_attempt(made.run, ledger, Asked(by_hand=True))
    assert prepared is not None
    with pytest.raises(TakenError):
        claim(prepared)


def test_a_copy_of_a_run_directory_has_jobs_of_other_names(tmp_path: Path) -> None:
    names = []
    for folder in ("one", "two"):
        made = planned(tmp_path / folder, "a")
        made.record(1, 0, failed("a", "worker_error"), FINISHED)
        prepared = again(made, {0: FINE})
        assert prepared is not None
        names.append(prepared.jobs[0].name)
    assert names[0] != names[1]
