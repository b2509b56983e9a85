"""The recorder killed at random moments, and the broker with it: nothing is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Subscriber, until
from tests.support.store import event_id

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]

DAEMON = """
import sys, time
from pathlib import Path
from edge.settings import MqttConfig
from edge.sinks.mqtt import MqttSink
from edge.store import Store
from tests.support.broker import Meter
from tests.support.store import SYNCED, payload
folder, port, first = sys.argv[1:]
with Store(Path(folder), outbox_bytes=10**8, history_bytes=10**8) as store:
    sink = MqttSink(MqttConfig(host="127.0.0.1", port=int(port)), device="r1", store=store, info={}, meter=Meter())
    sink.start()
    for number in range(int(first), 10**6):
        store.record(payload(number), dating=SYNCED)
        print(number, flush=True)
        time.sleep(0.005)
"""


def test_broker_and_daemon_killed_together_lose_nothing(broker: Broker, tmp_path: Path, open_sink: Open) -> None:
    dice, kept, said = random.Random(9), tmp_path / "killed.db", 0
    with Subscriber(broker.port) as subscriber:
        for _ in range(3):
            command = [sys.executable, "-c", DAEMON, str(kept), str(broker.port), str(said)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
                assert daemon.stdout is not None
                lines = [daemon.stdout.readline()]
                time.sleep(dice.uniform(0.1, 0.5))
                broker.kill()
                time.sleep(dice.uniform(0.0, 0.2))
                daemon.send_signal(signal.SIGKILL)
                lines += daemon.stdout.readlines()
            broker.start()
            said = int(next(line for line in reversed(lines) if line.endswith("\n"))) + 1
        with Store(kept, outbox_bytes=10**8, history_bytes=10**8) as store:
            sink = open_sink(broker.port, kept=store)
            assert until(lambda: store.depth("mqtt")[0] == 0)
            expected = {(event_id(number), "end") for number in range(said)}
            assert until(lambda: expected <= set(subscriber.counted()))
            sink.stop()


def test_the_daemon_killed_again_and_again_loses_nothing_and_leaves_its_will(
    broker: Broker, tmp_path: Path, open_sink: Open
) -> None:
    dice, kept, said = random.Random(3), tmp_path / "killed.db", 0
    with Subscriber(broker.port) as subscriber:
        for _ in range(5):
            command = [sys.executable, "-c", DAEMON, str(kept), str(broker.port), str(said)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as daemon:
                assert daemon.stdout is not None
                lines = [daemon.stdout.readline()]
                time.sleep(dice.uniform(0.1, 0.5))
                daemon.send_signal(signal.SIGKILL)
                lines += daemon.stdout.readlines()
            said = int(next(line for line in reversed(lines) if line.endswith("\n"))) + 1
        assert until(lambda: "offline" in subscriber.said("edge/r1/status"))
        with Store(kept, outbox_bytes=10**8, history_bytes=10**8) as store:
            sink = open_sink(broker.port, kept=store)
            assert until(lambda: store.depth("mqtt")[0] == 0)
            expected = {(event_id(number), "end") for number in range(said)}
            assert until(lambda: expected <= set(subscriber.counted()))
            sink.stop()
        assert until(lambda: subscriber.said("edge/r1/status")[-1] == "stopped")
        assert subscriber.said("edge/r1/status")[0] == "online"
