"""A broker that is away for a day: everything arrives, the oldest first, no faster than agreed.

Also what a small outbox keeps.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import pytest

from edge.store.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Subscriber, until
from tests.support.days import name_of, record_day
from tests.support.store import SYNCED, payload

pytestmark = pytest.mark.broker

RATE_PER_S = 400.0
LIVE = 10**6  # number of a detection that comes while the day is sent


def rows(subscriber: Subscriber) -> list[str]:
    """Names of what came from the outbox, in order of arrival."""
    levels = [(topic.split("/")[2], content) for topic, content, _ in list(subscriber.messages)]
    return [
        name_of(kind, json.loads(content))
        for kind, content in levels
        if kind in ("detection", "effort", "health")
    ]


def most_within(times_s: list[float], span_s: float) -> int:
    """The largest number of events in any span."""
    return max(
        bisect_right(times_s, begin_s + span_s) - number for number, begin_s in enumerate(times_s)
    )


def test_a_day_without_a_broker_arrives_oldest_first_at_a_bounded_rate(
    tmp_path: Path, open_sink: Open
) -> None:
    database, broker = tmp_path / "day.db", Broker(tmp_path / "broker", mortal=False)
    with Store(database, outbox_bytes=64 * 10**6, history_bytes=10**9) as store:
        day = record_day(store, seed=1)
        assert store.depth("mqtt")[0] == len(day) == len(set(day))
        assert len(day) > 4500
    # And the machine was started again.
    with (
        Store(database, outbox_bytes=64 * 10**6, history_bytes=10**9) as store,
        broker,
        Subscriber(broker.port) as subscriber,
    ):
        sink = open_sink(broker.port, kept=store, rate_per_s=RATE_PER_S)
        assert until(lambda: len(subscriber.messages) > 500, 60)
        live = payload(LIVE, state="new")
        store.record(live, dating=SYNCED)
        assert until(lambda: store.depth("mqtt") == (0, 0), 120)
        # strictly the oldest first: what is new waits for its turn
        everything = [*day, name_of("detection", live)]
        assert until(lambda: len(rows(subscriber)) >= len(everything), 60)
        assert rows(subscriber) == everything
        assert subscriber.arrived_s[-1] - subscriber.arrived_s[0] > len(day) / RATE_PER_S - 2
        # A second's worth may go at once; the rest of the tolerance is for a machine that stops for
        # a moment.
        assert most_within(subscriber.arrived_s, 4.0) <= 1.5 * RATE_PER_S * (4.0 + 1.0)
        sink.stop()


@pytest.mark.parametrize("outbox_bytes", [800_000, 200_000])
def test_an_outbox_too_small_for_the_day_keeps_detections_and_counts_the_rest(
    tmp_path: Path, open_sink: Open, outbox_bytes: int
) -> None:
    with Store(tmp_path / "day.db", outbox_bytes=outbox_bytes, history_bytes=10**9) as store:
        day = record_day(store, seed=2, minutes=480)
        dropped = store.dropped("mqtt")
        stored = Counter(name.partition(" ")[0] for name in day)
        kept = [row for row in day if row.startswith("detection")][dropped.get("detection", 0) :]
        if outbox_bytes == 800_000:
            assert "detection" not in dropped
            assert 0 < dropped["health"] + dropped["effort"] < stored["health"] + stored["effort"]
        else:
            assert dropped["detection"] > 0
            # A detection that went leaves a little more room than the one that came for it needs:
            # for the newest small rows.
            assert dropped["health"] + dropped["effort"] >= stored["health"] + stored["effort"] - 5
        with (
            Broker(tmp_path / "broker", mortal=False) as broker,
            Subscriber(broker.port) as subscriber,
        ):
            sink = open_sink(broker.port, kept=store)
            left = len(day) - sum(dropped.values())
            assert until(lambda: store.depth("mqtt") == (0, 0), 60)
            assert until(lambda: len(rows(subscriber)) >= left, 60)
            assert [row for row in rows(subscriber) if row.startswith("detection")] == kept
            assert len(rows(subscriber)) == left
            sink.stop()
