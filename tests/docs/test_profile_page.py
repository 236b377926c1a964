"""The page of the profile, and the profiles that pages show, against the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest
import yaml
from tests.docs.pages import REFERENCE, ROOT, blocks, chapters, plain, rows_of, spans

from slidearray.core import pbs_directives
from slidearray.core.profile import AdvanceJob, Event, Mail, Profile, parse_profile
from slidearray.core.scheduler_keys import KEYS_OF, SCHEDULER_KEYS

if TYPE_CHECKING:
    from tests.docs.pages import Rows

PAGE = "profile.md"
QUEUED = ("slurm", "pbs")
TABLES = ("What an array task asks for", "Where it runs", "What runs before the worker")
#: Keys that have a chapter of their own.
CHAPTERS = {"directives", "advance_job", "mail", "container"}
REFUSED = "\N{EN DASH}"
MINIMAL = {"version": 1, "walltime": 5, "memory": "1G"}


def rows_about(key: str) -> Rows:
    """The rows of the table whose first column is headed by `key`."""
    text = "\n".join(
        table
        for chapter in chapters(PAGE).values()
        for table in chapter.split("\n\n")
        if table.startswith(f"| {key} |")
    )
    return rows_of(text)


def main_rows() -> Rows:
    return [row for title in TABLES for row in rows_of(chapters(PAGE)[title])]


def test_the_tables_of_a_profile_have_every_key_and_no_other() -> None:
    shown = [plain(row[0]) for row in main_rows()]
    assert len(shown) == len(set(shown))
    assert {*shown, *CHAPTERS} == set(Profile.model_fields)
    titles = " ".join(chapters(PAGE))
    assert all(f"`{key}`" in titles for key in CHAPTERS)


@pytest.mark.parametrize(("place", "scheduler"), [(3, "slurm"), (4, "pbs")])
def test_a_dash_stands_where_a_scheduler_refuses_a_key(place: int, scheduler: str) -> None:
    for row in main_rows():
        name = plain(row[0])
        foreign = name in SCHEDULER_KEYS and name not in KEYS_OF[scheduler]
        assert (row[place] == REFUSED) is foreign, (scheduler, name)


@pytest.mark.parametrize(("place", "scheduler"), [(3, "slurm"), (4, "pbs")])
def test_the_job_behind_the_arrays_has_the_keys_of_its_table(place: int, scheduler: str) -> None:
    shown = {name: row for row in rows_about("key of `advance_job`") for name in spans(row[0])}
    assert set(shown) == set(AdvanceJob.model_fields)
    for name, row in shown.items():
        foreign = name in SCHEDULER_KEYS and name not in KEYS_OF[scheduler]
        assert (row[place] == REFUSED) is foreign, (scheduler, name)


def test_the_table_of_mail_has_every_key_and_every_event() -> None:
    rows = {plain(row[0]): row for row in rows_about("key of `mail`")}
    assert set(rows) == set(Mail.model_fields)
    everywhere, on_slurm = rows["on"][1].split("; ")
    limits = {span if span[0] != "_" else f"TIME_LIMIT{span}" for span in spans(on_slurm)}
    assert set(spans(everywhere)) == set(pbs_directives.MAIL_LETTERS)
    assert {*spans(everywhere), *limits} == set(get_args(Event))


def test_the_page_names_every_option_of_qsub_that_is_refused() -> None:
    rows = rows_of(chapters(PAGE)["`directives` on PBS: more options of qsub"])
    shown = {span for row in rows for span in spans(row[0])}
    letters = {span[1] for span in shown if re.fullmatch(r"-[A-Za-z]", span)}
    assert letters - {"l"} == set(pbs_directives.REFUSED)
    assert shown >= set(pbs_directives.REFUSED_RESOURCES)


def example_profiles() -> list[str]:
    """Whole profiles, and the blocks that a tutorial changes in one."""
    text = blocks(REFERENCE / PAGE, "yaml")
    whole = [block for block in text if block.startswith("version:")]
    given = {
        scheduler: [block for block in text if block.startswith("directives:")][place]
        for place, scheduler in enumerate(QUEUED)
    }
    for scheduler in QUEUED:
        page = ROOT / "docs" / "tutorial" / f"{scheduler}.md"
        given[f"{scheduler} of the tutorial"] = "\n".join(blocks(page, "yaml"))
    parts = [
        f"{yaml.safe_dump(MINIMAL | {'scheduler': name.partition(' ')[0]})}{block}"
        for name, block in given.items()
    ]
    return [*whole, *parts]


@pytest.mark.parametrize("text", example_profiles())
def test_a_profile_that_a_page_shows_is_read(text: str) -> None:
    """Where an example names a key twice, the later one stands, as in a file that was changed."""
    assert parse_profile(yaml.safe_load(text), source="page", name="page").scheduler in QUEUED
