"""What is next, read by another thread while what is at hand is worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

Item = TypeVar("Item")
DONE = object()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, of which one is made ahead; raises what making one has raised."""
    making = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, making, DONE)
        while (item := coming.result()) is not DONE:
            coming = pool.submit(next, making, DONE)
            yield item  # type: ignore[misc]
