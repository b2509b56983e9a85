"""Two processes share the tests: one waits for brokers and servers while the other computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

__all__ = ["longest_first", "scheduling"]

ONE_AT_A_TIME = "tests/e2e/"
# What takes longest is begun first, lest one worker is left with it at the end.
LONG = (
    ONE_AT_A_TIME,
    "tests/train/",
    "tests/test_",
    "tests/edge/sources/test_fuzz",
    "tests/edge/mqtt/",
    "tests/edge/bundle/",
)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort the tests into the order in which they are handed out.

    Within a file and a folder they stay as they are.
    """

    def rank(item: pytest.Item) -> int:
        return next((n for n, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=rank)


def scheduling(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Return the scheduling: a file at a time, because its fixtures are made once.

    Whole recorders in real time run one after the other, in one process.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ONE_AT_A_TIME if nodeid.startswith(ONE_AT_A_TIME) else nodeid.split("::", 1)[0]

    config.option.loadscopereorder = False
    return Scheduling(config, log)
