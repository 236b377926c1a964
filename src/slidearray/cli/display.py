"""What a person sees: tables, progress, summaries; no text of a manifest is interpreted."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from slidearray.core.ids import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from slidearray.core.classes import Rejected
    from slidearray.planner import PlanReport
    from slidearray.status.report import AttemptStatus, RunStatus

#: Columns of a table that goes into a file or a pipe.
FILE_WIDTH = 200
#: How many slides a listing shows before it says how many more there are.
LISTED = 20
#: Lines of a log that are shown when a person has to look.
LOG_TAIL = 20
#: How many ids stand in one cell of a table.
FEW = 3


class _Output(Console):
    """A console that leaves a closed pipe to `main`, as everything else that can go wrong."""

    def on_broken_pipe(self) -> None:
        raise


def console() -> Console:
    """Standard output; nobody's text is read as markup, and a file gets long lines whole."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return _Output(markup=False, highlight=False, emoji=False, soft_wrap=True, width=width)


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; numbers stand on the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    rows = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return made


def print_listing(columns: Sequence[str], rows: Sequence[Sequence[object]], *, rest: str) -> None:
    """A table of at most `LISTED` rows, how many more there are, and where the `rest` is."""
    console().print(table(columns, rows[:LISTED]))
    if len(rows) > LISTED:
        console().print(f"... and {len(rows) - LISTED} more: {rest}")


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; call what is yielded with (done, total)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = Console(stderr=True)
    # Into a file a bar would be noise: the log of a night.
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_plan(report: PlanReport, *, list_rejected: bool = True) -> None:
    """What a plan decided and will cost."""
    console().print(f"planned {report.run.root} for profile {report.profile}")
    console().print(
        table(
            ("slides", "tasks", "tiles expected", "tiles at most", "core-hours",
             "features at most", "inodes"),
            [
                (
                    report.slides,
                    report.tasks,
                    report.expected_tiles,
                    report.tiles,
                    f"{report.core_hours:.2g}",
                    size_text(report.feature_bytes),
                    report.inodes,
                )
            ],
        )
    )  # fmt: skip
    for note in report.notes:
        console().print(note)
    if list_rejected:
        print_rejected(report.rejected, rest=str(report.run.rejected))


def print_rejected(rejected: Sequence[Rejected], *, rest: str) -> None:
    """Slides that were refused, by row of the manifest; `rest` says where all are listed."""
    if rejected:
        console().print(f"{counted(len(rejected), 'slide')} that cannot be used:")
        print_listing(
            ("row", "slide_id", "class", "reason"),
            [(slide.row, slide.slide_id, slide.failure.value, slide.reason) for slide in rejected],
            rest=rest,
        )


def print_status(status: RunStatus) -> None:
    """Counts by state, the attempts, every slide in trouble or without a tile, what can be done."""
    rest = f"slidearray status {shlex.quote(status.run)} --json"
    console().print(f"run {status.run}")
    shown = {state: count for state, count in status.states.items() if count}
    console().print(table(("slides", *shown), [(status.slides, *shown.values())]))
    _print_attempts(status)
    if status.empties:
        console().print(f"{counted(len(status.empties), 'slide')} without a tile:")
        print_listing(("slide_id", "reason"), status.empties, rest=rest)
    if status.troubles:
        console().print(f"{counted(len(status.troubles), 'slide')} without features:")
        print_listing(
            ("slide_id", "class", "attempts", "reason"),
            [
                (trouble.slide_id, trouble.failure.value, trouble.attempts, trouble.reason)
                for trouble in status.troubles
            ],
            rest=rest,
        )
    if slots := status.failed_slots:
        console().print(f"{counted(len(slots), 'slot')} of attempt {slots[0].attempt} ended badly:")
        rows = [(slot.slot, slot.how, slot.log) for slot in slots]
        print_listing(("slot", "ended by", "log"), rows, rest=rest)
    for store in status.stores:
        console().print(f"store {store}")
    for line in status.advice:
        console().print(line)
    if status.telling_log:
        _print_tail(Path(status.telling_log))


def _print_tail(log: Path) -> None:
    """The last lines of a log, without what would steer a terminal."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]
    except OSError as error:
        console().print(f"{log}: cannot be read: {error.strerror}")
        return
    console().print(f"{log} ends:")
    for line in lines:
        console().print(f"  {printable(line)}")


def _print_attempts(status: RunStatus) -> None:
    """Where the attempts are, and what their slots wait for."""
    if status.by_attempt:
        console().print(table(*_attempt_table(status.by_attempt)))
    if status.fault:
        console().print(f"the scheduler could not be asked: {status.fault}")
        console().print("what is shown is what records and journals say")
    for waiting in status.waiting:
        slots = counted(waiting.slots, "slot")
        advice = f": {waiting.advice}" if waiting.advice else ""
        console().print(f"{slots} pending ({waiting.reason}){advice}")


def _attempt_table(
    attempts: Sequence[AttemptStatus],
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows; places where no slot is, and requeues that never were, are left out."""
    counts = [{**each.slots, "requeued": each.requeued} for each in attempts]
    shown = [name for name in counts[0] if any(count[name] for count in counts)]
    behind = any(each.advance for each in attempts)
    rows = [
        (
            *(each.number, each.where, _few(each.job_ids)),
            *(count[name] for name in shown),
            each.state,
            *([f"job {each.advance_id} {each.advance}" if each.advance else ""] if behind else []),
        )
        for each, count in zip(attempts, counts, strict=True)
    ]
    columns = ("attempt", "on", "jobs", *shown, "state", *(["goes on by"] if behind else []))
    return columns, rows


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, what: str) -> str:
    """``1 slide``, ``2 slides``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size_text(size_bytes: int) -> str:
    """A size for people, in decimal units: ``12.3 MB``."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    return str(value)
