"""Every error that is the user's to mend, in one place.

SlidearrayError          exit 1, printed as `error: ...` without a traceback
├── ConfigError          slidearray.yaml, or a YAML file that cannot be read
├── ProfileError         a cluster profile
├── TemplateError        a job-script template
├── ManifestError        the manifest; `faults` holds one line each
├── RunError             a run directory, or what was asked of it
│   └── TakenError       ... that another process was first to do
├── SchedulerError       a scheduler that did not answer, or not as expected
│   └── RefusedError     ... that said no: nothing of what was asked is in its queue
├── EncoderError         an encoder that cannot be loaded
├── StoreError           a feature file or a store
├── SlideError           one slide; `failure` is its class
└── StorageFullError     exit 74: a full or read-only file system
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slidearray.core.classes import FailureClass


class SlidearrayError(Exception):
    """Something the user can mend; its text says where, what was found and what to do."""


class ConfigError(SlidearrayError):
    """A config, or a YAML file, that cannot be used."""


class ProfileError(SlidearrayError):
    """A cluster profile that cannot be used."""


class TemplateError(SlidearrayError):
    """A job-script template that cannot be rendered."""


class ManifestError(SlidearrayError):
    """A manifest with structural faults, all of them named.

    Parameters
    ----------
    faults
        One line each, with file, row and column.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class RunError(SlidearrayError):
    """A run directory that is not one, is damaged, or cannot do what was asked."""


class TakenError(RunError):
    """What was asked for is another process's by now."""


class SchedulerError(SlidearrayError):
    """A scheduler that did not do what was asked of it, or did not answer."""


class RefusedError(SchedulerError):
    """A scheduler that said no: nothing of what was asked is in its queue."""


class EncoderError(SlidearrayError):
    """An encoder that cannot be loaded or breaks its contract."""


class StoreError(SlidearrayError):
    """A feature file or a store that cannot be read or written."""


class SlideError(SlidearrayError):
    """One slide that cannot be used.

    Parameters
    ----------
    failure
        The class that decides whether the slide is tried again.
    reason
        What was found, and where, in one line.
    """

    def __init__(self, failure: FailureClass, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


class StorageFullError(SlidearrayError):
    """A write that failed: the file system is full, over quota or read-only, or forbids it.

    Parameters
    ----------
    path
        What was being written.
    why
        The system's words.
    free_bytes
        Space left for this user where `path` is.
    """

    def __init__(self, path: Path, why: str, free_bytes: int) -> None:
        super().__init__(
            f"{path}: cannot be written: {why}; {free_bytes / 1e9:.1f} GB free there: "
            "make room for it, or let it be written, then resume"
        )
