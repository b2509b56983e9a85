"""`edge run` on the real sound system, with a wall clock that a file can step:
`python -m tests.support.chaos_process --config F --shift FILE`.

FILE holds by how many seconds the wall clock is off. Everything else is as it is.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock, SystemWorld, WallState
from edge.recorder.signals import commands_from_signals
from edge.sources.portaudio import PortAudio


class SteppedWorld(SystemWorld):
    """This machine, whose wall clock is off by what a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def utc_us(self) -> int:
        return super().utc_us() + round(float(self._file.read_text()) * 1e6)

    def wall_state(self, call: object = None) -> WallState:
        return WallState(synced=True, uncertainty_s=0.01)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--shift", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    clock = LiveClock(world=SteppedWorld(given.shift))
    daemon = Daemon(given.config, audio=PortAudio(), deliveries=deliveries, clock=clock)
    with commands_from_signals(daemon.commands):
        daemon.run()


if __name__ == "__main__":
    main()
