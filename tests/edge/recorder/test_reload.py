"""A reload changes what it changes everywhere, key by key, or says that a restart is needed."""

from __future__ import annotations

import dataclasses
import http.client
import json
import logging
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.bundle import Bundle
from edge.bundle.signing import sign_bundle
from edge.config.reload import TAKES_EFFECT
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from tests.edge.recorder.test_daemon import rows
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.calibrations import calibrated
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.keys import key_pair
from tests.support.lives import BRIEF, calls

# A value that each key may have, and has not by default or in these tests.
OTHER: dict[str, Any] = {
    "device.id": "lake",
    "device.site": "by the lake",
    "site.species": ["low_hummer"],
    "site.latitude": 48.2,
    "site.longitude": 16.4,
    "site.occurrence": 0.1,
    "site.offlist": "next",
    "site.language": "de",
    "site.timezone": "Europe/Vienna",
    "audio.device": "Fake",
    "audio.channel": 1,
    "audio.rate_hz": 8000,
    "audio.buffer_s": 20.0,
    "audio.memory_mb": 100.0,
    "model.bundle": None,  # another folder, made by the test
    "model.bundles": None,
    "model.hop_s": 0.25,
    "model.slide_s": 0.5,
    "model.boost": 1.5,
    "model.boost_s": 60.0,
    "model.backend": "cpu",
    "model.engines": "elsewhere",
    "model.precision": 0.9,
    "model.trusted_keys": None,  # the one that has signed the test's bundle
    "heads.broker": True,
    "heads.folder": "sent",
    "heads.url": "https://example.org/heads",
    "heads.every_s": 30.0,
    "heads.kept": "elsewhere",
    "tracker.cooldown_s": 0.7,
    "tracker.longest_s": 4.0,
    "tracker.update_s": 2.0,
    "tracker.narrow": False,
    "health.dead_dbfs": -90.0,
    "health.stuck_dc": 0.002,
    "health.clip_level": 0.9,
    "health.railed_ratio": 0.4,
    "events.unknown": False,
    "events.kinds": ["human"],
    "privacy.speech": "keep",
    "privacy.dog": "drop_clip",
    "privacy.labels": ["low_hummer"],
    "privacy.threshold": 0.5,
    "store.path": "elsewhere.db",
    "store.outbox_mb": 3.0,
    "store.history_mb": 30.0,
    "store.ballast_mb": 2.0,
    "clips.enabled": False,
    "clips.folder": str(Path(tempfile.gettempdir(), "edge-other-clips")),
    "clips.budget_mb": 7.0,
    "clips.reserve_mb": 2.0,
    "clips.padding_s": 0.2,
    "clips.format": "flac",
    "mqtt.enabled": True,
    "mqtt.host": "127.0.0.1",
    "mqtt.port": 1884,
    "mqtt.protocol": 311,
    "mqtt.tls": True,
    "mqtt.ca_file": "ca.pem",
    "mqtt.cert_file": "cert.pem",
    "mqtt.key_file": "key.pem",
    "mqtt.username_file": "user",
    "mqtt.password_file": "password",
    "mqtt.topic_prefix": "other",
    "mqtt.keepalive_s": 60,
    "mqtt.rate_per_s": 10.0,
    "mqtt.wait_for_sync_s": 1.0,
    "mqtt.home_assistant": True,
    "mqtt.home_assistant_prefix": "ha",
    "metrics.enabled": True,
    "metrics.address": "127.0.0.2",
    "metrics.port": 9619,
    "notify.services_file": "elsewhere",
    "notify.first_ever": False,
    "notify.first_today": True,
    "notify.species": ["low_hummer"],
    "notify.probability": 0.8,
    "notify.score": 0.8,
    "notify.every_s": 60.0,
    "notify.most_per_day": 3,
    "notify.quiet": "22:00-07:00",
    "notify.microphone": False,
    "notify.recorder": False,
    "notify.disk_free_mb": 9.0,
    "notify.after_s": 30.0,
    "notify.page": "https://pond.example",
}
# Keys that may not stand alone.
TOGETHER: dict[str, dict[str, Any]] = {
    "site.latitude": {"site.longitude": 16.4},
    "site.longitude": {"site.latitude": 48.2},
    "mqtt.ca_file": {"mqtt.tls": True},
    "mqtt.cert_file": {"mqtt.tls": True, "mqtt.key_file": "key.pem"},
    "mqtt.key_file": {"mqtt.tls": True, "mqtt.cert_file": "cert.pem"},
    "mqtt.password_file": {"mqtt.username_file": "user"},
    "model.bundles": {"model.bundle": None},
}


