"""Fake programs of a scheduler: first on PATH, made to fail, and listened to."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest


class FakePrograms:
    """Programs in ``bin``, and what they share in ``state``.

    Parameters
    ----------
    folder
        A folder of its own.
    programs
        Their names.
    text
        What each of them is, in Python; its first argument tells it its name.
    """

    def __init__(self, folder: Path, *, programs: Iterable[str], text: str) -> None:
        self.programs, self.state = folder / "bin", folder / "state"
        self.programs.mkdir(parents=True)
        self.state.mkdir()
        for name in programs:
            program = self.programs / name
            program.write_text(f"#!{sys.executable} -IS\n{text}")
            program.chmod(0o755)

    def put_on_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make them the ones that are found."""
        monkeypatch.setenv("PATH", f"{self.programs}:{os.environ['PATH']}")

    def fails(self, program: str, *faults: dict[str, Any]) -> None:
        """The next calls of a program go wrong, one fault each; an empty one works as ever.

        ``before`` and ``behind`` are printed around the answer, ``stderr`` beside it; ``works:
        False`` does nothing of what was asked; ``hangs`` never ends; ``code`` is the exit code.
        """
        (self.state / f"faults-{program}.json").write_text(json.dumps(faults))

    def calls(self, program: str) -> list[list[str]]:
        """Arguments of every call of a program so far, its name first."""
        return [call["argv"] for call in self._log() if call["argv"][0] == program]

    def environments(self, program: str) -> list[dict[str, str]]:
        """What each call of a program had in its environment."""
        return [call["env"] for call in self._log() if call["argv"][0] == program]

    def descriptors(self, program: str) -> list[list[int]]:
        """What each call of a program had open."""
        return [call["fds"] for call in self._log() if call["argv"][0] == program]

    def _log(self) -> list[dict[str, Any]]:
        log = self.state / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
