"""A recorder among all its troubles at once: `make chaos` runs it for ten minutes.

    python -m tests.support.chaos --minutes 10 --seed 1

The recorder is the real one, at a hop of 0.25 s, on a PulseAudio null sink that plays, with a
mosquitto and a small disk. At random it is killed with -9, stopped and reloaded; the broker and the
sound server are killed and frozen; the disk is filled and freed; the wall clock is stepped, by a
file that the recorder's clock reads. Somebody starts it again when it is gone, as systemd would.
In the end it is looked through: see `tests.support.chaos_audit`.
"""

from __future__ import annotations

import argparse
import heapq
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.audio import noise, write_audio
from tests.support.broker import Broker, Subscriber
from tests.support.bundles import tiny_bundle, tone
from tests.support.chaos_audit import Audit, audit
from tests.support.daemons import until, write_config
from tests.support.disk import fill, small_disk
from tests.support.soundserver import DEVICE, RATE_HZ, SoundServer, sound_server

__all__ = ["Outcome", "chaos"]

ROOT = Path(__file__).resolve().parents[2]
AWAY_S = (0.5, 5.0)  # for how long a server is gone or frozen
FULL_S = (3.0, 12.0)  # and a disk is full
BETWEEN_S = (1.5, 6.0)  # from one trouble to the next
RESTART_S = 0.5
SETTLE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the audit found, which troubles there were, and the memory of each life in MB."""

    audit: Audit
    troubles: Counter[str]
    memory_mb: list[float]
    faults: list[str]


class Keeper(threading.Thread):
    """Starts the recorder whenever it is gone, and looks at its memory twice a second."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path) -> None:
        super().__init__(daemon=True)
        self.lives = 0
        self.unasked: list[int] = []  # exit statuses of those who went by themselves
        self.memory_mb: list[float] = []
        self._command, self._environ, self._log = command, environ, log
        self._asked = self._done = False
        self._using = threading.Lock()
        self._process = self._new_process()
        self.start()

    def run(self) -> None:
        while not self._done:
            with self._using:
                status = self._process.poll()
                if status is not None and not self._done:
                    if not self._asked:
                        self.unasked.append(status)
                    time.sleep(RESTART_S)
                    self._process = self._new_process()
            self._weigh()
            time.sleep(0.5)

    def send(self, number: signal.Signals) -> None:
        with self._using:
            self._asked |= number != signal.SIGHUP
            self._process.send_signal(number)
            if number != signal.SIGHUP:
                self._process.wait(30)

    def end(self) -> None:
        """Stop it for good, as systemd does."""
        with self._using:
            self._done = self._asked = True
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
        self.join()

    def _new_process(self) -> subprocess.Popen[bytes]:
        self._asked = False
        self.lives += 1
        self.memory_mb.append(0.0)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )

    def _weigh(self) -> None:
        try:
            statm = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
            self.memory_mb[-1] = max(self.memory_mb[-1], int(statm.split()[1]) * 4096 / 1e6)
        except (OSError, IndexError):
            return


class Player(threading.Thread):
    """Plays a file over and over, also into a server that was started anew."""

    def __init__(self, server: SoundServer, wav: Path) -> None:
        super().__init__(daemon=True)
        self._server, self._wav = server, wav
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._done.is_set():
            with self._server.play(self._wav) as player:
                while player.poll() is None and not self._done.wait(0.2):
                    pass
                player.kill()
            self._done.wait(0.1)

    def end(self) -> None:
        self._done.set()
        self.join()


