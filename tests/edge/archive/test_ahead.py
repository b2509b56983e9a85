"""What is next is made ahead, and what making it raises is raised where it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edge.archive.ahead import ahead


def test_the_next_one_is_made_while_one_is_worked_on() -> None:
    made = [threading.Event() for _ in range(4)]

    def making() -> Iterator[int]:
        for i, event in enumerate(made):
            event.set()
            yield i

    for i in ahead(making()):
        if i + 1 < len(made):
            assert made[i + 1].wait(5)
        assert not any(event.is_set() for event in made[i + 2 :])


def test_what_making_one_raises_comes_after_those_before_it() -> None:
    def making() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    found = ahead(making())
    assert next(found) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_who_leaves_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    for _ in ahead(iter(range(10))):
        break
    assert threading.active_count() == before
