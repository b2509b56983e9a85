"""`edge-deploy send` and `fleet`: what a person types, and what strangers' messages make of it."""

from __future__ import annotations

import http.server
import json
import os
import pty
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from deploy.broker import broker_settings
from deploy.cli import main
from deploy.fleet.outgoing import outgoing_head
from deploy.fleet.recorders import TOPICS, Fleet
from deploy.fleet.table import fleet_table
from edge.bundle import Bundle
from edge.bundle.order import read_order
from edge.bundle.packed import pack_head
from edge.bundle.signature import public_key
from edge.config.heads import HeadsConfig
from edge.errors import ConfigError
from edge.heads.inbox import Inbox
from edge.heads.pulling import pulling
from tests.support.broker import Broker, Subscriber, free_port, unexpected
from tests.support.daemons import until
from tests.support.secure import certificates
from tests.support.sent import Sender

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender.in_folder(tmp_path_factory.mktemp("sender"))


@pytest.fixture(scope="module")
def head(sender: Sender) -> Bundle:
    return sender.head()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ((), "Say --to DEVICE"),
        (("--all", "--to", "pond"), "Say --to DEVICE"),
        (("--to", "po/nd"), "is no name of a recorder"),
        (("--to", "#"), "is no name of a recorder"),
        (("--to", "pond", "--broker", "host:port"), "is not a port"),
        (("--to", "pond", "--broker", f"127.0.0.1:{free_port()}"), "no connection to the broker"),
    ],
)
def test_a_wrong_option_is_one_line(
    sender: Sender, head: Bundle, options: tuple[str, ...], fault: str
) -> None:
    result = run("send", head.path, "--key", sender.key.private, *options)
    assert result.exit_code in (1, 2)
    assert fault in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_only_a_head_that_is_signed_is_sent(tmp_path: Path, sender: Sender) -> None:
    for bundle, fault in ((sender.trunk.path, "no head"), (tmp_path / "nothing", "not a bundle")):
        where = ("--all", "--folder", tmp_path)
        result = run("send", bundle, "--key", sender.key.private, *where)
        assert result.exit_code == 2
        assert fault in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("broker", "host", "port"),
    [
        ("broker.example", "broker.example", 1883),
        ("broker.example:8883", "broker.example", 8883),
        ("[::1]:8883", "::1", 8883),
        ("[::1]", "::1", 1883),
        (None, "localhost", 1883),
    ],
)
def test_where_the_broker_is(broker: str | None, host: str, port: int) -> None:
    found = broker_settings(broker, None)
    assert (found.host, found.port) == (host, port)


def test_a_port_that_cannot_be_is_refused() -> None:
    for broker in ("a:0", "a:65536", "a:b", "a:"):
        with pytest.raises(ConfigError):
            broker_settings(broker, None)


@contextmanager
def inbox_from(sender: Sender, **places: Any) -> Iterator[Inbox]:
    inbox = Inbox(
        device="pond",
        trusted=[public_key(sender.key.text)],
        wake=lambda: None,
        refused=lambda word: None,
    )
    config = HeadsConfig(every_s=1.0, **places)
    with pulling(config, inbox, device="pond", died=unexpected):
        yield inbox


def brought(inbox: Inbox) -> Any:
    end_s = time.monotonic() + 20
    while (sent := inbox.take()) is None:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return sent


def test_a_folder_brings_what_was_written_into_it(
    tmp_path: Path, sender: Sender, head: Bundle
) -> None:
    with inbox_from(sender, folder=tmp_path / "not yet there") as inbox:
        result = run(
            *("send", head.path, "--key", sender.key.private),
            *("--to", "pond", "--folder", tmp_path / "not yet there"),
        )
        assert result.exit_code == 0, result.output
        assert brought(inbox).packed == pack_head(head)


def test_an_order_says_when_it_was_made_and_until_when_it_holds(
    tmp_path: Path, sender: Sender, head: Bundle
) -> None:
    for options, days in (((), 30), (("--expires", "7"), 7)):
        send = ("send", head.path, "--key", sender.key.private, "--to", "pond", *options)
        assert run(*send, "--folder", tmp_path).exit_code == 0
        content = (tmp_path / "pond.json").read_bytes()
        order = read_order(content, [public_key(sender.key.text)])
        assert abs(order.made_s - time.time()) < 60
        assert order.number // 1000 == order.made_s
        assert order.expires_s - order.made_s in (days * 86_400, days * 86_400 + 1)


