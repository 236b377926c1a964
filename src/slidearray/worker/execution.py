"""One execution of one slot: its slides one after the other, and what becomes of each."""

from __future__ import annotations

import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from slidearray.core.classes import FailureClass
from slidearray.core.exits import ExitCode, ended_in_words
from slidearray.worker.deadline import margin_s
from slidearray.worker.signals import DRAIN
from slidearray.worker.usage import SlotUsage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from slidearray.storage.records import RecordWriter
    from slidearray.storage.slots import SlotSlide
    from slidearray.worker.channel import Message
    from slidearray.worker.child_process import ChildProcess, Children
    from slidearray.worker.deadline import Deadline
    from slidearray.worker.signals import Signals

#: A killed child that is stuck in the kernel is left behind after this long.
KILL_WAIT_S = 1.0
#: How long a child without further work may take to end by itself.
FAREWELL_S = 10.0


class _Stopped(Exception):
    """A signal told the slot to end."""


class _OutOfTime(Exception):
    """The deadline came."""


class _SlotEnded(Exception):
    """The slot ends before its last slide."""

    def __init__(self, code: ExitCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class Execution:
    """One execution of one slot.

    Wherever it waits, it waits for whatever comes first: a message of the child, the child's end,
    a signal, the deadline.

    Parameters
    ----------
    children
        Starts the child, and starts another when one died.
    record
        Where every event is written before anything follows from it.
    signals
        What this process was told.
    deadline
        When work stops.
    """

    def __init__(
        self, children: Children, *, record: RecordWriter, signals: Signals, deadline: Deadline
    ) -> None:
        self._children = children
        self._record = record
        self._signals = signals
        self._deadline = deadline
        self._child: ChildProcess | None = None
        self._messages: list[Message] = []
        self.usage = SlotUsage()
        self._oom_kills = 0  # before the child was started
        self._worked = False  # a slide was worked on, not only found finished

    def work(self, slides: Sequence[SlotSlide]) -> ExitCode:
        """Work through the slides; how the slot ended."""
        try:
            for count, slide in enumerate(slides, start=1):
                try:
                    self._one(slide)
                except _SlotEnded as end:
                    log(f"{end}; {len(slides) - count} slides behind it go again")
                    return end.code
            self._dismiss()
            return ExitCode.COMPLETE
        finally:
            self._end_child()

    def _one(self, slide: SlotSlide) -> None:
        self._check_start(slide)
        child = self._ready_child(slide)
        self._check_start(slide)  # loading the encoder took its time
        self._record.write("slide_started", slide_id=slide.slide_id)
        began = time.monotonic()
        child.send(asdict(slide))
        try:
            message = self._next(child) or self._crashed(child, slide, began=began)
        except _Stopped as stop:
            self._cut_short(slide, "interrupted", reason=f"the worker was told to stop by {stop}")
        except _OutOfTime:
            self._cut_short(slide, "failed", **self._timeout(slide, began=began))
        if message["slide_id"] != slide.slide_id:
            message = self._confused(slide)
        if self._child is None:
            self._children.clear(slide)
        self._conclude(slide, message)

    def _check_start(self, slide: SlotSlide) -> None:
        """Raise when the slide is not to be started."""
        left = self._deadline.left_s()
        if self._signals.stop:
            why = f"told to stop by {self._signals.stop.name}"
        elif self._signals.drain:
            why = f"told to start no further slide by {DRAIN.name}"
        elif left <= 0:
            why = "the walltime is used up"
        elif self._worked and slide.seconds > left:
            why = f"{left:.0f} s are left, and it was predicted to take {slide.seconds:.0f} s"
        else:
            return
        raise _SlotEnded(ExitCode.INTERRUPTED, f"{slide.slide_id}: not started: {why}")

    def _ready_child(self, slide: SlotSlide) -> ChildProcess:
        """The child, started when there is none; raises when it cannot work."""
        if self._child is not None:
            return self._child
        self._oom_kills = self._children.groups.oom_kills()
        try:
            self._child = child = self._children.start()
            message = self._next(child)
        except OSError as error:
            self._setup_failed(f"the worker's child cannot be started: {error}")
        except (_Stopped, _OutOfTime):
            self._check_start(slide)  # raises, with the reason
            raise
        failure, reason = self._loaded(child, message)
        if failure is FailureClass.OUT_OF_MEMORY:  # more of it helps, unlike with any other fault
            self._record.write("slide_started", slide_id=slide.slide_id)
            self._cut_short(slide, "failed", failure=failure, reason=reason)
        if failure:
            self._setup_failed(reason)
        return child

    def _loaded(
        self, child: ChildProcess, message: Message | None
    ) -> tuple[FailureClass | None, str]:
        """Why a child is not ready for its first slide; no class when it is."""
        if message is None:
            died, reason = self._death(child, "while it loaded the encoder")
            oom = died is FailureClass.OUT_OF_MEMORY
            return died if oom else FailureClass.SETUP_FAILED, reason
        if message["event"] == "ready":
            return None, ""
        return FailureClass(message["failure"]), message["reason"]

    def _next(self, child: ChildProcess) -> Message | None:
        """The child's next message; None when it died without one.

        Raises
        ------
        _Stopped, _OutOfTime
            Whichever came before the message.
        """
        while True:
            dead = child.exit_code is not None  # asked first: it writes nothing after its end
            self._messages += child.inbox.receive()
            if self._messages:
                message = self._messages.pop(0)
                self.usage.saw(message.get("peak_mb"))
                return message
            if dead:
                return None
            if self._signals.stop:
                raise _Stopped(self._signals.stop.name)
            if self._deadline.left_s() <= 0:
                raise _OutOfTime
            self._wait(child, seconds=self._deadline.left_s())

    def _wait(self, child: ChildProcess, *, seconds: float) -> None:
        """Until something happens: the child's end and our signals both show in `signals`."""
        fds = [self._signals.fileno()]
        if not child.inbox.closed:
            fds.append(child.inbox.fileno())
        select.select(fds, [], [], seconds)
        self._signals.quiet()

    def _conclude(self, slide: SlotSlide, message: Message) -> None:
        event = message.pop("event")
        self._record.write(event, **message)
        self._worked = self._worked or not message.get("reused", False)
        log(_summary(slide, event, message))
        if message.get("failure") == FailureClass.STORAGE_FULL:
            raise _SlotEnded(ExitCode.STORAGE_FULL, f"{slide.slide_id}: stopped: storage is full")

    def _cut_short(self, slide: SlotSlide, event: str, **fields: str) -> NoReturn:
        """Record what became of the slide in flight first, then end the child."""
        self._record.write(event, slide_id=slide.slide_id, **fields)
        self._end_child()
        self._children.clear(slide)
        raise _SlotEnded(ExitCode.INTERRUPTED, f"{slide.slide_id}: {event}: {fields['reason']}")

    def _timeout(self, slide: SlotSlide, *, began: float) -> dict[str, str]:
        walltime_s = self._deadline.walltime_s
        reason = (
            f"not finished after {time.monotonic() - began:.0f} s, {slide.seconds:.0f} s were "
            f"predicted; work stops {margin_s(walltime_s):.0f} s before the end of the walltime "
            f"of {walltime_s:.0f} s"
        )
        return {"failure": FailureClass.TIMEOUT, "reason": reason}

    def _crashed(self, child: ChildProcess, slide: SlotSlide, *, began: float) -> Message:
        """What becomes of a slide whose child died of it; the next slide gets another child."""
        when = f"{time.monotonic() - began:.0f} s into this slide"
        failure, reason = self._death(child, when)
        self._end_child()
        return {
            "event": "failed",
            "slide_id": slide.slide_id,
            "failure": failure,
            "reason": reason,
        }

    def _confused(self, slide: SlotSlide) -> Message:
        """What becomes of a slide that was answered for another: nothing said by it is trusted."""
        self._end_child()
        return {
            "event": "failed",
            "slide_id": slide.slide_id,
            "failure": FailureClass.WORKER_ERROR,
            "reason": "the child answered for another slide: did the encoder copy its process?",
        }

    def _death(self, child: ChildProcess, when: str) -> tuple[FailureClass, str]:
        """Class and reason of the end of a child that died by itself."""
        code = child.exit_code or 0
        died = f"the worker's child ended with {ended_in_words(code)} {when}"
        if code == -signal.SIGKILL and self._children.groups.oom_kills() > self._oom_kills:
            memory = self._children.limits.memory_mb
            limit = f" (limit {memory} MB)" if memory else ""
            return FailureClass.OUT_OF_MEMORY, f"{died}: out of memory{limit}"
        return FailureClass.WORKER_ERROR, f"{died}; the log may say more"

    def _setup_failed(self, reason: str) -> NoReturn:
        self._record.write("setup_failed", reason=reason)
        raise _SlotEnded(ExitCode.SETUP_FAILED, f"setup failed: {reason}")

    def _dismiss(self) -> None:
        """Let the child end by itself, for a while."""
        if self._child is None:
            return
        self._child.no_more()
        until = time.monotonic() + FAREWELL_S
        while (
            self._child.exit_code is None
            and not self._signals.stop
            and (left := until - time.monotonic()) > 0
        ):
            self._wait(self._child, seconds=left)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill(within_s=KILL_WAIT_S)
            self._child = None


def _summary(slide: SlotSlide, event: str, message: Message) -> str:
    if event == "failed":
        return f"{slide.slide_id}: failed: {message['failure']}: {message['reason']}"
    reused = ", found finished" if message["reused"] else ""
    return f"{slide.slide_id}: {event}: {message['num_tiles']} tiles{reused}"


def log(line: str) -> None:
    """Print one line to the log; a log that cannot be written must not end the work."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
