"""The page of metrics: it comes when it can, and nobody who says nothing silences it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Gauge

from edge.backoff import Backoff
from edge.config.sections import MetricsConfig
from edge.recorder import metrics_server
from edge.recorder.metrics_server import MetricsServer
from tests.support.broker import free_port, unexpected
from tests.support.daemons import until


@contextmanager
def serving(config: MetricsConfig, **limits: float) -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    Gauge("edge_example", "A number.", registry=registry).set(7)
    quick = Backoff(first_s=0.05, longest_s=0.1)
    server = MetricsServer(registry, config, died=unexpected, backoff=quick, **limits)
    try:
        yield server
    finally:
        server.close()


def page(port: int | None) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: bytes = answer.read()
    return text


def any_port() -> MetricsConfig:
    """Port 0, which nobody may configure, is one that is free."""
    return MetricsConfig.model_construct(port=0)


def test_served_on_the_loopback_only() -> None:
    with serving(any_port()) as server:
        assert server.wait_until_open(10)
        assert b"edge_example 7.0" in page(server.port)
        assert server._server is not None
        assert server._server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_tried_again_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with serving(MetricsConfig(port=port)) as server:
            until(lambda: caplog.messages)
            time.sleep(0.5)
            assert server.port is None
            other.close()
            assert server.wait_until_open(10)
            assert b"edge_example 7.0" in page(port)
    told = [text for text in caplog.messages if "cannot answer" in text]
    assert told == [f"metrics: cannot answer on 127.0.0.1:{port}: {told[0].split(': ')[2]}"]
    assert "in use" in told[0]


@pytest.mark.parametrize("address", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_that_is_not_there_keeps_nobody_waiting(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    began_s = time.monotonic()
    with serving(MetricsConfig(address=address, port=free_port())) as server:
        assert time.monotonic() - began_s < 1  # it is looked up in the background
        until(lambda: caplog.messages, 30)
        assert address in caplog.text
        assert server.port is None
    assert time.monotonic() - began_s < 33


def test_a_hundred_clients_who_say_nothing_silence_nobody() -> None:
    with serving(any_port()) as server, ExitStack() as idle:
        assert server.wait_until_open(10)
        for _ in range(100):
            idle.enter_context(closing(socket.create_connection(("127.0.0.1", server.port or 0))))
        assert b"edge_example 7.0" in page(server.port)
        assert sum("process_request" in t.name for t in threading.enumerate()) <= 2 + (
            metrics_server.MOST_CLIENTS
        )


def test_a_client_who_says_nothing_is_hung_up_on() -> None:
    with serving(any_port(), idle_s=0.3) as server:
        assert server.wait_until_open(10)
        with closing(socket.create_connection(("127.0.0.1", server.port or 0), 10)) as mute:
            assert mute.recv(1) == b""


def test_a_client_who_says_little_is_hung_up_on() -> None:
    with serving(any_port(), whole_s=0.5) as server:
        assert server.wait_until_open(10)
        with closing(socket.create_connection(("127.0.0.1", server.port or 0), 10)) as slow:
            slow.settimeout(0.1)
            assert dripped(slow, seconds=5) < 5


def dripped(client: socket.socket, *, seconds: float) -> float:
    """Send a letter now and then; for how long that went well, `seconds` at most."""
    began_s = time.monotonic()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() - began_s < seconds:
            client.sendall(b"G")
            time.sleep(0.1)
    return time.monotonic() - began_s


def test_the_page_whose_thread_dies_says_so() -> None:
    def bug() -> None:
        raise MemoryError("no thread can be had")

    reasons: list[BaseException] = []
    server = MetricsServer(CollectorRegistry(), any_port(), died=reasons.append)
    assert server.wait_until_open(10)
    assert server._server is not None
    server._server.service_actions = bug  # type: ignore[method-assign]
    until(lambda: bool(reasons))
    until(lambda: not server._thread.alive)
    assert str(reasons[0]) == "no thread can be had"
    server.close()


def test_a_request_that_fails_is_no_traceback_and_the_next_is_answered(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(any_port()) as server:
        assert server.wait_until_open(10)
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port or 0)) as client:
                hurried = struct.pack("ii", 1, 0)  # the connection is reset, not ended
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hurried)
                client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 50)
        assert b"edge_example" in page(server.port)
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []
    assert "Traceback" not in capsys.readouterr().err
