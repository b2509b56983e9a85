"""A simulated fleet: many recorders on one mosquitto, and one head that reaches all of them.

    python -m tests.support.simulated_fleet --recorders 1000

It waits until all have announced themselves, and sends a head as `edge-deploy send --all` does.
When a part has taken it, the broker is restarted, and the recorders of one process are killed with
-9 and begin again. In the end each of them runs the head, has taken it once, and is heard.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.broker import connected
from deploy.fleet.recorders import Fleet
from edge.bundle import Bundle, load_bundle
from edge.bundle.packed import pack_head
from edge.bundle.signing import sign_bundle
from edge.config.sections import MqttConfig
from edge.files import make_folder
from edge.models import default_bundle_path
from tests.support.broker import Broker, until
from tests.support.heads import tiny_head
from tests.support.keys import KeyPair, key_pair
from tests.support.sent import STUDY

__all__ = ["Figures", "simulate"]

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 600.0
PER_PROCESS = 100  # so that each has fewer than the 1,024 files of select(2)


@dataclass
class Figures:
    """What was measured, in seconds since the recorders were started or the head was sent."""

    recorders: int
    head_kb: float
    announced_s: float = 0.0
    sent_s: float = 0.0
    half_s: float = 0.0
    all_s: float = 0.0
    restarted_at: int = 0
    killed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    running: int = 0
    heard: int = 0
    broker_mb: float = 0.0

    def lines(self) -> Iterator[str]:
        """Yield them for a person."""
        once = sum(count == 1 for count in self.taken.values())
        yield f"recorders  {self.recorders}, all announced after {self.announced_s:.0f} s"
        yield f"head       {self.head_kb:.0f} kB, on the broker after {self.sent_s:.1f} s"
        yield f"half       of the recorders use it after {self.half_s:.0f} s"
        yield f"all        use it after {self.all_s:.0f} s"
        yield f"trouble    broker restarted when {self.restarted_at} used it, then "
        yield f"           {self.killed} recorders killed and started again"
        yield f"in the end {self.running} use it, {self.heard} are heard with it"
        yield f"taken      once by {once}, more often by {len(self.taken) - once}"
        yield f"answers    {dict(self.answers)}; the broker takes {self.broker_mb:.0f} MB"


class Workers:
    """The processes of the recorders, and what they say."""

    def __init__(self, folder: Path, port: int, trunk: Bundle, key: KeyPair) -> None:
        self._arguments = [str(folder), str(port), str(trunk.path), key.text]
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self.started = 0
        self.taken: Counter[str] = Counter()
        self.counts: dict[str, dict[str, int]] = {}

    def start(self, first: int, count: int) -> None:
        command = [sys.executable, "-m", "tests.support.simulated_recorders", *self._arguments]
        process = subprocess.Popen(
            [*command, str(first), str(count)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes[first] = process
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                self.started += said.get("started", 0)
                self.counts |= said.get("counts", {})
                if "taken" in said:
                    self.taken[said["device"]] += 1

    def kill(self, first: int) -> None:
        process = self._processes.pop(first)
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def end(self) -> None:
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes.values():
            process.wait(60)
        for reader in self._readers:
            reader.join(10)


@contextmanager
def working(workers: Workers) -> Iterator[Workers]:
    try:
        yield workers
    finally:
        workers.end()


def made(folder: Path, size_kb: float) -> tuple[KeyPair, Bundle, Bundle]:
    """Return a key, the signed default as a trunk, and a signed head of about that size on it."""
    key = key_pair(folder)
    trunk = folder / "trunk"
    make_folder(trunk)
    for file in default_bundle_path().iterdir():
        (trunk / file.name).write_bytes(file.read_bytes())
    sign_bundle(trunk, key.private)
    dice = np.random.default_rng(0)
    loaded = load_bundle(trunk)
    card = dice.bytes(round(size_kb * 1000 - 10_000) // 2).hex()
    weights = dice.normal(0, 1e-3, (len(loaded.golden.embedding), 1)).astype(np.float32)
    head = tiny_head(folder / "head", loaded, {STUDY: 0}, card=card, weights=weights)
    word = f"{trunk}+{head.path}"
    sign_bundle(Path(word), key.private)
    return key, loaded, load_bundle(word)


def simulate(folder: Path, *, recorders: int, per_process: int, head_kb: float) -> Figures:
    """Let a fleet live, and return what became of it."""
    key, trunk, head = made(folder, head_kb)
    figures = Figures(recorders=recorders, head_kb=len(pack_head(head)) / 1000)
    fleet = Fleet("edge")
    heard: set[str] = set()

    def message(topic: str, payload: bytes) -> None:
        fleet.message(topic, payload)
        parts = topic.split("/")
        if parts[2:3] == ["detection"] and json.loads(payload)["bundle"] == head.digest:
            heard.add(parts[1])

    with ExitStack() as parts:
        broker = parts.enter_context(Broker(folder / "broker", mortal=False))
        workers = parts.enter_context(working(Workers(folder, broker.port, trunk, key)))
        settings = MqttConfig(host="127.0.0.1", port=broker.port)
        watching = parts.enter_context(connected(settings, message))
        watching.subscribe(*fleet.topics, "edge/+/detection/#")
        began_s = time.monotonic()
        for first in range(0, recorders, per_process):
            workers.start(first, min(per_process, recorders - first))
        assert until(lambda: len(fleet.heads()) == recorders, LONGEST_S), workers.started
        figures.announced_s = time.monotonic() - began_s
        _send(figures, head, key, broker, workers, fleet, per_process)
        assert until(lambda: len(heard) == recorders, LONGEST_S), len(heard)
        figures.heard = len(heard)
        rows = fleet.rows()
        figures.running = sum(
            row["head"] == head.digest and row["status"] == "online" for row in rows
        )
        figures.broker_mb = broker.resident_mb
    figures.taken = Counter({name: counts["taken"] for name, counts in workers.counts.items()})
    for name in workers.taken:  # also by those that were killed
        figures.taken[name] = max(figures.taken[name], workers.taken[name])
    return figures


def _send(
    figures: Figures,
    head: Bundle,
    key: KeyPair,
    broker: Broker,
    workers: Workers,
    fleet: Fleet,
    per_process: int,
) -> None:
    """Send the head, and make trouble meanwhile."""
    began_s = time.monotonic()

    def running() -> int:
        return sum(said.get("digest") == head.digest for said in fleet.heads().values())

    where = ["--broker", f"127.0.0.1:{broker.port}", "--all", "--wait", str(LONGEST_S)]
    command = [
        sys.executable,
        "-m",
        "deploy.cli",
        "send",
        str(head.path),
        "--key",
        str(key.private),
    ]
    with subprocess.Popen(
        [*command, *where],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as sending:
        assert sending.stderr is not None
        assert sending.stdout is not None
        line = sending.stderr.readline()
        assert "sent to" in line, line
        figures.sent_s = time.monotonic() - began_s
        assert until(lambda: running() >= figures.recorders // 4, LONGEST_S)
        figures.restarted_at = running()
        broker.restart()
        workers.kill(0)
        figures.killed = min(per_process, figures.recorders)
        workers.start(0, figures.killed)
        assert until(lambda: running() >= figures.recorders // 2, LONGEST_S)
        figures.half_s = time.monotonic() - began_s
        assert until(lambda: running() == figures.recorders, LONGEST_S), running()
        figures.all_s = time.monotonic() - began_s
        for line in sending.stdout:
            figures.answers[line.strip().partition(": ")[2]] += 1
        assert sending.wait() == 0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--recorders", type=int, default=1000)
    parser.add_argument("--head-kb", type=float, default=390.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = simulate(
            Path(folder), recorders=given.recorders, per_process=PER_PROCESS, head_kb=given.head_kb
        )
    for line in figures.lines():
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
