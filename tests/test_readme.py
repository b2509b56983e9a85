"""What README tells people to run is run, with a real broker and the messages of a real sink."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.config.sections import MqttConfig
from edge.mqtt.sink import MqttSink
from edge.store.store import Store
from tests.support.broker import Broker, Meter, Subscriber, unexpected, until
from tests.support.store import SYNCED, payload

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARK = b'{"id": "0", "state": "end", "start_utc": "now", "device": "pond", "common_name": null, "score": 0}'
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program() -> str:
    """The one example of a subscriber."""
    (code,) = (
        code for language, code in FENCED.findall(README) if language == "python" and "paho" in code
    )
    return str(code)


def command() -> list[str]:
    """The one line with the broker's own client."""
    (line,) = (
        line
        for _, block in FENCED.findall(README)
        for line in block.splitlines()
        if line.startswith("mosquitto_sub ")
    )
    return shlex.split(line.partition("  #")[0])


@contextmanager
def running(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        output.open("wb") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def send(broker: Broker, folder: Path) -> None:
    """An event that is known and one that is not, by a recorder named pond."""
    with Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store:
        for number, state in ((1, "new"), (1, "end"), (3, "end")):
            store.record(payload(number, state=state, device="pond"), dating=SYNCED)
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        sink = MqttSink(config, device="pond", store=store, info={}, meter=Meter(), died=unexpected)
        sink.start()
        assert until(lambda: store.depth("mqtt") == (0, 0))
        sink.stop()


def wait_for(output: Path, other: Subscriber) -> None:
    """Until the program that writes there hears what `other` says."""

    def heard() -> bool:
        # again and again, for it may not have subscribed yet
        other.publish("edge/pond/detection/unknown", MARK)
        return "now" in output.read_text()

    assert until(heard, 60), output.read_text()


def test_the_subscriber_prints_each_event_once(tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(program(), encoding="utf-8")
    output = tmp_path / "output"
    with (
        Broker(tmp_path / "broker", mortal=False) as broker,
        Subscriber(broker.port) as other,
        running(
            [sys.executable, str(tmp_path / "listen.py"), "127.0.0.1", str(broker.port)], output
        ),
    ):
        wait_for(output, other)
        send(broker, tmp_path)
        assert until(lambda: len([d for d in other.detections("pond") if "boot_id" in d]) == 3)
        for topic, content, _ in [m for m in other.messages if "/detection/" in m[0]]:
            other.publish(topic, content)  # everything comes once more
        other.publish(
            "edge/pond/detection/unknown", MARK.replace(b"now", b"last").replace(b"end", b"new")
        )
        assert until(lambda: "last" in output.read_text()), output.read_text()
    assert output.read_text().splitlines() == [
        "connected: Success",
        "now pond end unknown 0.00",
        "2024-05-01T05:30:00.000000Z pond new Low hummer 0.90",
        "2024-05-01T05:30:00.000000Z pond end Low hummer 0.90",
        "2024-05-01T05:30:00.000000Z pond end unknown 0.90",
        "last pond new unknown 0.00",
    ]


def test_what_came_while_the_subscriber_was_away_is_kept_for_it(tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(program(), encoding="utf-8")
    first, second = tmp_path / "first", tmp_path / "second"
    with Broker(tmp_path / "broker", mortal=False) as broker:
        listen = [sys.executable, str(tmp_path / "listen.py"), "127.0.0.1", str(broker.port)]
        with running(listen, first), Subscriber(broker.port) as other:
            wait_for(first, other)
        send(broker, tmp_path)
        with running(listen, second):
            assert until(lambda: second.read_text().count("2024") == 3, 60), second.read_text()


def test_the_brokers_own_client_shows_detections(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with Broker(tmp_path / "broker", mortal=False) as broker:
        told = [*command(), "-p", str(broker.port), "-d"]  # -d: it says when it has subscribed
        with running(["stdbuf", "-oL", *told], output):
            assert until(lambda: "Subscribed" in output.read_text()), output.read_text()
            send(broker, tmp_path)
            assert until(lambda: output.read_text().count('"state": "end"') == 2), (
                output.read_text()
            )
    topics = [
        line.split()[0] for line in output.read_text().splitlines() if line.startswith("edge/")
    ]
    assert topics == ["edge/pond/detection/low_hummer"] * 2 + ["edge/pond/detection/unknown"]


def test_the_example_is_short() -> None:
    assert len([line for line in program().splitlines() if line.strip()]) <= 25
    assert os.path.basename(command()[0]) == "mosquitto_sub"
