from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.errors import RunError, StorageFullError
from slidearray.storage.files import (
    append_line,
    execution_token,
    is_storage_full,
    json_line,
    parse_lines,
    published,
    remove_dead_partials,
    remove_partial,
    remove_partials,
    storage_fault,
    utc_now,
    write_text,
)

LONGEST = "é" * 90 + "_features.h5"  # the longest slide_id, 180 bytes, with its suffix


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_only_when_its_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with published(target) as partial:
        partial.write_text("new")
        assert not target.exists()
        assert partial.parent == target.parent
    assert target.read_text() == "new"
    assert _names(tmp_path) == ["a.txt"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with published(target) as partial:
            partial.write_text("half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_published_file_has_the_mode_of_the_users_umask(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_full_file_system_is_named_with_the_file_and_its_free_space(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.token.partial").symlink_to("/dev/full")

    def write() -> None:
        with published(tmp_path / "a.txt", token="token") as partial:
            partial.write_text("more than fits")

    with pytest.raises(
        StorageFullError, match=r"a\.txt: cannot be written: No space left on device; .* GB free"
    ):
        write()
    assert _names(tmp_path) == []


def test_what_hdf5_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    said = OSError("Can't synchronously write data (file write failed: errno = 28, error message)")
    assert is_storage_full(said)
    assert isinstance(storage_fault(tmp_path / "a", said), StorageFullError)
    assert storage_fault(tmp_path / "a", OSError("file signature not found")) is None


@pytest.mark.parametrize("name", [LONGEST, "x" * 250])
def test_the_longest_names_can_be_published_and_swept(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with published(target, token=execution_token()) as partial:
        assert len(os.fsencode(partial.name)) <= 255
    assert _names(tmp_path) == [name]
    partial.touch()  # as a killed writer leaves it
    remove_partials(tmp_path)
    assert _names(tmp_path) == [name]


def test_clearing_up_after_one_execution_leaves_the_partials_of_others(tmp_path: Path) -> None:
    names = (".a.h5.mine.partial", ".a.h5.other.partial", ".ab.h5.mine.partial", "a.h5")
    for name in names:
        (tmp_path / name).touch()
    remove_partial(tmp_path / "a.h5", token="mine")
    assert _names(tmp_path) == sorted(names[1:])
    remove_partial(tmp_path / "nowhere" / "a.h5", token="mine")


def test_sweeping_a_folder_leaves_only_finished_files(tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    for name in (".a.h5.t.partial", "a.h5", ".a.h5.t", "a.partial"):
        (tmp_path / "cohort" / name).touch()
    remove_partials(tmp_path)
    assert _names(tmp_path / "cohort") == [".a.h5.t", "a.h5", "a.partial"]
    remove_partials(tmp_path / "nowhere")


def test_only_dead_writers_of_this_host_are_swept_from_a_shared_file(tmp_path: Path) -> None:
    mine = execution_token()
    time_and_host, time = mine.rpartition("-")[0], mine.partition("-")[0]
    no_process = 2**22 + 1  # above the kernel's highest process id
    alive = f".s.h5.{mine}.partial"
    dead = f".s.h5.{time_and_host}-{no_process}.partial"
    elsewhere = f".s.h5.{time}-another-host-{no_process}.partial"
    for name in (dead, alive, elsewhere):
        (tmp_path / name).touch()
    remove_dead_partials(tmp_path / "s.h5")
    assert _names(tmp_path) == sorted([alive, elsewhere])


def test_execution_tokens_differ_and_are_safe_in_file_names() -> None:
    tokens = {execution_token() for _ in range(100)}
    assert len(tokens) > 1
    assert all(len(token.encode()) <= 48 and "/" not in token for token in tokens)
    assert all(token[0].isdigit() for token in tokens)


def test_times_are_utc_iso_8601() -> None:
    from datetime import UTC, datetime

    assert datetime.fromisoformat(utc_now()).tzinfo == UTC


def test_a_torn_last_line_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":')
    append_line(path, '{"c":3}')
    assert path.read_bytes() == b'{"a":1}\n{"c":3}\n'


def test_a_torn_only_line_longer_than_a_block_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"x" * (3 << 20))
    append_line(path, "{}")
    assert path.read_bytes() == b"{}\n"
    path.write_bytes(b"{}\n" + b"x" * (3 << 20))
    append_line(path, "{}")
    assert path.read_bytes() == b"{}\n{}\n"


def test_a_line_that_does_not_fit_is_a_full_storage() -> None:
    descriptor = os.open("/dev/full", os.O_RDWR)
    try:
        with pytest.raises(StorageFullError, match="No space left"):
            append_line(descriptor, "x")
    finally:
        os.close(descriptor)


def test_a_line_half_written_before_the_disk_was_full_is_taken_back(tmp_path: Path) -> None:
    import resource
    import signal

    path = tmp_path / "r.jsonl"
    path.write_bytes(b"{}\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))  # EFBIG stands in for ENOSPC
    try:
        with pytest.raises(OSError, match="File too large"):
            append_line(path, '{"long":"line"}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"{}\n"


@given(st.dictionaries(st.text(st.characters(), max_size=5), st.text(st.characters()), max_size=3))
def test_any_text_survives_a_json_line(value: dict[str, str]) -> None:
    data = (json_line(value)).encode("utf-8", "backslashreplace") + b"\n"
    assert data.count(b"\n") == 1
    assert parse_lines(data, Path("x")) == [value]


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff", b"", b"\0\0"])
def test_a_bad_line_is_named_with_file_and_number(line: bytes) -> None:
    with pytest.raises(RunError, match=r"^r\.jsonl: line 2: "):
        parse_lines(b"{}\n" + line + b"\n{}\n", Path("r.jsonl"))
