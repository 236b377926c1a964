"""watch: look again and again, seldom enough to be no burden, until nothing is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks: the first, and the longest.
SHORTEST_S, LONGEST_S = 30.0, 120.0
#: A pause is this share of the time watched so far: who waits for hours can wait for minutes.
SHARE = 1 / 20

T = TypeVar("T")


def watch(
    look: Callable[[], T],
    *,
    show: Callable[[T], None],
    at_work: Callable[[T], bool],
    wait: Callable[[float], None],
) -> T:
    """Show what is seen until nothing is at work, or until the person who watches has enough.

    Parameters
    ----------
    look
        Finds out how things are; called once a period.
    show
        Shows what was seen.
    at_work
        Whether what was seen will change by itself.
    wait
        Sleeps.

    Returns
    -------
    T
        What was seen last.
    """
    seen = look()
    watched_s = 0.0
    try:
        while True:
            show(seen)
            if not at_work(seen):
                return seen
            pause = pause_s(watched_s)
            wait(pause)
            watched_s += pause
            seen = look()
    except KeyboardInterrupt:
        return seen


def pause_s(watched_s: float) -> float:
    """The pause before the next look.

    Examples
    --------
    >>> pause_s(0), pause_s(1200), pause_s(86_400)
    (30.0, 60.0, 120.0)
    """
    return min(LONGEST_S, max(SHORTEST_S, watched_s * SHARE))
