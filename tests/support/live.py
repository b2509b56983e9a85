"""`edge run` as a person starts it: a process of its own, with a service manager's socket, metrics
and a store to look into.
"""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle
from tests.support.daemons import until, write_config
from tests.support.soundserver import DEVICE

__all__ = ["LiveRecorder", "edge", "live_config", "live_recorder"]

ROOT = Path(__file__).resolve().parent.parent.parent
FATES = ("heard", "lost", "gated", "dropped", "private")  # within a stream


def live_config(folder: Path, **sections: object) -> Path:
    """The microphone of `soundserver`, metrics on a free port and the tiny bundle, but for what
    `sections` say.
    """
    bundle = folder / "bundle"
    if not bundle.exists():
        tiny_bundle(bundle)
    metrics = {"enabled": True, "address": "127.0.0.1", "port": free_port()}
    return write_config(
        folder, bundle, **{"audio": {"device": DEVICE}, "metrics": metrics, **sections}
    )


def edge(*arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A command of the program, to its end."""
    command = [sys.executable, "-m", "edge.cli", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


@dataclass(kw_only=True)
class LiveRecorder:
    """A running recorder. `folder` holds its configuration and store; `notify` is where a service
    manager would listen.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    notify: socket.socket
    port: int

    @property
    def log(self) -> str:
        """What a person would see on the terminal."""
        return (self.folder / "stderr").read_text()

    def ready(self, seconds: float) -> float:
        """Wait for READY=1; the monotonic time when it came."""
        self.notify.settimeout(seconds)
        while b"READY=1" not in self.notify.recv(4096):
            pass
        return time.monotonic()

    def audio_s(self, *fates: str) -> float:
        """Seconds of audio with these fates up to now, by the metrics page; 0 while there is no
        page yet.
        """
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/metrics", timeout=10
            ) as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return 0.0
        wanted = [f'edge_audio_seconds_total{{fate="{fate}"}} ' for fate in fates]
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith(tuple(wanted))
        )

    def wait_for_audio(self, seconds: float = 60.0) -> None:
        """Until more has arrived and been judged than at the time of the call."""
        before_s = self.audio_s("heard", "gated")
        until(lambda: self.audio_s("heard", "gated") > before_s, seconds)

    def stop(self) -> float:
        """As systemd does; the monotonic time at which it was told to."""
        told_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log
        return told_s

    def ledger(self) -> list[dict[str, float]]:
        """Rows of the effort ledger, in order: start_sample, end_sample, sample_rate_hz, and
        seconds by fate.
        """
        columns = ["start_sample", "end_sample", "sample_rate_hz", *(f"{fate}_s" for fate in FATES)]
        rows = self._ask(f"SELECT {', '.join(columns)} FROM effort ORDER BY start_sample")
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def total_s(self, *fates: str) -> float:
        """Seconds in the ledger."""
        return sum(row[f"{fate}_s"] for row in self.ledger() for fate in fates or FATES)

    def detections(self, state: str = "end") -> list[dict[str, Any]]:
        """Payloads of the detections, oldest first."""
        rows = self._ask(
            "SELECT payload FROM detections WHERE state = ? ORDER BY start_sample, number", state
        )
        return [json.loads(payload) for (payload,) in rows]

    def _ask(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.folder / 'edge.db'}?mode=ro", uri=True)) as db:
            return db.execute(query, values).fetchall()


@contextmanager
def live_recorder(
    folder: Path, *, environ: Mapping[str, str], **sections: object
) -> Iterator[LiveRecorder]:
    """Start one in `folder`; killed at the end when it has not been stopped."""
    config = live_config(folder, **sections)
    port = yaml.safe_load(config.read_text(encoding="utf-8"))["metrics"]["port"]
    # short, as the path of a socket has to be
    address = Path(tempfile.mkdtemp(prefix="edge-notify-"), "socket")
    with (
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notify,
        (folder / "stderr").open("wb") as errors,
    ):
        notify.bind(str(address))
        command = [sys.executable, "-m", "edge.cli", "run", "--config", str(config)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environ, "NOTIFY_SOCKET": str(address)},
            stdout=errors,
            stderr=errors,
        )
        try:
            yield LiveRecorder(process=process, folder=folder, notify=notify, port=port)
        finally:
            process.kill()
            process.wait()
            address.unlink()
            address.parent.rmdir()
