"""Several runs at the same time: most of a run is waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

T = TypeVar("T")
AT_ONCE = 4  # more only wait for the processor


@contextmanager
def together(makers: Mapping[str, Callable[[], T]]) -> Iterator[Mapping[str, Future[T]]]:
    """Begin all of them; a test asks for the result of the one it needs, and sees its fault."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(maker) for name, maker in makers.items()}
