"""`python -m slidearray.worker.child`: loads the encoder once, then does slides until none comes.

What it imports before `main` is light, so that whatever is missing on a node is told in words.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode
from slidearray.errors import SlidearrayError
from slidearray.storage.rundir import RunDir
from slidearray.storage.slots import SlotSlide
from slidearray.worker.channel import messages, send
from slidearray.worker.faults import classified, described
from slidearray.worker.usage import SlideUsage, peak_mb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slidearray.worker.slide_work import SlideWork

#: Added to how readily the kernel ends this process when memory runs out (-1000 to 1000): the
#: supervisor is to survive and tell.
OOM_SCORE = 500


def main(argv: Sequence[str]) -> ExitCode:
    """Work for a supervisor.

    Parameters
    ----------
    argv
        Run directory, project, token, number of CPUs, descriptor of the requests, descriptor of
        the events.
    """
    root, project, token, cpus, requests, events = argv
    for fd in (requests, events):
        os.set_inheritable(int(fd), False)  # programs that an encoder starts have no part in this
    _be_expendable()
    try:
        work = _prepare(RunDir(root=Path(root), project=Path(project)), token=token, cpus=int(cpus))
    except Exception as error:  # also what is missing on this node
        if not isinstance(error, SlidearrayError):
            traceback.print_exc()
        cause = error.__cause__ or error  # of an encoder's fault: what its own code raised
        oom = classified(cause, writing=Path(root))[0] is FailureClass.OUT_OF_MEMORY
        failure = FailureClass.OUT_OF_MEMORY if oom else FailureClass.SETUP_FAILED
        reason = described(error)
        send(int(events), {"event": "setup_failed", "failure": failure, "reason": reason})
        return ExitCode.SETUP_FAILED
    send(int(events), {"event": "ready", "peak_mb": peak_mb()})
    for request in messages(int(requests)):
        usage = SlideUsage()
        event = work.do(SlotSlide(**request))
        send(int(events), {**event, **usage.spent()})
    return ExitCode.COMPLETE


def _prepare(run: RunDir, *, token: str, cpus: int) -> SlideWork:
    import cv2

    from slidearray.worker.slide_work import SlideWork

    cv2.setNumThreads(cpus)
    return SlideWork(run, token=token, cpus=cpus)


def _be_expendable() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # a core file may be as large as memory
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