class World:
    """Everything around a recorder, and what can happen to it. Each trouble undoes itself."""

    def __init__(self, folder: Path, parts: ExitStack, dice: random.Random) -> None:
        self._dice = dice
        self._undo: list[tuple[float, int, Callable[[], None]]] = []
        self._busy: set[str] = set()
        self._deck: list[str] = []
        self.troubles = Counter[str]()
        self.disk = parts.enter_context(small_disk(folder / "disk", megabytes=64))
        self.broker = parts.enter_context(Broker(folder / "broker"))
        self.server = parts.enter_context(sound_server())
        self.server.start()
        self.subscriber = parts.enter_context(Subscriber(self.broker.port))
        self._folder, self._bundle = folder, tiny_bundle(folder / "bundle")
        self._shift = folder / "shift"
        self._step_clock(0.0)
        self._configure(1.0)
        wav = write_audio(folder / "sound.wav", _sounds(), RATE_HZ)
        self._player = Player(self.server, Path(wav))
        parts.callback(self._player.end)
        command = [sys.executable, "-m", "tests.support.chaos_process"]
        command += ["--config", str(folder / "edge.yaml"), "--shift", str(self._shift)]
        self.keeper = Keeper(command, self.server.environ, folder / "log")

    def trouble(self) -> None:
        """Make one of the troubles that are not there already, if there is one."""
        kinds: dict[str, Callable[[], None]] = {
            "recorder killed": lambda: self.keeper.send(signal.SIGKILL),
            "recorder stopped": lambda: self.keeper.send(signal.SIGTERM),
            "recorder reloaded": self._reload,
            "broker killed": lambda: self._away("broker", self.broker.kill, self.broker.start),
            "broker frozen": lambda: self._away("broker", self.broker.freeze, self.broker.thaw),
            "sound killed": lambda: self._away("sound", self.server.kill, self.server.start),
            "sound frozen": lambda: self._away("sound", self.server.freeze, self.server.thaw),
            "disk filled": self._fill,
            "clock stepped": lambda: self._step_clock(self._dice.uniform(-1e5, 1e5)),
        }
        possible = [kind for kind in self._deck if kind.partition(" ")[0] not in self._busy]
        if not possible:  # as cards are dealt: each comes before one comes again
            self._deck += self._dice.sample(list(kinds), len(kinds))
            return
        kind = possible[0]
        self._deck.remove(kind)
        self.troubles[kind] += 1
        kinds[kind]()

    def mend(self, *, all_of_it: bool = False) -> None:
        """Undo what has lasted long enough."""
        while self._undo and (all_of_it or self._undo[0][0] <= time.monotonic()):
            heapq.heappop(self._undo)[2]()

    def _away(self, what: str, break_it: Callable[[], None], mend: Callable[[], None]) -> None:
        break_it()
        self._later(what, self._dice.uniform(*AWAY_S), mend)

    def _fill(self) -> None:
        neighbour = fill(self.disk)
        self._later("disk", self._dice.uniform(*FULL_S), neighbour.unlink)

    def _later(self, what: str, wait_s: float, mend: Callable[[], None]) -> None:
        self._busy.add(what)

        def undo() -> None:
            mend()
            self._busy.discard(what)

        heapq.heappush(self._undo, (time.monotonic() + wait_s, len(self._undo), undo))

    def _reload(self) -> None:
        self._configure(self._dice.choice([0.5, 1.0, 2.0]))
        self.keeper.send(signal.SIGHUP)

    def _step_clock(self, shift_s: float) -> None:
        new = self._shift.with_suffix(".new")
        new.write_text(f"{shift_s}")
        new.replace(self._shift)

    def _configure(self, update_s: float) -> None:
        write_config(
            self._folder,
            self._bundle.path,
            audio={"device": DEVICE},
            model={"bundle": str(self._bundle.path), "hop_s": 0.25},
            tracker={"cooldown_s": 0.5, "longest_s": 5.0, "update_s": update_s},
            store={"path": str(self.disk / "edge.db"), "ballast_mb": 4.0},
            clips={"folder": str(self.disk / "clips"), "reserve_mb": 1.0, "budget_mb": 16.0},
            mqtt={"host": "127.0.0.1", "port": self.broker.port, "wait_for_sync_s": 0.0},
        )


def _sounds() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    sounds = (tone(300, 1.5, RATE_HZ), tone(1000, 2.0, RATE_HZ), tone(3000, 1.5, RATE_HZ))
    quiet = noise(1.2, RATE_HZ, level=0.001)
    parts = [part for sound in (*sounds, noise(1.5, RATE_HZ)) for part in (sound, quiet)]
    return np.concatenate(parts).astype(np.float32)


def chaos(folder: Path, *, minutes: float, seed: int) -> Outcome:
    """Let a recorder live through `minutes` of troubles in `folder`, and look it through."""
    dice = random.Random(seed)
    with ExitStack() as parts:
        world = World(folder, parts, dice)
        log = folder / "log"
        until(lambda: "listening to" in log.read_text(), 60)
        began_s = time.monotonic()
        time.sleep(2)
        while time.monotonic() - began_s < 60 * minutes:
            world.trouble()
            until_s = time.monotonic() + dice.uniform(*BETWEEN_S)
            while time.monotonic() < until_s:
                world.mend()
                time.sleep(0.05)
        world.mend(all_of_it=True)
        until(lambda: world.subscriber.connected, SETTLE_S)
        time.sleep(8)
        elapsed_s = time.monotonic() - began_s  # what it hears while it stops is not asked for
        world.keeper.end()
        until(lambda: world.subscriber.said("edge/pond/status")[-1:] == ["stopped"], SETTLE_S)
        found = audit(
            world.disk / "edge.db",
            world.disk / "clips",
            world.subscriber.detections("pond"),
            elapsed_s=elapsed_s,
        )
        faults = [*found.faults]
        if world.keeper.unasked:
            faults.append(f"the recorder went by itself: {world.keeper.unasked}")
        if "Traceback" in log.read_text():
            faults.append("the log has a traceback")
        return Outcome(
            audit=found,
            troubles=world.troubles,
            memory_mb=[mb for mb in world.keeper.memory_mb if mb],
            faults=faults,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-chaos-") as name:
        outcome = chaos(Path(name), minutes=given.minutes, seed=given.seed)
        for line in outcome.audit.lines():
            print(line)
        troubles = ", ".join(f"{count} x {kind}" for kind, count in outcome.troubles.items())
        print(f"troubles    {sum(outcome.troubles.values())}: {troubles}")
        lives = len(outcome.memory_mb)
        print(f"memory      {max(outcome.memory_mb):.0f} MB at most in {lives} lives")
        if outcome.faults:
            print((Path(name) / "log").read_text()[-20_000:], file=sys.stderr)
            sys.exit("\n".join(outcome.faults))


if __name__ == "__main__":
    main()
