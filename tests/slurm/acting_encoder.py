"""An encoder that acts on some slides as files beside it say; the features are always the same.

`acts/NUMBER` holds the act for the slide of that number, and `once` behind it where it is meant for
the first execution only. An encoder sees nothing of a slide but its pixels: the colour tells it the
number (see `coded_slides`).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ACTS = Path(__file__).parent / "acts"
STEP, FIRST = 16, 8  # of `coded_slides`; a plug-in stands alone


class ActingEncoder:
    """Mean and spread of each colour."""

    name = "acting"
    dim = 6
    version = 1

    def encode(self, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Features (n, 6) of (n, h, w, 3) tiles, after the act."""
        red, green, _ = tiles.mean(axis=(0, 1, 2))
        act(round((red - FIRST) / STEP) * 16 + round((green - FIRST) / STEP))
        pixels = tiles.reshape(len(tiles), -1, 3).astype(np.float64)
        return np.hstack([pixels.mean(axis=1), pixels.std(axis=1)]).astype(np.float32)


def make() -> ActingEncoder:
    """What `python:acting_encoder.py:make` names."""
    return ActingEncoder()


def act(number: int) -> None:
    """Do what is asked for the slide of this number."""
    script = ACTS / str(number)
    if not script.exists():
        return
    word, *rest = script.read_text().split()
    if "once" in rest and not _first(ACTS / f"{number}.done"):
        return
    deeds: dict[str, Callable[[], object]] = {
        "block": lambda: _wait_for(ACTS / f"{number}.go"),
        "allocate": lambda: np.ones(int(rest[0]) * 2**20, np.uint8),
        "hoard": lambda: _hoard(ACTS / f"{number}.go", int(rest[0])),
        "raise": _raise,
        "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "abort": os.abort,
        "vanish": lambda: os._exit(3),
        "kill-worker": lambda: os.kill(os.getppid(), signal.SIGKILL),
    }
    deeds[word]()


def _first(marker: Path) -> bool:
    """Whether nobody made this file before."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _raise() -> None:
    raise ValueError("no features today")


def _hoard(file: Path, size_mb: int) -> None:
    """Keep memory until the file is there, or whoever looks at it ends this."""
    taken = np.ones(size_mb * 2**20, np.uint8)
    _wait_for(file)
    del taken


def _wait_for(file: Path) -> None:
    file.with_suffix(f".{os.uname().nodename}-{os.getpid()}").touch()  # the test knows who waits
    while not file.exists():
        time.sleep(0.05)  # between two looks: another machine cannot wake us
