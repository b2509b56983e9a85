"""`edge check` opens the store and the page of metrics as `edge run` does, and changes neither."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.config.config import Config, load_config
from edge.errors import ConfigError
from edge.recorder.check_places import page, store_file
from edge.recorder.daemon import Daemon
from edge.store.store import Store
from tests.support.broker import free_port
from tests.support.bundles import tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

ROOT = Path(__file__).resolve().parents[3]


def configured(folder: Path, bundle: Bundle, **metrics: object) -> Config:
    return load_config(write_config(folder, bundle.path, metrics={"port": free_port(), **metrics}))


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, bundle: Bundle) -> None:
    config = configured(tmp_path, bundle)
    before = sorted(tmp_path.iterdir())
    assert store_file(config).endswith("made at the first start")
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_is_looked_through_and_left_alone(tmp_path: Path, bundle: Bundle) -> None:
    config = configured(tmp_path, bundle)
    Store(config.store.path, outbox_bytes=10**6, history_bytes=10**6).close()
    before = config.store.path.read_bytes()
    assert store_file(config).endswith("whole")
    assert config.store.path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no database" * 100, "is damaged"),
        (b"SQLite format 3\0" + bytes(200), "is damaged"),
    ],
)
def test_a_damaged_store_is_told(
    tmp_path: Path, bundle: Bundle, content: bytes, fault: str
) -> None:
    config = configured(tmp_path, bundle)
    config.store.path.write_bytes(content)
    with pytest.raises(ConfigError, match=fault) as caught:
        store_file(config)
    assert caught.value.fault.key == "store.path"
    assert config.store.path.read_bytes() == content


def test_a_port_that_another_program_has_is_a_fault(tmp_path: Path, bundle: Bundle) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        config = configured(tmp_path, bundle, port=other.getsockname()[1])
        with pytest.raises(ConfigError, match="in use") as caught:
            page(config)
        assert caught.value.fault.key == "metrics.port"


def test_an_address_of_nobody_is_a_fault(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ConfigError) as caught:
        page(configured(tmp_path, bundle, address="192.0.2.77"))
    assert caught.value.fault.key == "metrics.address"


def test_what_the_recorder_that_runs_has_open_is_in_order(tmp_path: Path, bundle: Bundle) -> None:
    config = configured(tmp_path, bundle)
    audio = RealTimeAudio(tone(300, 2))
    daemon = Daemon(tmp_path / "edge.yaml", audio=audio, deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: audio.opened)
        until(lambda: "can be had" not in page(config))
        assert "in use by the process" in store_file(config)
        assert "answered by the process" in page(config)


def test_a_second_recorder_on_a_store_says_who_has_it_and_ends(
    tmp_path: Path, bundle: Bundle
) -> None:
    configured(tmp_path, bundle)
    audio = RealTimeAudio(tone(300, 2))
    daemon = Daemon(tmp_path / "edge.yaml", audio=audio, deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: audio.opened)
        command = [sys.executable, "-m", "edge.cli", "run", "--config", str(tmp_path / "edge.yaml")]
        second = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode != 0
    (line,) = second.stderr.splitlines()
    assert "is in use by the process " in line
    assert str(tmp_path / "edge.db") in line
