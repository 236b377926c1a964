"""`slidearray efficiency`: from records to tables, and to a profile that can be used."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.made_runs import CONFIG, SLURM, make_run
from tests.support import run_document

from slidearray.cli.main import main
from slidearray.core.classes import FailureClass
from slidearray.core.verdicts import SlotOutcome
from slidearray.efficiency import run_efficiency
from slidearray.storage.configs import load_profile
from slidearray.storage.plan_files import PlannedSlide, write_planned
from slidearray.storage.rundir import read_document, write_document
from slidearray.storage.seals import seal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.made_runs import MadeRun

PROFILE = {
    **SLURM,
    "cpus_per_task": 1,
    "memory": "4000M",
    "walltime": 1,
    "setup": ["module load x"],
}
SUGGESTED = "memory: 1.25G  # was 4000M: 4 slots held at most 1000M"


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    """Four slots of two slides that used little, of six; one waits, and one was killed."""
    made = make_run(tmp_path, "abcdefghijkl")
    document = replace(read_document(made.run), profile=PROFILE)
    write_document(made.run, document)
    slides = [PlannedSlide(slide_id=i, shard=0, seconds=6.0, megabytes=600) for i in "abcdefghijkl"]
    write_planned(made.run.slides_table, slides)
    made.attempt(1, "ab", "cd", "ef", "gh", "ij", "kl", jobs=["41"])
    for slot, pair in enumerate(("ab", "cd", "ef", "gh")):
        finished = {
            "exit_code": 0,
            "wall_s": 20.0 + slot,
            "cpu_s": 15.0,
            "peak_mb": 700 + 100 * slot,
        }
        made.record(1, slot, *(done(slide) for slide in pair), ("finished", finished))
    made.record(1, 4, done("i"), ("slide_started", {"slide_id": "j"}))
    return made


def done(slide_id: str) -> tuple[str, dict[str, Any]]:
    file = {"path": "f.h5", "size": 1, "sha256": "s", "content_digest": "c"}
    told = {"num_tiles": 3, "reused": False, "seconds": 8.0, "cpu_s": 6.0, "peak_mb": 500}
    return ("done", {"slide_id": slide_id, "file": file, **told})


def test_what_was_used_is_told_by_attempt_and_shape(made: MadeRun) -> None:
    (shape,) = run_efficiency(made.run).shapes
    assert (shape.attempt, shape.slots, shape.finished) == (1, 6, 4)
    assert shape.memory_mb == (850, 1000)
    assert shape.wall_s == (21.5, 23)
    assert shape.cpu_share == 60 / 86
    assert shape.predicted_per_real == 6 / 8


def test_the_slots_that_had_too_little_come_first_then_the_fullest(made: MadeRun) -> None:
    outcomes = {4: SlotOutcome(exit_code=None, ended_by=FailureClass.OUT_OF_MEMORY)}
    assert [use.slot for use in run_efficiency(made.run).worst] == [3, 2, 1, 0, 4]
    seal(made.run.attempt(1), outcomes)
    made_journal_sealed = run_efficiency(made.run)
    assert [use.slot for use in made_journal_sealed.worst] == [4, 3, 2, 1, 0]
    assert made_journal_sealed.worst[0].short_of == {FailureClass.OUT_OF_MEMORY}


def test_later_attempts_stand_for_themselves(made: MadeRun) -> None:
    made.attempt(2, "ij", "kl", jobs=["42"])
    assert [(shape.attempt, shape.slots) for shape in run_efficiency(made.run).shapes] == [
        (1, 6), (2, 2),
    ]  # fmt: skip


def test_the_profile_is_the_runs_own_with_what_the_slots_suggest(
    made: MadeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "better.yaml"
    assert main(["efficiency", str(made.run.root), "-o", str(file)]) == 0
    text = file.read_text()
    printed = capsys.readouterr().out
    assert SUGGESTED in text
    assert text in printed
    assert f"--profile {file}" in printed
    profile = load_profile(str(file), project=tmp_path)
    assert (profile.name, profile.memory, profile.walltime) == ("better", "1.25G", "00:01:00")
    assert profile.setup == ("module load x",)


def test_a_file_that_is_there_is_never_written_over(
    made: MadeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    assert main(["efficiency", str(made.run.root), "-o", str(file)]) == 1
    assert "exists, and nothing is written over it" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main(["efficiency", str(made.run.root), "-o", str(tmp_path / "no" / "p.yaml")]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_json_is_one_value_that_holds_everything(
    made: MadeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["efficiency", str(made.run.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"run", "shapes", "worst", "suggestions", "notes", "profile"}
    assert told["shapes"][0]["memory_mb"] == {"median": 850, "max": 1000}
    assert told["shapes"][0]["shape"] == {"cpus": 1, "memory_mb": 4000, "walltime_s": 60}
    (suggestion,) = told["suggestions"]
    assert (suggestion["key"], suggestion["now"], suggestion["value"]) == (
        "memory",
        "4000M",
        "1.25G",
    )
    assert [slot["slot"] for slot in told["worst"]] == [3, 2, 1, 0, 4]
    assert told["worst"][0]["cpu_share"] == 15 / 23
    assert told["worst"][4]["finished"] is False


def test_a_person_sees_tables_and_what_follows(
    made: MadeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["efficiency", str(made.run.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.split()[:2] == ["1", "6"]]
    assert " ".join(row) == "1 6 4 4000M 850M 1000M 1 70% 00:01:00 22 s 23 s 0.75"
    (killed,) = [line for line in lines if "not finished" in line]
    assert "500M (12%)" in killed
    assert "profile: memory: 1.25G instead of 4000M: 4 slots held at most 1000M" in lines


def test_too_few_slots_suggest_nothing(made: MadeRun) -> None:
    write_document(made.run, replace(read_document(made.run), profile={**PROFILE, "memory": "9G"}))
    report = run_efficiency(made.run)
    assert report.suggestions == ()
    assert report.notes == (
        "0 slots came to their end as the profile has them; 3 are needed to suggest other values",
    )
    assert "memory: 9G\n" in report.profile


def test_what_fits_is_told_to_fit(made: MadeRun) -> None:
    for number in range(2, 5):
        made.attempt(number, "ab", jobs=[str(number)])
        made.record(number, 0, done("a"), ("finished", {"exit_code": 0, "wall_s": 50, "cpu_s": 50,
                                                        "peak_mb": 3500}))  # fmt: skip
    report = run_efficiency(made.run)
    assert (report.suggestions, report.notes) == (
        (), ("nothing to change: what was asked for fits what was used",),
    )  # fmt: skip


def test_a_run_that_was_not_submitted_has_nothing_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_run(tmp_path, "a")
    write_planned(made.run.slides_table, [])
    assert main(["efficiency", str(made.run.root)]) == 0
    assert "no slot was started yet" in capsys.readouterr().out


def test_slots_far_from_the_aim_are_told_of(tmp_path: Path) -> None:
    made = make_run(tmp_path, "abcdefgh")
    document = run_document(
        config={**CONFIG, "shards": {"target_minutes": 1}}, profile=PROFILE, project=".."
    )
    write_document(made.run, replace(document, manifest_digest=""))
    slides = [PlannedSlide(slide_id=i, shard=0, seconds=30.0, megabytes=600) for i in "abcdefgh"]
    write_planned(made.run.slides_table, slides)
    made.attempt(1, "ab", "cd", "ef", "gh")
    for slot, pair in enumerate(("ab", "cd", "ef", "gh")):
        finished = {"exit_code": 0, "wall_s": 17.0, "cpu_s": 15.0, "peak_mb": 3000}
        made.record(1, slot, *(done(slide) for slide in pair), ("finished", finished))
    (_, note) = run_efficiency(made.run).notes
    assert note.startswith("slots took 17 s where 60 s were aimed at")
