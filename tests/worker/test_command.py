"""Programs are started with the signals, descriptors and parents that were asked for."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import PATIENCE_S

from slidearray import command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def answer(tmp_path: Path) -> Callable[..., str]:
    """What a program printed."""

    def run(code: str, **options: Any) -> str:
        path = tmp_path / "out"
        with path.open("wb") as out:
            process = command.start(python(code), stdout=out, **options)
            assert command.wait(process, seconds=PATIENCE_S) == 0
        return path.read_text().strip()

    return run


def test_its_input_is_empty(answer: Callable[..., str]) -> None:
    assert answer("import sys; print(len(sys.stdin.read()))") == "0"


def test_errors_go_where_the_output_goes(answer: Callable[..., str]) -> None:
    assert answer("import sys; print('seen', file=sys.stderr)") == "seen"


def test_ignored_signals_are_ignored_from_the_start(answer: Callable[..., str]) -> None:
    code = "import signal; print(*(signal.getsignal(s).name for s in (15, 10, 2)))"
    ignore = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    assert answer(code, ignore=ignore) == "SIG_IGN SIG_IGN SIG_IGN"


def test_no_signal_stays_blocked(answer: Callable[..., str]) -> None:
    assert answer("import signal; print(len(signal.pthread_sigmask(0, [])))") == "0"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_only_the_named_descriptors_are_kept(answer: Callable[..., str]) -> None:
    kept, other = os.pipe()
    code = (
        "import os\n"
        f"for fd in ({kept}, {other}):\n"
        "    try: os.fstat(fd); print('open')\n"
        "    except OSError: print('closed')"
    )
    assert answer(code, pass_fds=(kept,)).split() == ["open", "closed"]
    os.close(kept)
    os.close(other)


def test_a_new_session_has_its_own_group(answer: Callable[..., str]) -> None:
    code = "import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"
    assert answer(code, new_session=True) == "True"
    assert answer(code) == "False"


def test_it_has_the_environment_that_was_given_and_no_other(answer: Callable[..., str]) -> None:
    code = "import os; print(os.environ['WORD'], 'HOME' in os.environ)"
    assert answer(code, env={"WORD": "x"}) == "x False"


def test_it_ends_with_the_thread_that_started_it() -> None:
    reading, writing = os.pipe()
    code = "import signal; signal.pause()"

    def start() -> None:
        started.append(
            command.start(python(code), pass_fds=(writing,), parent_death_signal=signal.SIGKILL)
        )
        os.close(writing)

    started: list[command.Process] = []
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert select.select([reading], [], [], PATIENCE_S)[0]
    assert os.read(reading, 1) == b""  # closed by its end
    assert command.wait(started[0], seconds=PATIENCE_S) == -signal.SIGKILL
    os.close(reading)


def test_waiting_has_an_end() -> None:
    process = command.start(python("import signal; signal.pause()"))
    assert command.wait(process, seconds=0) is None
    process.kill()
    assert command.wait(process, seconds=PATIENCE_S) == -signal.SIGKILL


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="nowhere"):
        command.start(["/nowhere/program"])


class TestRunning:
    """`run`: to the end, or not at all."""

    def test_output_and_errors_are_told_apart(self) -> None:
        code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
        done = command.run(python(code), timeout_s=PATIENCE_S)
        assert (done.code, done.stdout, done.stderr) == (7, "out\n", "err\n")

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        code = r"import os; os.write(1, b'a\xff\xc3\xa9')"
        assert command.run(python(code), timeout_s=PATIENCE_S).stdout == "a\ufffd\u00e9"

    def test_its_input_is_empty_and_its_environment_what_was_given(self) -> None:
        code = "import os, sys; print(len(sys.stdin.read()), 'HOME' in os.environ)"
        assert command.run(python(code), env={}, timeout_s=PATIENCE_S).stdout == "0 False\n"

    def test_ctrl_c_at_the_terminal_does_not_reach_it(self) -> None:
        code = "import os; print(os.getsid(0) == os.getpid())"
        assert command.run(python(code), timeout_s=PATIENCE_S).stdout == "True\n"

    def test_a_group_that_takes_too_long_is_killed(self) -> None:
        reading, writing = os.pipe()
        code = (
            "import os, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.fork()\n"
            "signal.pause()"
        )
        with pytest.raises(command.TimedOutError, match="no answer within 3 s"):
            command.run(python(code), timeout_s=3, pass_fds=(writing,))
        os.close(writing)
        assert select.select([reading], [], [], PATIENCE_S)[0]
        assert os.read(reading, 1) == b""  # its child is gone as well
        os.close(reading)

    def test_what_it_leaves_behind_is_not_waited_for(self) -> None:
        reading, writing = os.pipe()
        code = (
            "import os, select\n"
            "if os.fork() == 0:\n"
            f"    select.select([{reading}], [], [])\n"  # holds its output
            "    os._exit(0)\n"
            "print('done')"
        )
        assert command.run(python(code), timeout_s=PATIENCE_S, pass_fds=(reading,)).stdout == (
            "done\n"
        )
        os.close(writing)
        os.close(reading)

    def test_a_program_that_is_not_there_is_named(self) -> None:
        with pytest.raises(command.CommandError, match=r"^nowhere: No such file"):
            command.run(["nowhere"], timeout_s=PATIENCE_S)

    def test_it_does_not_outlive_an_interruption(self) -> None:
        reading, writing = os.pipe()
        pid = os.getpid()
        code = f"import os, signal\nos.kill({pid}, signal.SIGUSR1)\nsignal.pause()"

        def interrupt(signum: int, frame: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                command.run(python(code), timeout_s=PATIENCE_S, pass_fds=(writing,))
        finally:
            signal.signal(signal.SIGUSR1, before)
        os.close(writing)
        assert select.select([reading], [], [], PATIENCE_S)[0]
        assert os.read(reading, 1) == b""
        os.close(reading)