def test_a_server_brings_it_over_https_if_its_certificate_is_right(
    tmp_path: Path, sender: Sender, head: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(tmp_path / "certs", ("broker",))
    outgoing_head(head.path, sender.key.private, [""]).write(tmp_path / "www")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    handler.log_message = lambda *rest: None  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certs/broker.pem", tmp_path / "certs/broker.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certs/other.pem"))
        with inbox_from(sender, url=url) as inbox, pytest.raises(AssertionError):
            until(lambda: inbox.take() is not None, 2.5)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certs/ca.pem"))
        with inbox_from(sender, url=url) as inbox:
            assert brought(inbox).packed == pack_head(head)
        server.shutdown()


def test_a_url_without_tls_is_no_url() -> None:
    with pytest.raises(ValueError, match="url"):
        HeadsConfig(url="http://example.org")


def said(fleet: Fleet, device: str, **messages: object) -> None:
    for kind, content in messages.items():
        text = content if isinstance(content, str) else json.dumps(content)
        fleet.message(f"edge/{device}/{kind}", text.encode())


def test_a_row_says_how_a_recorder_does() -> None:
    fleet = Fleet("edge")
    seen = (NOW - timedelta(minutes=2)).isoformat()
    said(
        fleet,
        "pond",
        status="online",
        info={"version": "1.2", "bundle": "b" * 64, "head": {"digest": "c" * 64, "trial": True}},
        health={"time_utc": seen, "dead": False, "stuck": True, "rms_dbfs": -40.0},
        state={"outbox_messages": 7, "outbox_bytes": 900, "disk_free_bytes": 5_000_000_000},
    )
    (row,) = fleet.rows(NOW)
    assert (row["device"], row["status"], row["version"]) == ("pond", "online", "1.2")
    assert (row["head"], row["on_trial"], row["listening"]) == ("c" * 64, True, True)
    assert (row["microphone"], row["outbox_messages"]) == ("stuck", 7)
    (later,) = fleet.rows(NOW + timedelta(minutes=5))
    assert later["listening"] is False
    said(fleet, "pond", status="offline")
    assert fleet.rows(NOW)[0]["listening"] is False
    text = _shown(fleet)
    for shown in ("pond", "offline", "stuck", "cccccccc (on trial)", "2 min ago", "5.0 GB", "NO"):
        assert shown in text


def _shown(fleet: Fleet) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(fleet_table(fleet.rows(NOW), NOW))
    console.file.close()
    return console.export_text()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
)
KNOWN = st.sampled_from(("time_utc", "head", "last", "digest", "outbox_messages", "version"))


@given(
    kind=st.sampled_from((*TOPICS, "other")),
    content=st.dictionaries(KNOWN, ANYTHING) | ANYTHING,
    raw=st.binary(max_size=40),
)
def test_whatever_a_recorder_says_is_no_more_than_shown(
    kind: str, content: object, raw: bytes
) -> None:
    fleet = Fleet("edge")
    fleet.message("edge/a/status", b"\x1b[2Jonline")
    fleet.message(f"edge/a/{kind}", json.dumps(content).encode())
    fleet.message(f"edge/b/{kind}", raw)
    fleet.message("edge/x/y/z", raw)
    json.dumps(fleet.rows(NOW), allow_nan=False)
    assert "\x1b[2J" not in _shown(fleet)


@pytest.mark.broker
def test_the_fleet_as_json_is_what_is_retained(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", mortal=False) as broker:
        result = run("fleet", "--json", "--broker", f"127.0.0.1:{broker.port}")
        assert (result.exit_code, json.loads(result.stdout)) == (0, [])
        table = run("fleet", "--broker", f"127.0.0.1:{broker.port}")
        assert "0 recorders, 0 online" in table.stdout


@pytest.mark.broker
def test_on_a_terminal_the_table_stays_and_shows_what_changes(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with Broker(tmp_path / "broker", mortal=False) as broker, Subscriber(broker.port) as other:
        other.publish("edge/pond/status", b"online", retain=True)
        command = [sys.executable, "-m", "deploy.cli", "fleet", "--broker"]
        with subprocess.Popen(
            [*command, f"127.0.0.1:{broker.port}"], cwd=ROOT, stdout=slave, stderr=slave
        ) as shown:
            os.close(slave)
            _read_until(master, b"pond")
            other.publish("edge/meadow/status", b"offline", retain=True)
            _read_until(master, b"meadow")
            shown.send_signal(signal.SIGINT)
            assert shown.wait(20) == 0
    os.close(master)


def _read_until(descriptor: int, text: bytes) -> None:
    found, end_s = b"", time.monotonic() + 30
    while text not in found:
        assert time.monotonic() < end_s, found
        found += os.read(descriptor, 4096)


@pytest.mark.broker
def test_a_recorder_that_takes_no_heads_is_named(
    tmp_path: Path, sender: Sender, head: Bundle
) -> None:
    with Broker(tmp_path / "broker", mortal=False) as broker, Subscriber(broker.port) as other:
        for device, said in (("old", b"{}"), ("deaf", b'{"version": "1"}')):
            other.publish(f"edge/{device}/info", said, retain=True)
        where = ("--broker", f"127.0.0.1:{broker.port}", "--key", sender.key.private)
        result = run("send", head.path, *where, "--all", "--to", "x", "--wait", 0.1)
        assert result.exit_code == 2
        result = run("send", head.path, *where, "--to", "deaf", "--to", "away", "--wait", 0.1)
        assert "deaf: takes no heads" in result.stdout
        assert "away: has not answered yet" in result.stdout
        assert "away: has not announced itself" in result.stderr
        assert "edge/away/command/head" in {topic for topic, *_ in other.messages}
