"""What one array task asks of the scheduler."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Shape:
    """The resources of one array task; slots of equal shape share an array."""

    cpus: int
    memory_mb: int
    walltime_s: int

    @property
    def walltime(self) -> str:
        """The walltime as schedulers read it: ``HH:MM:SS``, hours beyond 24 allowed."""
        minutes, seconds = divmod(self.walltime_s, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for slots.jsonl."""
        return asdict(self)
