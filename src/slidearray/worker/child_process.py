"""The child as the supervisor sees it: a process, a pipe to it and a pipe from it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from slidearray import command
from slidearray.schedulers.limits import child_environment, limits_here
from slidearray.storage.files import remove_partial
from slidearray.storage.rundir import read_document
from slidearray.worker.channel import Inbox, Message, send

if TYPE_CHECKING:
    from slidearray.schedulers.limits import ControlGroups
    from slidearray.storage.rundir import RunDir
    from slidearray.storage.slots import SlotSlide

#: The supervisor alone decides when the child ends.
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class ChildProcess:
    """A child that was started, until it is closed.

    Parameters
    ----------
    run
        The run that it works for.
    token
        Names this execution in the child's temporary files.
    cpus
        How many threads it may use.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, run: RunDir, *, token: str, cpus: int) -> None:
        requests, self._requests = os.pipe()
        events, events_end = os.pipe()
        self.inbox = Inbox(events)
        try:
            self._process = command.start(
                _argv(run, token=token, cpus=cpus, fds=(requests, events_end)),
                env=child_environment(os.environ, cpus=cpus),
                pass_fds=(requests, events_end),
                parent_death_signal=signal.SIGKILL,
                ignore=IGNORED,
            )
        except OSError:
            self._close_pipes()
            raise
        finally:
            os.close(requests)
            os.close(events_end)

    def send(self, message: Message) -> None:
        """Hand it a message; one that cannot take it has died, which `exit_code` will tell."""
        with suppress(BrokenPipeError):
            send(self._requests, message)

    @property
    def exit_code(self) -> int | None:
        """None while it lives; negative when a signal ended it."""
        return self._process.poll()

    def no_more(self) -> None:
        """Let it end by itself: there will be no further message."""
        os.close(self._requests)
        self._requests = -1

    def kill(self, *, within_s: float) -> None:
        """End it now and let go of it; a process stuck in the kernel is not waited for longer."""
        self._process.kill()
        command.wait(self._process, seconds=within_s)
        self._close_pipes()

    def _close_pipes(self) -> None:
        self.inbox.close()
        if self._requests >= 0:
            os.close(self._requests)


class Children:
    """Starts children for one execution, and clears away what dead ones left behind.

    Parameters
    ----------
    run
        The run directory.
    token
        Names the execution.
    groups
        Control groups that limit it.
    """

    def __init__(self, run: RunDir, *, token: str, groups: ControlGroups) -> None:
        self._run = run
        self.token = token
        self._labels = [output.label for output in read_document(run).outputs]
        self.groups = groups
        self.limits = limits_here(groups, affinity=os.sched_getaffinity(0), environ=os.environ)

    def start(self) -> ChildProcess:
        """Start a child; `OSError` when that cannot be done."""
        return ChildProcess(self._run, token=self.token, cpus=self.limits.cpus)

    def clear(self, slide: SlotSlide) -> None:
        """Remove the unfinished files of a slide whose child is dead."""
        for label in self._labels:
            path = self._run.feature_file(label, cohort=slide.cohort, slide_id=slide.slide_id)
            remove_partial(path, token=self.token)


def _argv(run: RunDir, *, token: str, cpus: int, fds: tuple[int, int]) -> list[str]:
    # -P: no stray `random.py` of the project stands in for the real one.
    # faulthandler: a crash in native code leaves the Python line that called it in the log.
    python = [sys.executable, "-P", "-X", "faulthandler", "-m", "slidearray.worker.child"]
    return [*python, str(run.root), str(run.project), token, str(cpus), str(fds[0]), str(fds[1])]
