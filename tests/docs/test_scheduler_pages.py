"""What pages say of schedulers, against the code that speaks to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.docs.pages import REFERENCE, ROOT, chapters, plain, rows_of, spans

from slidearray.core.classes import FailureClass
from slidearray.core.rendering import template_names
from slidearray.schedulers.dialect import DIALECTS, Dialect, QueueDialect
from slidearray.schedulers.pbs_states import STATUSES, outcome
from slidearray.storage.builtin import builtin_dir

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES = sorted(builtin_dir("templates").glob("*.j2"))
SUBSTATES = {"finished": 92, "failed": 93, "terminated": 91}


def pbs_rows() -> dict[str, str]:
    """What PBS says of an ended task, and what that becomes, in the order of the page."""
    text = chapters("records-and-classes.md")["What the scheduler's word becomes"]
    rows = rows_of(text.split("### On PBS")[1])
    return {row[0]: row[1] for row in rows}


def word(status: int | None, substate: int = SUBSTATES["failed"], comment: str = "") -> str:
    """What the page should say of an execution that ended so."""
    end = outcome(status, substate=substate, comment=comment, node="n1", restarts=0)
    classes = {
        FailureClass.TIMEOUT: "walltime used up",
        FailureClass.OUT_OF_MEMORY: "out of memory",
        FailureClass.NODE_FAILURE: "node failed",
        FailureClass.CANCELLED: "cancelled",
    }
    if end.ended_by is not None:
        return classes[end.ended_by]
    if end.exit_code is None:
        return "failed without an exit code"
    if end.exit_code < 0:
        return "ended by the signal"
    return "exit code 0" if end.exit_code == 0 else "this exit code"


def test_the_records_page_says_what_each_status_of_pbs_becomes() -> None:
    rows = pbs_rows()
    named = {int(each): said for told, said in rows.items() for each in re.findall(r"-\d+", told)}
    unnamed = rows[next(told for told in rows if told.startswith("any other below 0"))]
    limit = min(STATUSES)
    assert named.pop(limit) == word(limit - 1)  # "or below" it
    for status in STATUSES:
        assert named.get(status, unnamed) == word(status), status
    assert unnamed == word(None)


@pytest.mark.parametrize(
    ("begins", "status", "substate"),
    [
        ("`substate` 91", 271, "terminated"),
        ("265", 265, "failed"),
        ("any other above 256", 271, "failed"),
        ("1 to 255", 137, "failed"),
        ("0, and `substate` 92", 0, "finished"),
        ("0 otherwise", 0, "failed"),
    ],
)
def test_the_records_page_says_what_each_end_of_a_script_becomes(
    begins: str, status: int, substate: str
) -> None:
    (said,) = [said for told, said in pbs_rows().items() if told.startswith(begins)]
    assert said.startswith(word(status, SUBSTATES[substate]))


def test_the_guide_to_a_new_scheduler_names_methods_that_there_are() -> None:
    text = (ROOT / "docs/how-to/add-a-scheduler.md").read_text(encoding="utf-8")
    (table,) = [each for each in text.split("\n\n") if each.startswith("| method |")]
    named = {name for row in rows_of(table) for name in spans(row[0])}
    asked = {*vars(Dialect), *vars(QueueDialect)}
    asked |= {*Dialect.__annotations__, *QueueDialect.__annotations__}
    assert named
    assert named <= asked


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_the_page_of_job_scripts_has_every_variable_of_our_templates(path: Path) -> None:
    rows = rows_of(chapters("job-scripts.md")["Variables"])
    shown = {name for row in rows for name in spans(row[0])}
    used = template_names(path.read_text(encoding="utf-8"))
    assert {name for name in used if "." not in name} <= shown


def test_the_page_of_job_scripts_explains_every_directive_of_our_template_for_pbs() -> None:
    text = (builtin_dir("templates") / "pbs.sh.j2").read_text(encoding="utf-8")
    written = set(re.findall(r"^#PBS (-[A-Za-z])", text, re.MULTILINE))
    rows = rows_of(chapters("job-scripts.md")["On PBS"])
    explained = set(re.findall(r"#PBS (-[A-Za-z])", " ".join(row[0] for row in rows)))
    assert explained - written == {"-q", "-l"}  # from the profile
    assert written <= explained


def test_the_page_of_what_was_tested_speaks_of_every_scheduler_with_a_queue() -> None:
    head = (REFERENCE / "tested.md").read_text(encoding="utf-8")
    queues = {name.upper() for name, dialect in DIALECTS.items() if not dialect.runs_here}
    (row,) = re.findall(r"^\| what \|(.+)\|$", head, re.MULTILINE)
    assert {plain(each).strip() for each in row.split("|")} == queues
