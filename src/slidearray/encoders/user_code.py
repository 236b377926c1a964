"""Running a user's Python: found by module or file, and its errors told with file and line."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from slidearray.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Factory:
    """A callable of the user's, and the digest of the file it stands in."""

    call: Callable[..., Any]
    source_sha256: str | None  # None where the module has no source file


def load_factory(target: str, *, name: str, root: Path) -> Factory:
    """Find the callable of ``MODULE_OR_FILE:factory``.

    What ends in ``.py`` or holds a ``/`` is a file, relative to `root`; all else is a module,
    installed or in `root`. Code in `root`, or beside the file, is found by import; it never hides
    an installed module.

    Parameters
    ----------
    target
        Where it is.
    name
        What the config calls the encoder, for messages.
    root
        Folder that relative files belong to.

    Raises
    ------
    EncoderError
        When there is no such file, module or callable, or its code fails.
    """
    place, _, attribute = target.rpartition(":")
    if not place or not attribute:
        raise EncoderError(
            f"encoder {name}: expected python:MODULE_OR_FILE:factory, "
            "such as python:encoders/mine.py:build"
        )
    is_file = place.endswith(".py") or "/" in place
    module = (
        _from_file((root / place).absolute(), name=name)
        if is_file
        else _from_module(place, name=name, root=root)
    )
    call = getattr(module, attribute, None)
    if not callable(call):
        known = sorted(key for key, value in vars(module).items() if _is_public(key, value))
        raise EncoderError(
            f"encoder {name}: {place} has no callable {attribute!r}; it has "
            f"{', '.join(known) or 'none'}"
        )
    return Factory(call=call, source_sha256=_source_sha256(module))


def call_user_code(action: Callable[[], Any], *, doing: str) -> Any:
    """Do something that runs the user's code.

    Raises
    ------
    EncoderError
        With type, text, file and line, when that code fails or exits.
    """
    try:
        return action()
    except EncoderError:
        raise
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise EncoderError(f"{doing} failed: {text}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """File and line where foreign code failed; empty when it was not reached."""
    ours = (str(Path(__file__).parents[1]), str(Path(importlib.__file__).parent), "<frozen ")
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [frame for frame in frames if not frame.filename.startswith(ours)]
    return f" ({foreign[-1].filename}:{foreign[-1].lineno})" if foreign else ""


def _from_file(path: Path, *, name: str) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise EncoderError(f"encoder {name}: {path}: {error.strerror}") from None
    if path.suffix != ".py":
        raise EncoderError(f"encoder {name}: {path} is no Python file: its name must end in .py")
    module = ModuleType(f"slidearray_user_{hashlib.sha256(source).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up there
    _findable(path.parent)
    # Compiled from what was read: Python's cache tells files apart by size and whole seconds, and
    # what runs has to be what the recipe's digest says.
    call_user_code(
        lambda: exec(compile(source, path, "exec", dont_inherit=True), vars(module)),
        doing=f"encoder {name}: loading it",
    )
    return module


def _findable(folder: Path) -> None:
    """Let imports find what is in `folder`, after everything else."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _from_module(place: str, *, name: str, root: Path) -> ModuleType:
    _findable(root.absolute())
    found = call_user_code(
        lambda: importlib.import_module(place), doing=f"encoder {name}: importing it"
    )
    module: ModuleType = found
    return module


def _is_public(key: str, value: object) -> bool:
    return callable(value) and not key.startswith("_")


def _source_sha256(module: ModuleType) -> str | None:
    source = getattr(module, "__file__", None)
    if source is None or not Path(source).is_file():
        return None
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
