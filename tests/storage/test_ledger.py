from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support import run_document

from slidearray.core.classes import FailureClass, Rejected
from slidearray.core.verdicts import State
from slidearray.errors import RunError
from slidearray.storage.journal import Journal
from slidearray.storage.ledger import read_ledger
from slidearray.storage.manifest import read_manifest, write_manifest
from slidearray.storage.plan_files import write_rejected
from slidearray.storage.records import RecordWriter
from slidearray.storage.rundir import RunDir, write_document
from slidearray.storage.slots import Slot, SlotSlide, write_slots

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}
Event = tuple[str, dict[str, Any]]
STARTED: Event = ("started", {"host": "node7"})


def _begun(slide_id: str) -> Event:
    return ("slide_started", {"slide_id": slide_id})


def _done(slide_id: str) -> Event:
    file = {"path": "f.h5", "size": 1, "sha256": "s", "content_digest": "c"}
    return ("done", {"slide_id": slide_id, "num_tiles": 3, "reused": False, "file": file})


def _failed(slide_id: str, failure: str) -> Event:
    return ("failed", {"slide_id": slide_id, "failure": failure, "reason": "why"})


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of the slides d, c, b, a (in that order), x rejected."""
    run = RunDir(root=tmp_path / "run", project=tmp_path)
    run.plan_dir.mkdir(parents=True)
    rows = [{"slide_id": slide_id, "path": f"{slide_id}.svs"} for slide_id in "dcxba"]
    write_manifest(run.manifest, ("slide_id", "path"), rows)
    bad = Rejected(slide_id="x", row=4, failure=FailureClass.MISSING_FILE, reason="no file")
    write_rejected(run.rejected, [bad])
    write_document(run, run_document(manifest_digest=read_manifest(run.manifest).digest))
    return run


def _attempt(run: RunDir, number: int, *shards: str, released: bool = True) -> Journal:
    attempt = run.attempt(number)
    attempt.root.mkdir(parents=True)
    slots = [
        Slot(
            slot=k, shape=SHAPE, slides=tuple(SlotSlide(slide_id=slide, path="p") for slide in ids)
        )
        for k, ids in enumerate(shards)
    ]
    write_slots(attempt.slots, slots)
    journal = Journal(attempt.journal)
    for event in ("intent", "committed", "released")[: 3 if released else 2]:
        journal.append(event)
    return journal


def _record(run: RunDir, number: int, slot: int, *events: Event, token: str = "t") -> None:
    with RecordWriter(run.attempt(number).record(slot, token)) as record:
        for event, fields in events:
            record.write(event, **fields)


def _ended(journal: Journal, slot: int, exit_code: int = 0) -> None:
    journal.append(
        "slot_ended", slot=slot, exit_code=exit_code, timed_out=False, out_of_memory=False
    )


def _classes(run: RunDir) -> dict[str, str]:
    return {
        slide_id: str(verdict.failure or verdict.state)
        for slide_id, verdict in read_ledger(run).verdicts.items()
    }


def test_slides_are_in_manifest_order_and_rejected_ones_apart(run: RunDir) -> None:
    ledger = read_ledger(run)
    assert list(ledger.verdicts) == ["d", "c", "b", "a"]
    assert {verdict.state for verdict in ledger.verdicts.values()} == {State.PENDING}
    assert [slide.slide_id for slide in ledger.rejected] == ["x"]


def test_every_slides_own_slot_and_record_speak_for_it(run: RunDir) -> None:
    journal = _attempt(run, 1, "da", "bc")
    _record(run, 1, 0, STARTED, _begun("d"), _done("d"), _begun("a"))
    _record(run, 1, 1, STARTED, _begun("b"), _failed("b", "corrupt_slide"), _begun("c"), _done("c"))
    _ended(journal, 0, exit_code=-9)
    _ended(journal, 1)
    assert _classes(run) == {
        "d": "done",
        "c": "done",
        "b": "corrupt_slide",
        "a": "worker_error",
    }


def test_a_result_knows_the_host_that_wrote_it(run: RunDir) -> None:
    _ended(_attempt(run, 1, "dcba"), 0)
    _record(run, 1, 0, STARTED, _begun("d"), _done("d"))
    result = read_ledger(run).verdicts["d"].result
    assert result is not None
    assert (result["host"], result["num_tiles"]) == ("node7", 3)


def test_a_success_of_any_attempt_is_final_and_else_the_newest_speaks(run: RunDir) -> None:
    _ended(_attempt(run, 1, "dcba"), 0)
    _record(run, 1, 0, STARTED, _begun("d"), _done("d"), _begun("c"), _failed("c", "worker_error"))
    _ended(_attempt(run, 2, "dc"), 0)
    _record(run, 2, 0, STARTED, _failed("d", "worker_error"), _failed("c", "timeout"))
    assert _classes(run) == {"d": "done", "c": "timeout", "b": "not_started", "a": "not_started"}
    assert read_ledger(run).verdicts["c"].attempts == 2


def test_an_attempt_that_was_never_released_counts_for_nothing(run: RunDir) -> None:
    _ended(_attempt(run, 1, "dcba"), 0)
    _record(run, 1, 0, STARTED, _done("d"), _failed("c", "worker_error"))
    _attempt(run, 2, "cba", released=False)
    run.attempt(3).root.mkdir()
    assert _classes(run)["c"] == "worker_error"


def test_unended_slots_of_the_newest_attempt_are_at_work_while_the_lock_is_held(
    run: RunDir,
) -> None:
    _attempt(run, 1, "d", "c", "b")
    journal = _attempt(run, 2, "c", "b", "a")
    _ended(journal, 2)
    _record(run, 2, 0, STARTED, _begun("c"))
    run.lock.write_text("1\nanother-host\n")
    assert _classes(run) == {
        "d": "not_started",
        "c": "running",
        "b": "pending",
        "a": "setup_failed",  # exit code 0, and no worker ever began
    }
    run.lock.unlink()
    assert _classes(run)["b"] == "not_started"
    assert _classes(run)["c"] == "lost"


def test_a_slot_whose_end_nobody_saw_is_lost_also_under_the_lock(run: RunDir) -> None:
    journal = _attempt(run, 1, "d")
    _record(run, 1, 0, STARTED, _begun("d"))
    journal.append("slot_ended", slot=0)
    run.lock.write_text("1\nanother-host\n")
    assert _classes(run)["d"] == "lost"


def test_several_executions_of_a_slot_are_read_oldest_first(run: RunDir) -> None:
    _ended(_attempt(run, 1, "dc"), 0)
    _record(run, 1, 0, STARTED, _begun("d"), token="2026-a")
    _record(run, 1, 0, STARTED, _begun("d"), _done("d"), _begun("c"), _done("c"), token="2027-b")
    assert _classes(run)["d"] == _classes(run)["c"] == "done"


def test_a_damaged_record_is_named(run: RunDir) -> None:
    _attempt(run, 1, "d")
    path = run.attempt(1).record(0, "t")
    path.parent.mkdir(parents=True)
    path.write_text("?\n")
    with pytest.raises(RunError, match=str(path)):
        read_ledger(run)


def test_no_folder_of_features_is_ever_listed(run: RunDir) -> None:
    _ended(_attempt(run, 1, "d"), 0)
    _record(run, 1, 0, STARTED, _done("d"))
    run.features_dir.write_text("listing this would be an error")
    assert _classes(run)["d"] == "done"


def test_a_manifest_that_was_changed_after_the_plan_is_refused(run: RunDir) -> None:
    run.manifest.write_text(run.manifest.read_text().replace("a.svs", "b.svs"))
    with pytest.raises(RunError, match="changed after the plan"):
        read_ledger(run)


def test_slots_that_were_cut_are_noticed(run: RunDir) -> None:
    journal = _attempt(run, 1, "d", "c", released=False)
    journal.path.unlink()
    journal.append("intent", slots=3)
    journal.append("released")
    with pytest.raises(RunError, match="holds 2 slots, and the journal says 3"):
        read_ledger(run)


def test_a_result_that_tells_no_file_is_refused_by_the_slides_name(run: RunDir) -> None:
    _ended(_attempt(run, 1, "d"), 0)
    _record(run, 1, 0, STARTED, ("done", {"slide_id": "d", "num_tiles": 3}))
    with pytest.raises(RunError, match="record of d is damaged"):
        read_ledger(run)
