"""Programs first on PATH that kill whoever calls them, at a chosen call, around the real one."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Before the real call, after it, or before it with the real call made when the test says so.
MOMENTS = ("before", "after", "lingering")

SCRIPT = """#!/bin/bash
# Stands before the real {program}; at call {call} it kills the process that called it.
case " $* " in *" --test-only "*|*" --version "*|*" show "*) exec {real} "$@" ;; esac
cd {folder} || exit 1
calls=$(($(cat calls 2>/dev/null || echo 0) + 1))
echo "$calls" >calls
cd "$OLDPWD" || exit 1
[ "$calls" = {call} ] || exec {real} "$@"
case {moment} in
    before) kill -9 $PPID; exit 1 ;;
    after) {real} "$@"; kill -9 $PPID ;;
    lingering)
        kill -9 $PPID
        until [ -e {folder}/go ]; do sleep 0.05; done
        exec {real} "$@" >{folder}/answer 2>&1 ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killer:
    """A program of the scheduler that kills its parent once.

    Parameters
    ----------
    folder
        A folder of its own.
    program
        Which program it stands before.
    call
        At which call it kills, counted from 1; questions do not count.
    moment
        One of `MOMENTS`.
    """

    folder: Path
    program: str
    call: int
    moment: str

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment in which it stands before the real program."""
        real = shutil.which(self.program, path=env["PATH"])
        assert real
        text = SCRIPT.format(
            program=self.program,
            call=self.call,
            moment=self.moment,
            real=real,
            folder=shlex.quote(str(self.folder)),
        )
        script = self.folder / self.program
        script.write_text(text)
        script.chmod(0o755)
        return {**env, "PATH": f"{self.folder}:{env['PATH']}"}

    @property
    def acted(self) -> bool:
        """Whether its call came."""
        calls = self.folder / "calls"
        return calls.exists() and int(calls.read_text()) >= self.call

    def let_go(self) -> None:
        """Let a lingering call be made."""
        (self.folder / "go").touch()
