"""What a microphone brings until its input ends, for a test to look at.

    python -m tests.support.hear DEVICE RATE_HZ OUT.npz [CHANNEL]

A process of its own, because PortAudio and ALSA read their environment once. Says `hearing` when
samples advance.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Literal

import numpy as np

from edge.sources.callbacks import Callbacks
from edge.sources.microphone import AudioConfig, Microphone
from edge.sources.portaudio import PortAudio
from edge.types import AudioBlock, Gap


def main(device: str, rate_hz: int, out: Path, channel: int | Literal["mix"]) -> None:
    gaps: list[Gap] = []
    config = AudioConfig(device=device, channel=channel, rate_hz=rate_hz)
    callbacks = Callbacks(on_gap=gaps.append)
    microphone = Microphone(config, sample_rate_hz=rate_hz, audio=PortAudio(), callbacks=callbacks)
    threading.Thread(target=_stop_at_the_end_of_input, args=(microphone,), daemon=True).start()
    blocks: list[AudioBlock] = []
    for block in microphone.blocks():
        if len(block.samples) and not blocks:
            print("hearing", flush=True)
        if len(block.samples):
            blocks.append(block)
    np.savez(
        out,
        samples=np.concatenate([block.samples for block in blocks]),
        starts=[block.start_sample for block in blocks],
        lengths=[len(block.samples) for block in blocks],
        gaps=np.array([(gap.start_sample, gap.end_sample) for gap in gaps]).reshape(-1, 2),
    )


def _stop_at_the_end_of_input(microphone: Microphone) -> None:
    sys.stdin.read()
    microphone.stop()


if __name__ == "__main__":
    chosen = sys.argv[4] if len(sys.argv) > 4 else "1"
    main(
        sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), "mix" if chosen == "mix" else int(chosen)
    )
