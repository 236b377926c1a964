from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.storage.support import (
    STARTED,
    begin_attempt,
    begun,
    classes,
    done,
    ended,
    failed,
    planned_run,
    record,
)

from slidearray.core.verdicts import State
from slidearray.errors import RunError
from slidearray.storage.ledger import read_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from slidearray.storage.rundir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return planned_run(tmp_path)


def test_slides_are_in_manifest_order_and_rejected_ones_apart(run: RunDir) -> None:
    ledger = read_ledger(run)
    assert list(ledger.verdicts) == ["d", "c", "b", "a"]
    assert {verdict.state for verdict in ledger.verdicts.values()} == {State.PENDING}
    assert [slide.slide_id for slide in ledger.rejected] == ["x"]


def test_every_slides_own_slot_and_record_speak_for_it(run: RunDir) -> None:
    journal = begin_attempt(run, 1, "da", "bc")
    record(run, 1, 0, STARTED, begun("d"), done("d"), begun("a"))
    record(run, 1, 1, STARTED, begun("b"), failed("b", "corrupt_slide"), begun("c"), done("c"))
    ended(journal, 0, exit_code=-9)
    ended(journal, 1)
    assert classes(run) == {
        "d": "done",
        "c": "done",
        "b": "corrupt_slide",
        "a": "worker_error",
    }


def test_a_result_knows_the_host_that_wrote_it(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "dcba"), 0)
    record(run, 1, 0, STARTED, begun("d"), done("d"))
    result = read_ledger(run).verdicts["d"].result
    assert result is not None
    assert (result["host"], result["num_tiles"]) == ("node7", 3)


def test_a_success_of_any_attempt_is_final_and_else_the_newest_speaks(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "dcba"), 0)
    record(run, 1, 0, STARTED, begun("d"), done("d"), begun("c"), failed("c", "worker_error"))
    ended(begin_attempt(run, 2, "dc"), 0)
    record(run, 2, 0, STARTED, failed("d", "worker_error"), failed("c", "timeout"))
    assert classes(run) == {"d": "done", "c": "timeout", "b": "lost", "a": "lost"}
    assert read_ledger(run).verdicts["c"].attempts == 2


def test_an_attempt_that_was_never_released_counts_for_nothing(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "dcba"), 0)
    record(run, 1, 0, STARTED, done("d"), failed("c", "worker_error"))
    begin_attempt(run, 2, "cba", whole=False)
    run.attempt(3).root.mkdir()
    assert classes(run)["c"] == "worker_error"


def test_unended_slots_of_the_newest_attempt_are_at_work_while_the_lock_is_held(
    run: RunDir,
) -> None:
    begin_attempt(run, 1, "d", "c", "b")
    journal = begin_attempt(run, 2, "c", "b", "a")
    ended(journal, 2)
    record(run, 2, 0, STARTED, begun("c"))
    run.lock.write_text("1\nanother-host\n")
    assert classes(run) == {
        "d": "not_started",
        "c": "running",
        "b": "pending",
        "a": "setup_failed",  # exit code 0, and no worker ever began
    }
    run.lock.unlink()
    assert classes(run)["b"] == "not_started"
    assert classes(run)["c"] == "lost"


def test_a_slot_whose_end_nobody_saw_is_lost_also_under_the_lock(run: RunDir) -> None:
    journal = begin_attempt(run, 1, "d")
    record(run, 1, 0, STARTED, begun("d"))
    journal.append("slot_ended", slot=0)
    run.lock.write_text("1\nanother-host\n")
    assert classes(run)["d"] == "lost"


def test_several_executions_of_a_slot_are_read_oldest_first(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "dc"), 0)
    record(run, 1, 0, STARTED, begun("d"), token="2026-a")
    record(run, 1, 0, STARTED, begun("d"), done("d"), begun("c"), done("c"), token="2027-b")
    assert classes(run)["d"] == classes(run)["c"] == "done"


def test_a_damaged_record_is_named(run: RunDir) -> None:
    begin_attempt(run, 1, "d")
    path = run.attempt(1).record(0, "t")
    path.parent.mkdir(parents=True)
    path.write_text("?\n")
    with pytest.raises(RunError, match=str(path)):
        read_ledger(run)


def test_no_folder_of_features_is_ever_listed(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "d"), 0)
    record(run, 1, 0, STARTED, done("d"))
    run.features_dir.write_text("listing this would be an error")
    assert classes(run)["d"] == "done"


def test_a_manifest_that_was_changed_after_the_plan_is_refused(run: RunDir) -> None:
    run.manifest.write_text(run.manifest.read_text().replace("a.svs", "b.svs"))
    with pytest.raises(RunError, match="changed after the plan"):
        read_ledger(run)


def test_slots_that_were_cut_are_noticed(run: RunDir) -> None:
    journal = begin_attempt(run, 1, "d", "c", whole=False)
    journal.path.unlink()
    journal.append("intent", slots=3)
    journal.append("released")
    with pytest.raises(RunError, match="holds 2 slots, and the journal says 3"):
        read_ledger(run)


def test_a_result_that_tells_no_file_is_refused_by_the_slides_name(run: RunDir) -> None:
    ended(begin_attempt(run, 1, "d"), 0)
    record(run, 1, 0, STARTED, ("done", {"slide_id": "d", "num_tiles": 3}))
    with pytest.raises(RunError, match="record of d is damaged"):
        read_ledger(run)
