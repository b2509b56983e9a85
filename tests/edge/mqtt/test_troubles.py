"""Trouble with a broker is counted each time, and never fills the log."""

from __future__ import annotations

import logging

import pytest

from edge.mqtt.troubles import NAMED, Troubles


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted() -> list[str]:
    return []


@pytest.fixture
def troubles(clock: Clock, counted: list[str]) -> Troubles:
    return Troubles(logging.getLogger("troubles"), counted.append, monotonic_s=clock)


def test_an_hour_of_refusals_of_everything_is_few_lines(
    troubles: Troubles, clock: Clock, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(3600):
        clock.now_s = second
        for number in range(50):
            topic = f"edge/r1/detection/{(second * 50 + number) % 1000}"
            troubles.trouble("puback", f"the broker does not take {topic}", topic=topic)
    assert len(counted) == 180_000
    assert len(caplog.records) <= 6 * (NAMED + 1)


def test_a_broker_that_comes_and_goes_every_second_is_few_lines(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for second in range(3600):
        clock.now_s = second
        troubles.connected("broker:1883")
        troubles.trouble("lost", f"lost it for the {second}. time")
        troubles.trouble("unreachable", "no connection")
    assert len(caplog.records) <= 60 + 2 * 6


def test_the_end_of_a_steady_connection_is_news(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        clock.now_s += 100
        troubles.trouble("lost", "lost the broker")
        troubles.steady()
    assert len(caplog.records) == 3
