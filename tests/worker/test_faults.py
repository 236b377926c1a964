"""What a slide's exception is taken for."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from slidearray.core.classes import FailureClass
from slidearray.errors import SlideError, StorageFullError, StoreError
from slidearray.worker.faults import MAX_REASON_CHARACTERS, classified, described

if TYPE_CHECKING:
    from collections.abc import Callable

WRITING = Path("/nowhere/slide_features.h5")


def raised(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def failure(error: BaseException) -> str:
    return classified(error, writing=WRITING)[0].value


def test_a_slide_error_brings_its_own_class() -> None:
    error = SlideError(FailureClass.MISSING_MPP, "x.svs: no mpp")
    assert classified(error, writing=WRITING) == (FailureClass.MISSING_MPP, "x.svs: no mpp")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_told_by_its_errno(code: int) -> None:
    assert failure(OSError(code, "full")) == "storage_full"
    assert failure(OSError(f"write failed (errno = {code}, error message = 'x')")) == "storage_full"


def test_a_full_disk_names_what_was_written() -> None:
    error = StorageFullError(WRITING, "No space left on device", 0)
    assert classified(error, writing=Path("other"))[1].startswith(str(WRITING))
    assert str(WRITING) in classified(OSError(errno.ENOSPC, "full"), writing=WRITING)[1]


@pytest.mark.parametrize(
    "action",
    [
        lambda: np.ones(2**50),
        lambda: cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, 2**30, 0, 2**30, 0),
        lambda: (_ for _ in ()).throw(OSError(errno.ENOMEM, "no memory")),
    ],
)
def test_memory_that_is_not_given_is_out_of_memory(action: Callable[[], object]) -> None:
    assert failure(raised(action)) == "out_of_memory"


@pytest.mark.parametrize(
    "error",
    [ValueError(), KeyboardInterrupt(), OSError(errno.EIO, "x"), StoreError("x"), cv2.error("x")],
)
def test_all_else_is_a_worker_error(error: BaseException) -> None:
    assert failure(error) == "worker_error"


def test_the_reason_names_type_text_and_innermost_line() -> None:
    reason = described(raised(lambda: json.loads("{")))
    assert reason.startswith("JSONDecodeError: Expecting property name")
    assert "decoder.py:" in reason


def test_a_reason_is_one_line_of_bounded_length_that_keeps_the_place() -> None:
    def long() -> None:
        raise ValueError("line\n" * 10_000)

    reason = described(raised(long))
    assert "\n" not in reason
    assert len(reason) <= MAX_REASON_CHARACTERS
    assert reason.endswith(")")
    assert "test_faults.py:" in reason
