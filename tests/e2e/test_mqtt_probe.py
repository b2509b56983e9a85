"""What `edge check` says of a broker: an answer that makes no sense, and none at all."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.probe import probe
from tests.support.broker import Broker, free_port
from tests.support.bundles import tiny_bundle
from tests.support.daemons import write_config

pytestmark = pytest.mark.broker


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00",
        b"\x20\xff\xff\xff\xff\x01",
        bytes(64),
        b"",
    ],
)
def test_a_server_that_is_no_broker_is_reported_in_one_line(nonsense: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(nonsense)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeliveryError) as caught:
            probe(MqttConfig(host="127.0.0.1", port=server.getsockname()[1]), device="r1")
        thread.join()
    assert "\n" not in str(caught.value)


def test_a_broker_that_is_not_there_is_reported() -> None:
    with pytest.raises(DeliveryError, match="Connection refused") as caught:
        probe(MqttConfig(host="127.0.0.1", port=free_port()), device="r1")
    assert caught.value.reason == "unreachable"
    with pytest.raises(DeliveryError, match="no connection"):
        probe(MqttConfig(host="no-such-host.invalid"), device="r1")


def test_the_command_tells_of_a_right_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read edge/#\n")
    settings = ("allow_anonymous true", f"acl_file {tmp_path / 'acl'}")
    bundle = tiny_bundle(tmp_path / "bundle")
    with Broker(tmp_path / "broker", *settings) as broker:
        file = write_config(tmp_path, bundle.path, mqtt={"host": "127.0.0.1", "port": broker.port})
        result = CliRunner().invoke(main, ["check", "--config", str(file)])
    assert result.exit_code == 1
    (line,) = (line for line in result.output.splitlines() if "broker" in line.split(":")[0])
    assert "does not take edge/pond/check: Not authorized" in line
    assert "let it write everything below" in line
