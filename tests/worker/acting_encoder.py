"""An encoder that does what a test tells it: word k of `acts` beside this file, at its k-th call.

Words of `loading` are done while it is loaded. It counts its calls in a file, so that another
child goes on where a dead one stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


class ActingEncoder:
    """Mean colours of a tile, repeated; `dim` of them."""

    name = "acting"
    version = 1

    def __init__(self, dim: int) -> None:
        self.dim = dim
        act(_next_word("loading"))

    def encode(self, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Features (n, dim) float32 of (n, h, w, 3) tiles, after the act."""
        means = tiles.reshape(len(tiles), -1, 3).mean(axis=1)
        features = np.concatenate([np.resize(row, (1, self.dim)) for row in means])
        word = _next_word("acts")
        act(word)
        if word == "nan":
            return np.full_like(features, np.nan)
        return features.astype(np.float16 if word == "half" else np.float32)


def make(dim: int = 8) -> ActingEncoder:
    """What `python:acting_encoder.py:make` names."""
    return ActingEncoder(dim)


def _next_word(kind: str) -> str:
    counter = HERE / f"{kind}.count"
    count = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(count + 1))
    script = HERE / kind
    words = script.read_text().split() if script.exists() else []
    return words[count] if count < len(words) else "work"


def act(word: str) -> None:
    """Do one of the words below; any other word does nothing."""
    deeds: dict[str, Callable[[], object]] = {
        "raise": _raise,
        "copy": os.fork,
        "copy-and-leave": _copy_and_leave,
        "leave": sys.exit,
        "vanish": lambda: os._exit(3),
        "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "oom-killed": _oom_killed,
        "too-large": lambda: np.ones(2**50),
        "allocate": lambda: np.ones(2**28),  # 2 GB, every page of it touched
        "spike": lambda: np.ones(2**25),  # 256 MB, let go at once
        "spike-and-vanish": lambda: os._exit(len(np.ones(2**25)) % 2 + 3),
        "disk-full": _disk_full,
        "print": lambda: print(json.dumps({"event": "done", "slide_id": "printed"}), flush=True),
        "block": lambda: _hold(lambda: time.sleep(3600)),  # the test ends it
        "block-until-told": lambda: _hold(_wait_for_go),
        "helper": _helper,
        "native": lambda: _hold(ctypes.PyDLL(None).pause),  # keeps the interpreter lock
        "modules": lambda: (HERE / "modules").write_text("\n".join(sorted(sys.modules))),
        "environment": lambda: (HERE / "environment").write_text(json.dumps(dict(os.environ))),
    }
    deeds.get(word, lambda: None)()


def _raise() -> None:
    raise ValueError("no features\ntoday")


def _copy_and_leave() -> None:
    if os.fork() == 0:
        sys.exit(0)


def _helper() -> None:
    """A process beside this one that heeds no TERM, as a loader of data may."""
    if os.fork() == 0:
        time.sleep(3600)  # the test ends it


def _disk_full() -> None:
    with open("/dev/full", "w") as file:
        file.write("full")


def _oom_killed() -> None:
    """As the kernel does it: count, then kill."""
    (HERE / "groups" / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_go() -> None:
    while not (HERE / "go").exists():
        time.sleep(0.01)  # between two looks at the file


def _hold(wait: Callable[[], object]) -> None:
    """Tell the test our process id, and stay; the pipe closes when this process ends."""
    with contextlib.ExitStack() as stack:
        pipe = stack.enter_context(open(HERE / "arrived", "w"))
        pipe.write(f"{os.getpid()}\n")
        pipe.flush()
        wait()
