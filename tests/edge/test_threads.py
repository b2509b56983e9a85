"""A thread that is watched: its end is noticed when it is a fault, and only then."""

from __future__ import annotations

import logging
import threading

import pytest

from edge.errors import EdgeError
from edge.threads import WatchedThread


def test_what_it_raises_is_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    died: list[BaseException] = []
    fault = RuntimeError("a bug")

    def work() -> None:
        raise fault

    with caplog.at_level(logging.CRITICAL):
        thread = WatchedThread(work, name="sink-x", died=died.append)
        thread.start()
        thread.join(10)
    assert died == [fault]
    assert not thread.alive
    (record,) = caplog.records
    assert record.getMessage() == "the thread sink-x died"
    assert record.exc_info is not None


def test_an_end_that_nobody_asked_for_is_a_death() -> None:
    died: list[BaseException] = []
    thread = WatchedThread(lambda: None, name="pipeline", died=died.append)
    thread.start()
    thread.join(10)
    (reason,) = died
    assert isinstance(reason, EdgeError)
    assert str(reason) == "the thread pipeline ended, and nobody had asked it to"


def test_an_end_that_was_asked_for_is_none() -> None:
    died: list[BaseException] = []
    go = threading.Event()
    thread = WatchedThread(lambda: go.wait(10), name="pipeline", died=died.append)
    thread.start()
    assert thread.alive
    thread.expect_end()
    go.set()
    thread.join(10)
    assert (thread.alive, died) == (False, [])
