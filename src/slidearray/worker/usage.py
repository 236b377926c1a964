"""CPU time and memory that work took, as the kernel counts them."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

#: proc_pid_clear_refs(5): the high-water mark of memory becomes what is held now.
RESET_PEAK = "5"
KILOBYTES_PER_MEGABYTE = 1024


class SlideUsage:
    """What this process takes for one slide, from here on."""

    def __init__(self) -> None:
        with suppress(OSError):  # it then stays the high-water mark since the process started
            Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
        self._cpu_s = cpu_s()

    def spent(self) -> dict[str, Any]:
        """CPU seconds of its threads and ended programs, and the most memory that it held."""
        return {"cpu_s": round(cpu_s() - self._cpu_s, 3), "peak_mb": peak_mb()}


class SlotUsage:
    """What a supervisor and its children take for one slot."""

    def __init__(self) -> None:
        self._child_mb = 0

    def saw(self, child_mb: int | None) -> None:
        """A child told how much memory it held at most."""
        self._child_mb = max(self._child_mb, child_mb or 0)

    def spent(self) -> dict[str, Any]:
        """CPU seconds since the job script started; memory of the largest child and our own."""
        largest_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.saw(largest_kb // KILOBYTES_PER_MEGABYTE)  # also of one that could not tell any more
        own_mb = peak_mb()
        return {
            "cpu_s": round(cpu_s(), 3),
            "peak_mb": None if own_mb is None else own_mb + self._child_mb,
        }


def cpu_s() -> float:
    """User and system time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb() -> int | None:
    """The most memory that this process held, in mebibytes; None where the kernel does not tell."""
    with suppress(OSError), open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // KILOBYTES_PER_MEGABYTE
    return None
