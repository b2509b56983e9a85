"""The daemon as a whole, on a sound card that a test holds in its hand: start, stop, reload,
absence, a failing disk.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import soundfile
from prometheus_client import CollectorRegistry

from edge.backoff import Backoff
from edge.bundle import Bundle
from edge.config.config import load_config
from edge.config.sections import MqttConfig
from edge.errors import BundleError, ConfigError, EdgeError, StoreError
from edge.mqtt.heads import HeadInbox
from edge.mqtt.sink import MqttSink
from edge.recorder.backlog import Backlog
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import Deliveries, Delivery
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.signals import commands_from_signals
from edge.recorder.systemd import Notifier
from edge.sources.device import Device
from edge.store.outbox import OutboxRow
from edge.store.store import Store
from edge.threads import Died
from tests.edge.recorder.test_systemd import Manager
from tests.support.audio import soundscape
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.broker import until as until_true
from tests.support.bundles import SPEC, tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config


def daemon(config: Path, audio: RealTimeAudio, notifier: Notifier | None = None) -> Daemon:
    return Daemon(config, audio=audio, deliveries=lambda *parts: [], notifier=notifier)


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    if not (folder / "edge.db").exists():
        return []
    connection = sqlite3.connect(folder / "edge.db")
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # not yet made
    finally:
        connection.close()


def states(folder: Path) -> list[tuple[object, ...]]:
    return rows(
        folder, "SELECT json_extract(payload, '$.label'), state FROM detections ORDER BY number"
    )


def test_a_sound_is_detected_and_stopping_ends_it_within_5_seconds(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = write_config(tmp_path, bundle.path)
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(
        environ={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    )
    received: list[str] = []
    recorder = daemon(config, RealTimeAudio(tone(300, 2)), notifier)
    with running(recorder) as thread:
        until(lambda: ("low_hummer", "new") in states(tmp_path))
        received += manager.received()
        began_s = time.monotonic()
        recorder.commands.put("stop")
        thread.join(10)
        assert time.monotonic() - began_s < 5
    assert states(tmp_path)[-1] == ("low_hummer", "end")
    assert received[0] == "READY=1"
    assert "WATCHDOG=1" in received
    # perhaps not the last word: what had been heard may still feed the watchdog
    assert "STOPPING=1" in manager.received()
    manager.close()
    ((clip,),) = rows(
        tmp_path, "SELECT json_extract(payload, '$.clip') FROM detections WHERE state = 'end'"
    )
    assert soundfile.info(str(tmp_path / "clips" / str(clip))).samplerate == SPEC.sample_rate_hz
    ((heard, elapsed),) = rows(
        tmp_path, "SELECT sum(heard_s), sum(end_sample - start_sample) / 8000.0 FROM effort"
    )
    assert heard == pytest.approx(elapsed, abs=1.0)
    found = rows(tmp_path, "SELECT DISTINCT network, length(vector) FROM embeddings")
    assert found == [
        (bundle.trunk_digest, len(bundle.networks["fp32"].golden.expected["embedding"]))
    ]


@pytest.mark.parametrize("gains", [(1.0,), (1.0, 0.5)])
def test_what_no_sound_has_is_survived_and_told_as_valid_json(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture, gains: tuple[float, ...]
) -> None:
    sound = tone(300, 2)
    sound[[50, 4000, 4001]] = [1e20, np.inf, np.nan]
    more = {"audio": {"channel": len(gains)}, "mqtt": {"enabled": True, "port": free_port()}}
    config = write_config(tmp_path, bundle.path, **more)
    audio = RealTimeAudio(sound, gains=gains)
    with running(daemon(config, audio)):
        query = "SELECT payload FROM detections WHERE state = 'new'"
        until(lambda: rows(tmp_path, query) != [], 60)
        until(lambda: audio.played > 5 * len(sound), 60)
    query = "SELECT kind, payload FROM outbox"
    messages = {str(kind): str(payload) for kind, payload in rows(tmp_path, query)}
    assert {"detection", "health"} <= set(messages)
    for text in messages.values():
        json.loads(text, parse_constant=pytest.fail)
    health = json.loads(messages["health"])
    assert health["peak_dbfs"] <= 0
    told = [text for text in caplog.messages if "samples that are not numbers" in text]
    assert len(told) == 1  # and not at each of them


def test_ready_waits_for_sound(tmp_path: Path, bundle: Bundle) -> None:
    manager = Manager(str(tmp_path / "notify"))
    audio = RealTimeAudio(tone(300, 2))
    audio.present = False
    recorder = daemon(
        write_config(tmp_path, bundle.path),
        audio,
        Notifier(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}),
    )
    with running(recorder):
        until((tmp_path / "edge.db").exists)
        time.sleep(0.5)
        assert "READY=1" not in manager.received()
        audio.present = True
        until(lambda: "READY=1" in manager.received())
    manager.close()


def test_a_reload_swaps_and_a_bad_file_keeps_the_old(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path, bundle.path)
    audio = RealTimeAudio(tone(300, 2))
    recorder = daemon(config, audio)
    good = config.read_text()
    with caplog.at_level(logging.INFO), running(recorder):
        until(lambda: audio.opened == 1)
        config.write_text("modle: {}\n")
        recorder.commands.put("reload")
        until(lambda: "reload refused, the old configuration stays" in caplog.text)
        assert "modle" in caplog.text
        assert audio.opened == 1
        config.write_text(good)
        spoilt = tiny_bundle(tmp_path / "spoilt", golden_error=1.0)
        write_config(tmp_path, spoilt.path)
        recorder.commands.put("reload")
        until(lambda: "on the golden window" in caplog.text)
        until(lambda: states(tmp_path))  # the old configuration has detected something, too
        config.write_text(good.replace("hop_s: 0.5", "hop_s: 1.0"))
        recorder.commands.put("reload")
        until(lambda: audio.opened == 2)
        until(
            lambda: (
                len(set(rows(tmp_path, "SELECT json_extract(payload, '$.config') FROM detections")))
                == 2
            )
        )
    assert states(tmp_path).count(("low_hummer", "end")) == 2


def test_a_fault_of_the_configuration_is_told_before_anything_starts(
    tmp_path: Path, bundle: Bundle
) -> None:
    audio = RealTimeAudio(tone(300, 2))
    spoilt = tiny_bundle(tmp_path / "spoilt", golden_error=1.0)
    with pytest.raises(BundleError, match="golden"):
        daemon(write_config(tmp_path, spoilt.path), audio).run()
    with pytest.raises(ConfigError, match="hop"):
        daemon(
            write_config(tmp_path, bundle.path, model={"bundle": str(bundle.path), "hop_s": 7.0}),
            audio,
        ).run()
    assert audio.opened == 0


def test_a_pipeline_that_dies_ends_the_daemon(tmp_path: Path, bundle: Bundle) -> None:
    class Broken(RealTimeAudio):
        def devices(self) -> list[object]:  # type: ignore[override]
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        daemon(write_config(tmp_path, bundle.path), Broken(tone(300, 1))).run()


class BrokenMeter:
    """Raises what nobody expects of it, as a bug would."""

    def mqtt_connected(self, connected: bool) -> None:
        raise ZeroDivisionError("a bug in the meter")

    def mqtt_error(self, reason: str) -> None:
        raise ZeroDivisionError("a bug in the meter")

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        raise ZeroDivisionError("a bug in the meter")


class BrokenBackoff(Backoff):
    def next_s(self) -> float:
        raise OverflowError("a bug in the back-off")


def sink_of(port: int, **parts: Any) -> Deliveries:
    """A sink for the daemon, some of whose parts are broken."""

    def make(
        plan: RecorderPlan,
        store: Store,
        clock: LiveClock,
        metrics: Metrics,
        died: Died,
        heads: HeadInbox | None,
    ) -> list[Delivery]:
        config = MqttConfig(host="127.0.0.1", port=port)
        given = {"meter": metrics, "store": store, **parts}
        return [MqttSink(config, device="pond", info={}, died=died, **given)]

    return make


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"meter": BrokenMeter()}, ZeroDivisionError),
        ({"backoff": BrokenBackoff()}, OverflowError),
    ],
    ids=["meter", "backoff"],
)
def test_a_sink_that_dies_ends_the_daemon_with_its_reason(
    tmp_path: Path, bundle: Bundle, parts: dict[str, Any], reason: type[Exception]
) -> None:
    """The microphone and the pipeline are well all the time, and feed the watchdog."""
    config = write_config(tmp_path, bundle.path)
    audio = RealTimeAudio(tone(300, 2))
    began_s = time.monotonic()
    with pytest.raises(reason, match="a bug in the"):
        Daemon(config, audio=audio, deliveries=sink_of(free_port(), **parts)).run()
    assert time.monotonic() - began_s < 10


@pytest.mark.broker
def test_a_sink_that_dies_while_connected_ends_the_daemon(tmp_path: Path, bundle: Bundle) -> None:
    class BrokenStore(Store):
        def pending(self, *_: Any, **__: Any) -> list[OutboxRow]:
            raise TypeError("a bug in the outbox")

    config = write_config(tmp_path, bundle.path)
    with (
        Broker(tmp_path / "broker") as broker,
        Subscriber(broker.port) as subscriber,
        BrokenStore(tmp_path / "other.db", outbox_bytes=10**6, history_bytes=10**6) as store,
    ):
        deliveries = sink_of(broker.port, store=store)
        with pytest.raises(TypeError, match="a bug in the outbox"):
            Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=deliveries).run()
        # It went without a word: the broker has said so to whoever waits for this recorder.
        assert until_true(lambda: subscriber.said("edge/pond/status")[-1:] == ["offline"])


def test_a_page_of_metrics_that_dies_ends_the_daemon_with_its_reason(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug in the server")

    monkeypatch.setattr("socketserver.BaseServer.service_actions", fail)
    config = write_config(tmp_path, bundle.path, metrics={"port": free_port()})
    with pytest.raises(RuntimeError, match="a bug in the server"):
        daemon(config, RealTimeAudio(tone(300, 2))).run()


def test_a_pipeline_that_ends_by_itself_ends_the_daemon(tmp_path: Path, bundle: Bundle) -> None:
    class Ending(RealTimeAudio):
        def devices(self) -> list[Device]:
            recorder._running.current.stop()
            return super().devices()

    recorder = daemon(write_config(tmp_path, bundle.path), Ending(tone(300, 1)))
    with pytest.raises(EdgeError, match="the thread pipeline ended"):
        recorder.run()


def test_detections_wait_while_the_disk_fails_and_feed_the_watchdog_while_there_is_room(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = load_config(write_config(tmp_path, bundle.path, clips={"enabled": False}))

    class FailingStore(Store):
        failing = True

        def record(self, *args: object, **more: object) -> bool:
            if self.failing:
                raise StoreError("no space left on device")
            return super().record(*args, **more)  # type: ignore[arg-type]

    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(
        environ={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    )
    failing = FailingStore(tmp_path / "edge.db", sinks=(), outbox_bytes=10**6, history_bytes=10**6)
    with failing as store:
        recorder = Recorder(
            make_plan(config),
            audio=RealTimeAudio(soundscape()),
            store=store,
            clock=LiveClock(),
            notifier=notifier,
            metrics=Metrics(CollectorRegistry(), labels=[]),
            backlog=Backlog(most_detections=3),
        )
        thread = Thread(target=recorder.run, daemon=True)
        thread.start()
        try:
            until(lambda: recorder.keeper.backlog.detections)
            manager.received()
            time.sleep(0.7)
            assert recorder.keeper.backlog.room > 0
            assert "WATCHDOG=1" in manager.received()  # it hears, and what it hears is kept
            until(lambda: recorder.keeper.backlog.room == 0)
            time.sleep(0.1)
            manager.received()
            time.sleep(1.2)
            assert "WATCHDOG=1" not in manager.received()
            failing.failing = False
            until(lambda: not recorder.keeper.backlog.detections)
        finally:
            recorder.stop()
            thread.join(10)
        assert next(iter(store.detections()))["label"] == "low_hummer"
    notifier.close()
    manager.close()


def test_signals_are_commands(tmp_path: Path, bundle: Bundle) -> None:
    recorder = daemon(write_config(tmp_path, bundle.path), RealTimeAudio(tone(300, 1)))
    before = signal.getsignal(signal.SIGTERM)
    with commands_from_signals(recorder.commands):
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert [recorder.commands.get(timeout=1) for _ in range(3)] == ["reload", "stop", "stop"]
    assert signal.getsignal(signal.SIGTERM) is before
