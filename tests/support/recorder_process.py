"""`edge run` on a fake sound card, everything else as it is:
`python -m tests.support.recorder_process --config F --card D`.

The folder D is the hand of the test: `sound.wav` is what the card plays, over and over; while there
is a file `absent` the card is unplugged, and while there is a file `frozen` whoever asks it
something waits.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import soundfile

from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.signals import commands_from_signals
from edge.sources.device import Device, Format
from edge.sources.portaudio import Receive
from tests.support.clocks import set_clock
from tests.support.daemons import RealTimeAudio, RealTimeStream


class CardInAFolder(RealTimeAudio):
    """A sound card that does what the files in `folder` say."""

    def __init__(self, folder: Path) -> None:
        samples, rate_hz = soundfile.read(folder / "sound.wav", dtype="float32")
        super().__init__(samples, rate_hz=rate_hz)
        self._folder = folder

    def devices(self) -> list[Device]:
        self.look()
        return super().devices()

    def open(self, device: Device, form: Format, receive: Receive) -> RealTimeStream:
        return StreamInAFolder(self, receive)

    def look(self) -> None:
        while (self._folder / "frozen").exists():
            time.sleep(0.05)
        self.present = not (self._folder / "absent").exists()


class StreamInAFolder(RealTimeStream):
    """Asked by the pipeline's thread, several times a second, whether it is still there."""

    def __init__(self, card: CardInAFolder, receive: Receive) -> None:
        super().__init__(card, receive)
        self._card = card

    def active(self) -> bool:
        self._card.look()
        return super().active()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--clock-is-set", action="store_true")  # whatever this machine's says
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    audio, clock = CardInAFolder(given.card), set_clock() if given.clock_is_set else None
    daemon = Daemon(given.config, audio=audio, deliveries=deliveries, clock=clock)
    with commands_from_signals(daemon.commands):
        daemon.run()


if __name__ == "__main__":
    main()
