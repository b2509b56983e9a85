"""A sound server; a broker, a store and sinks between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.mqtt.sink import MqttSink
from edge.store.store import Store
from tests.support.broker import Broker, Meter, unexpected
from tests.support.fleet import Fleet, troubled_recorder
from tests.support.soundserver import SoundServer, sound_server

INFO = {"version": "0.1.0", "bundle": "0" * 64, "boot_id": "b"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db", outbox_bytes=10**8, history_bytes=10**8) as store:
        yield store


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with sound_server() as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """What a real Prometheus has of a recorder that had every trouble.

    It needs what the marks broker, mount and promtool say.
    """
    with troubled_recorder(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


Open = Callable[..., MqttSink]


@pytest.fixture
def open_sink(store: Store) -> Iterator[Open]:
    """Sinks that are stopped at the end; settings of the configuration by name."""
    opened: list[MqttSink] = []

    def start(
        port: int,
        *,
        device: str = "r1",
        meter: Meter | None = None,
        kept: Store = store,
        info: Mapping[str, Any] = INFO,
        unanswered_s: float = 60.0,
        **settings: Any,
    ) -> MqttSink:
        config = MqttConfig(**{"host": "127.0.0.1", "port": port, "rate_per_s": 1000.0, **settings})
        quick = Backoff(first_s=0.1, longest_s=0.3)
        sink = MqttSink(
            config,
            device=device,
            store=kept,
            info=info,
            unanswered_s=unanswered_s,
            meter=meter or Meter(),
            backoff=quick,
            died=unexpected,
        )
        sink.start()
        opened.append(sink)
        return sink

    yield start
    for sink in opened:
        sink.stop(1.0)
        assert not sink.alive
