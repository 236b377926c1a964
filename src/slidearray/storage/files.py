"""Files that are complete once they have their name, and lines that are on disk once written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slidearray.errors import RunError, StorageFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
#: Where we are to write and may not; elsewhere these are no fault of the storage.
FORBIDDEN_ERRNOS = frozenset({errno.EACCES, errno.EPERM})
MAX_TOKEN_BYTES = 48  # with the longest feature file name, `.NAME.TOKEN.partial` stays below 255
MAX_NAME_BYTES = 196
BLOCK_BYTES = 1 << 20


def utc_now() -> str:
    """The time as files hold it: UTC, ISO-8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def host_name() -> str:
    """The name of this machine, as records hold it."""
    return os.uname().nodename


def execution_token() -> str:
    """A file-name part that no other execution has: time, host, process id; at most 48 bytes."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    host = re.sub(r"[^A-Za-z0-9-]", "-", host_name().split(".")[0])[-16:].lstrip("-")
    return f"{now}-{host or 'host'}-{os.getpid()}"


def is_storage_full(error: BaseException) -> bool:
    """Whether a failed write means a file system that is full, over quota or read-only.

    HDF5 reports some failed writes without an ``errno``, but with ``errno = 28`` in the text.
    """
    return _errno(error) in FULL_ERRNOS


def storage_fault(
    path: Path, error: BaseException, *, ours: bool = False
) -> StorageFullError | None:
    """`error` as a `StorageFullError` about `path`; None when it is another kind of error.

    With `ours` it was raised by writing `path`, so that a missing permission counts too.
    """
    if not (is_storage_full(error) or (ours and _errno(error) in FORBIDDEN_ERRNOS)):
        return None
    return StorageFullError(path, os.strerror(_errno(error) or 0), _free_bytes(path.parent))


def _errno(error: BaseException) -> int | None:
    code = getattr(error, "errno", None)
    if code is None and (match := re.search(r"errno = (\d+)", str(error))):
        code = int(match[1])
    return code


def _free_bytes(folder: Path) -> int:
    with suppress(OSError):
        facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize
    return 0


@contextmanager
def published(path: Path, *, token: str = "") -> Iterator[Path]:
    """Write to the yielded path; it becomes `path` only if the block succeeds.

    The partial file lies in the same folder, is created under the user's umask, and is on disk
    before it is renamed. Parents are not made.

    Parameters
    ----------
    path
        The final name; what is there already stays until the new file is whole.
    token
        Part of the partial file's name, for `remove_partial`; made up when empty.

    Raises
    ------
    StorageFullError
        The file system is full, over quota or read-only.
    """
    partial = _partial(path, token or os.urandom(16).hex())
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        yield partial
        _fsync(partial)
        partial.replace(path)
        _fsync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        if fault := storage_fault(path, error, ours=True):
            raise fault from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def make_folder(path: Path) -> None:
    """Make a folder of ours and its parents; `StorageFullError` where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if fault := storage_fault(path, error, ours=True):
            raise fault from error
        raise


def _partial(path: Path, token: str) -> Path:
    return path.with_name(f"{_partial_stem(path)}{token[:MAX_TOKEN_BYTES]}.partial")


def _partial_stem(path: Path) -> str:
    name = os.fsencode(path.name)
    if len(name) > MAX_NAME_BYTES:
        return f".{hashlib.sha256(name).hexdigest()[:32]}."
    return f".{path.name}."


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_folder(folder: Path) -> None:
    try:
        _fsync(folder)
    except OSError as error:
        # Some network file systems refuse fsync on a folder; there is nothing better to do there.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}:
            raise


def remove_partial(path: Path, *, token: str) -> None:
    """Remove what the execution `token` left of an unfinished `path`, if it left anything."""
    _partial(path, token).unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove every unfinished file under a folder that nobody is writing to."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def remove_dead_partials(path: Path) -> None:
    """Remove what processes of this host that are gone left of `path`.

    For a file that has several writers; it knows those whose token is an `execution_token`.
    """
    host = execution_token().split("-", 1)[1].rpartition("-")[0]
    pattern = re.compile(
        re.escape(_partial_stem(path)) + r"\d{8}T\d{12}Z-" + re.escape(host) + r"-(\d+)\.partial"
    )
    for entry in path.parent.iterdir():
        if (match := pattern.fullmatch(entry.name)) and not process_exists(int(match[1])):
            entry.unlink(missing_ok=True)


def process_exists(pid: int) -> bool:
    """Whether this host has a process of this id, as far as it can be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Publish a UTF-8 text file, line ends as given."""
    with published(path) as partial:
        partial.write_bytes(text.encode())


def append_line(target: int | Path, text: str) -> None:
    """Append one line; it is on disk when this returns, or not in the file at all.

    A path's unfinished last line, left by a process that was killed while it wrote, is cut off
    first: it was never reported as written. The caller is the file's only writer.
    """
    if isinstance(target, int):
        return _append(target, text, name=Path(f"/proc/self/fd/{target}"))
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _cut_unfinished(descriptor)
        _append(descriptor, text, name=target)
    finally:
        os.close(descriptor)


def _append(descriptor: int, text: str, *, name: Path) -> None:
    before = os.fstat(descriptor).st_size
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        if fault := storage_fault(name, error):
            raise fault from error
        raise


def _cut_unfinished(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    position = end
    while position:
        start = max(0, position - BLOCK_BYTES)
        newline = os.pread(descriptor, position - start, start).rfind(b"\n")
        position = start + newline + 1
        if newline >= 0:
            break
        position = start
    if position != end:
        os.ftruncate(descriptor, position)


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_line(value: object) -> str:
    r"""One value as one line; a text that is no valid Unicode comes back unchanged from the file.

    `append_line` writes a lone surrogate as ``\udc80``, which JSON reads as that surrogate.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parse_lines(data: bytes, path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file's bytes; an unfinished last line is ignored.

    Raises
    ------
    RunError
        A finished line that is not a JSON object; names `path` and the line.
    """
    lines = data.split(b"\n")[:-1]
    return [_parse_line(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


def parse_events(data: bytes, path: Path) -> list[dict[str, Any]]:
    """As `parse_lines`, of objects that each name their `event`."""
    events = parse_lines(data, path)
    for number, event in enumerate(events, start=1):
        if not isinstance(event.get("event"), str):
            raise RunError(f"{path}: line {number}: no event: {event}")
    return events


def _parse_line(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise RunError(f"{where}: not JSON ({error}): {line[:80]!r}") from None
    if not isinstance(value, dict):
        raise RunError(f"{where}: expected a JSON object, found {line[:80]!r}")
    return value
