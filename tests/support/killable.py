"""Recorders that are killed with -9, each a process of its own.

They start in milliseconds, from a parent that has imported everything.

    python -m tests.support.killable store DATABASE PORT
    python -m tests.support.killable daemon CONFIG

reads a number on standard input, forks a recorder, says `pid N` and `dead` when somebody has killed
it; then reads the next number. The first kind is a store and a sink: it stores events from that
number on and says each number whose event is stored. The second is the whole daemon, on a sound
card that plays all it knows. Only the child opens anything, and the parent has no threads, so the
fork is as good as a start.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.store.store import Store
from tests.support.audio import noise
from tests.support.broker import unexpected
from tests.support.bundles import SPEC, tone
from tests.support.daemons import RealTimeAudio
from tests.support.far_ends import quick_sink
from tests.support.store import SYNCED, payload

__all__ = ["STATES", "Killable"]

ROOT = Path(__file__).resolve().parents[2]
STATES = ("new", "update", "end")
OUTBOX = 10**8
DIES_BY_ITSELF_S = 30.0  # when the test that should kill it is no more


class Killable:
    """Runs one recorder after another on the same database.

    `stored` is the number of events that were stored whole.
    """

    def __init__(self, *arguments: str) -> None:
        self.stored = 0
        command = [sys.executable, "-m", "tests.support.killable", *arguments]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._parent = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Killable:
        return self

    def __exit__(self, *exc: object) -> None:
        os.killpg(self._parent.pid, signal.SIGKILL)
        self._parent.communicate()

    @contextmanager
    def living(self) -> Iterator[None]:
        """A recorder at work in the block, killed at its end."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{self.stored}\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline().removeprefix("pid "))
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            for line in self._parent.stdout:
                if line == "dead\n":
                    break
                if line.strip():
                    self.stored = max(self.stored, int(line) + 1)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # in one piece, whoever else writes there


def _record(database: Path, port: int, first: int) -> None:
    dice, began_s = random.Random(first), time.monotonic()
    with Store(database, outbox_bytes=OUTBOX, history_bytes=OUTBOX) as store:
        quick_sink(port, store, unexpected).start()
        number = first
        while time.monotonic() - began_s < DIES_BY_ITSELF_S:
            for state in STATES:
                store.record(payload(number, state=state), dating=SYNCED)
            _say(str(number))
            number += 1
            time.sleep(dice.uniform(0.0, 0.02))


def _daemon(config: Path) -> None:
    signal.alarm(round(DIES_BY_ITSELF_S))
    rate_hz = SPEC.sample_rate_hz
    sounds = (tone(300, 0.5), tone(1000, 0.5), tone(3000, 0.5), noise(0.5, rate_hz))
    played = np.concatenate(
        [part for sound in sounds for part in (sound, np.zeros(rate_hz // 2, np.float32))]
    )
    # Each life is short, and begins somewhere else.
    audio = RealTimeAudio(np.roll(played, random.Random(os.getpid()).randrange(len(played))))
    Daemon(config, audio=audio, deliveries=deliveries).run()


def main() -> None:
    """See the module."""
    kind, *arguments = sys.argv[1:]
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _say(f"pid {os.getpid()}")
                if kind == "store":
                    _record(Path(arguments[0]), int(arguments[1]), int(line))
                else:
                    _daemon(Path(arguments[0]))
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
        _say("\ndead")  # on a line of its own, also when the last words were cut off


if __name__ == "__main__":
    main()