class Reloadable:
    """A recorder at work, and the file that it reads."""

    def __init__(self, folder: Path, bundle: Bundle, **sections: object) -> None:
        self.folder, self._bundle = folder, bundle
        self.file = write_config(folder, bundle.path, tracker=BRIEF, **sections)
        self.base = yaml.safe_load(self.file.read_text())
        self.delivered: list[Any] = []
        self.told: list[str] = []
        self.trusted = ""
        self.daemon = Daemon(self.file, audio=RealTimeAudio(calls()), deliveries=self._deliveries)

    def _deliveries(self, *parts: Any) -> list[Any]:
        self.delivered.append(parts[0].config)
        return []

    def reload(self, changes: dict[str, Any]) -> None:
        content = json.loads(json.dumps(self.base))
        for key, value in changes.items():
            section, _, name = key.partition(".")
            content.setdefault(section, {})[name] = value
        self.file.write_text(yaml.safe_dump(content), encoding="utf-8")
        before = len(self.told)
        self.daemon.commands.put("reload")
        until(lambda: len(self.told) > before)  # the log is what comes last
        until(lambda: self._used() is self.delivered[-1])

    def _used(self) -> object:
        return self.daemon._running.current.plan.config

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what the daemon's log says of reloads."""
        logger = logging.getLogger(Daemon.__module__)
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addFilter(self._note)
        yield
        logger.removeFilter(self._note)
        logger.setLevel(level)

    def _note(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("reloaded: "):
            self.told.append(record.getMessage())
        return True


@pytest.fixture(scope="module")
def reloadable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloadable]:
    folder = tmp_path_factory.mktemp("reload")
    german = [dataclasses.replace(label, names={"de": "Tier"}) for label in LABELS]
    bundle = tiny_bundle(folder / "tiny", labels=german, calibration=calibrated())
    tiny_bundle(folder / "other")
    key = key_pair(folder)
    sign_bundle(bundle.path, key.private)
    recorder = Reloadable(folder, bundle)
    recorder.trusted = key.text
    with recorder.listening(), running(recorder.daemon):
        until(lambda: recorder.delivered)
        yield recorder


def value_of(config: Any, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize("key", list(TAKES_EFFECT))
def test_each_key(reloadable: Reloadable, key: str) -> None:
    """Stream and deliveries have the new value, or both the old one, and the log says so."""
    reloadable.reload({})
    used = value_of(reloadable.delivered[-1], key)
    new = OTHER[key]
    if key == "model.bundle":
        new = str(reloadable.folder / "other")
    if key == "model.trusted_keys":
        new = [reloadable.trusted]
    if key == "model.bundles":
        new = [str(reloadable.folder / name) for name in ("tiny", "other")]
    reloadable.reload({**TOGETHER.get(key, {}), key: new})
    found = value_of(reloadable.daemon._running.current.plan.config, key)
    assert value_of(reloadable.delivered[-1], key) == found
    waits = "waits for a restart" in reloadable.told[-1]
    if TAKES_EFFECT[key] == "restart":
        assert found == used
        assert waits
        assert key in reloadable.told[-1]
    else:
        assert found != used
        assert not waits


@contextmanager
def delivering(folder: Path, bundle: Bundle, port: int) -> Iterator[tuple[Daemon, Path, Any]]:
    mqtt = {"enabled": False, "host": "127.0.0.1", "port": port, "wait_for_sync_s": 0.0}
    page = {"enabled": False, "port": free_port()}
    config = write_config(folder, bundle.path, tracker=BRIEF, mqtt=mqtt, metrics=page)
    content = yaml.safe_load(config.read_text())
    daemon = Daemon(config, audio=RealTimeAudio(calls()), deliveries=deliveries)
    with running(daemon):
        yield daemon, config, content


@pytest.mark.broker
def test_a_broker_that_is_enabled_by_a_reload_gets_what_comes(
    tmp_path: Path, bundle: Bundle
) -> None:
    with (
        Broker(tmp_path / "broker", mortal=False) as broker,
        Subscriber(broker.port) as subscriber,
        delivering(tmp_path, bundle, broker.port) as (daemon, file, content),
    ):
        until(lambda: rows(tmp_path, "SELECT 1 FROM detections WHERE state = 'end'"), 60)
        registry = daemon._metrics.registry
        assert registry.get_sample_value("edge_outbox_rows") is None
        for enabled in (True, False, True):
            content["mqtt"]["enabled"] = enabled
            file.write_text(yaml.safe_dump(content))
            daemon.commands.put("reload")
            if enabled:
                before = len(subscriber.detections("pond"))
                until(lambda b=before: len(subscriber.detections("pond")) >= b + 3, 60)  # type: ignore[misc]
                until(lambda: subscriber.said("edge/pond/effort"), 90)
                assert registry.get_sample_value("edge_outbox_rows") is not None
            else:
                until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"], 60)
                until(lambda: registry.get_sample_value("edge_outbox_rows") is None)


def test_the_page_of_metrics_comes_goes_and_moves_with_a_reload(
    tmp_path: Path, bundle: Bundle
) -> None:
    def answers(port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                return b"edge_info" in page.read()
        except (OSError, http.client.IncompleteRead):  # a page that closes hangs up
            return False

    with delivering(tmp_path, bundle, free_port()) as (daemon, file, content):
        first, second = content["metrics"]["port"], free_port()
        for enabled, port in ((True, first), (True, second), (False, second)):
            content["metrics"] = {"enabled": enabled, "port": port}
            file.write_text(yaml.safe_dump(content))
            daemon.commands.put("reload")
            expected = {first: enabled and port == first, second: enabled and port == second}
            until(lambda e=expected: {p: answers(p) for p in e} == e, 30)  # type: ignore[misc]
