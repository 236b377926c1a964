"""What `efficiency` shows: tables of use, and the values to ask for next time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.cli.display import console, table
from slidearray.core.suggesting import duration_text, memory_text

if TYPE_CHECKING:
    from slidearray.core.efficiency import ShapeUse
    from slidearray.core.slot_use import SlotUse
    from slidearray.efficiency import EfficiencyReport

UNKNOWN = "-"
SHAPE_COLUMNS = (
    "attempt", "slots", "finished", "memory", "median", "most", "CPUs", "in use",
    "walltime", "median", "longest", "predicted/real",
)  # fmt: skip
SLOT_COLUMNS = (
    "attempt", "slot", "slides", "done", "memory", "CPUs in use", "time", "predicted/real", "",
)  # fmt: skip


def print_efficiency(report: EfficiencyReport) -> None:
    """A report for a person; the profile stands at the end, to be copied."""
    out = console()
    out.print(f"run {report.run}")
    if not report.shapes:
        out.print("no slot was started yet")
        return
    out.print(table(SHAPE_COLUMNS, [_shape_row(shape) for shape in report.shapes]))
    if report.worst:
        out.print("\nslots that had too little, or came closest to it:")
        out.print(table(SLOT_COLUMNS, [_slot_row(use) for use in report.worst]))
    out.print()
    for each in report.suggestions:
        out.print(f"{each.file}: {each.key}: {each.value} instead of {each.now}: {each.reason}")
    for note in report.notes:
        out.print(note)
    out.print(f"\n{report.profile}", end="")


def _shape_row(use: ShapeUse) -> list[object]:
    memory, wall = use.memory_mb, use.wall_s
    return [
        use.attempt,
        use.slots,
        use.finished,
        memory_text(use.shape.memory_mb),
        memory_text(round(memory[0])) if memory else UNKNOWN,
        memory_text(memory[1]) if memory else UNKNOWN,
        use.shape.cpus,
        _percent(use.cpu_share),
        use.shape.walltime,
        duration_text(wall[0]) if wall else UNKNOWN,
        duration_text(wall[1]) if wall else UNKNOWN,
        UNKNOWN if use.predicted_per_real is None else f"{use.predicted_per_real:.2f}",
    ]


def _slot_row(use: SlotUse) -> list[object]:
    short = ", ".join(sorted(use.short_of))
    return [
        use.attempt,
        use.slot,
        use.slides,
        use.done,
        UNKNOWN if use.peak_mb is None else _share(memory_text(use.peak_mb), use.memory_share),
        _percent(use.cpu_share),
        UNKNOWN if use.wall_s is None else _share(duration_text(use.wall_s), use.time_share),
        f"{use.predicted_s / use.real_s:.2f}" if use.real_s else UNKNOWN,
        short or ("" if use.finished else "not finished: at least"),
    ]


def _share(amount: str, share: float) -> str:
    return f"{amount} ({_percent(share)})"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0%}"
