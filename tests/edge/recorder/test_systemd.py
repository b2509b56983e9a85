"""What the service manager is told, read from a real socket."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import timezone
from pathlib import Path

import pytest

from edge.recorder.status import StatusLine
from edge.recorder.systemd import Notifier
from tests.edge.store.stores import open_store
from tests.support.heard import NOW, fill


class Manager:
    """The other end: a datagram socket as systemd's."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_ready_is_said_once(manager: Manager, tmp_path: Path) -> None:
    notifier = Notifier(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.ready()
    notifier.ready()
    notifier.reloaded("two\nlines")
    notifier.stopping()
    notifier.close()
    assert manager.received() == ["READY=1", "READY=1\nSTATUS=two lines", "STOPPING=1"]


def test_the_watchdog_is_fed_by_progress_alone(manager: Manager, tmp_path: Path) -> None:
    now = [0.0]
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000000"}
    notifier = Notifier(environ=environ, monotonic_s=lambda: now[0])
    notifier.ready()
    notifier.reloaded("as before")
    assert "WATCHDOG=1" not in manager.received()
    for second in range(100):
        now[0] = float(second)
        notifier.progress()
    assert manager.received() == ["WATCHDOG=1"] * 10
    notifier.close()


def test_a_reload_ends_in_ready_only_where_it_was_ready(manager: Manager, tmp_path: Path) -> None:
    notifier = Notifier(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.reloaded("kept the old configuration")
    notifier.ready()
    notifier.reloading()
    notifier.reloaded("new configuration")
    notifier.close()
    received = manager.received()
    assert received[:2] == ["STATUS=kept the old configuration", "READY=1"]
    assert received[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert received[3] == "READY=1\nSTATUS=new configuration"


def test_an_abstract_socket() -> None:
    manager = Manager("\0edge-test-notify")
    notifier = Notifier(environ={"NOTIFY_SOCKET": "@edge-test-notify"})
    notifier.ready()
    notifier.close()
    assert manager.received() == ["READY=1"]
    manager.close()


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/nonexistent/notify"}, {"NOTIFY_SOCKET": ""}]
)
def test_nobody_listening_is_no_fault(environ: dict[str, str]) -> None:
    notifier = Notifier(environ=environ)
    notifier.ready()
    notifier.progress()
    notifier.close()
    notifier.stopping()


def test_the_line_says_what_the_store_knows_and_no_more_often_than_is_read(
    manager: Manager, tmp_path: Path
) -> None:
    notifier = Notifier(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    now = [0.0]
    with open_store(tmp_path / "edge.db") as store:
        line = StatusLine(
            notifier, store, zone=timezone.utc, now=lambda: NOW, monotonic_s=lambda: now[0]
        )
        line.tell()
        fill(store, tmp_path, now=NOW, days=1, clips=0)
        line.tell()
        now[0] = 10.0
        line.tell()
    first, second = manager.received()
    assert first == "STATUS=has not listened yet"
    assert re.fullmatch(
        r"STATUS=listens since 2026-05-03 00:00 UTC, microphone -4\d dBFS, today \d+ events of 6 "
        r"species, \d+ to send, last .+ at 2026-05-03 \d\d:\d\d",
        second,
    )
    notifier.close()
