"""When work stops, so that a slot ends in good order before the scheduler ends it."""

from __future__ import annotations

import time


def margin_s(walltime_s: float) -> float:
    """Seconds before the end of the walltime at which work stops.

    A tenth of the walltime and at most one minute: the scheduler's clock was started before the
    script's, and what is left must do for the orderly end.

    Examples
    --------
    >>> margin_s(60), margin_s(4 * 3600)
    (6.0, 60.0)
    """
    return min(60.0, walltime_s / 10)


class Deadline:
    """When the work of one slot stops.

    Parameters
    ----------
    walltime_s
        What the scheduler grants the job.
    started_at
        When the job script started, in seconds since 1970 by this host's clock.
    """

    def __init__(self, *, walltime_s: float, started_at: float) -> None:
        self.walltime_s = walltime_s
        self._start = time.monotonic() - (time.time() - started_at)
        self._end = self._start + walltime_s - margin_s(walltime_s)

    def used_s(self) -> float:
        """Seconds since the job script started."""
        return time.monotonic() - self._start

    def left_s(self) -> float:
        """Seconds until work stops; 0 from then on."""
        return max(0.0, self._end - time.monotonic())
