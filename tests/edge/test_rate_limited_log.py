"""Warnings of the hot path: at once, then limited, and never more than that."""

from __future__ import annotations

import logging

import pytest

from edge.rate_limited_log import RateLimitedLog

log = logging.getLogger("edge.test")


class Hand:
    """A clock that a test moves."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="edge.test")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records]


def test_the_same_trouble_is_said_once_in_a_while_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hand = Hand()
    limited = RateLimitedLog(log, every_s=600.0, monotonic_s=hand)
    for _ in range(1000):
        limited.warning("disk", "the disk is full")
        hand.now_s += 1.0
    assert said(caplog) == ["the disk is full", "the disk is full (599 more like it)"]
    limited.error("other", "another trouble")
    assert (caplog.records[-1].levelname, caplog.records[-1].getMessage()) == (
        "ERROR",
        "another trouble",
    )


def test_the_end_of_a_trouble_is_said_when_its_beginning_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hand = Hand()
    limited = RateLimitedLog(log, every_s=600.0, monotonic_s=hand)
    limited.recovered("disk", "never said")
    for _ in range(50):  # trouble that comes and goes
        limited.warning("disk", "the disk is full")
        limited.recovered("disk", "there is room again")
        hand.now_s += 1.0
    assert said(caplog) == ["the disk is full", "there is room again"]
    hand.now_s += 600.0
    limited.warning("disk", "the disk is full")
    limited.recovered("disk", "there is room again")
    assert said(caplog)[2:] == ["the disk is full (49 more like it)", "there is room again"]
