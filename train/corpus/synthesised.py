"""Sounds that no animal makes, for a collection that has recorded none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.files import replacing
from train.corpus.corpus import Recording
from train.corpus.voice import voice

__all__ = ["is_synthesised", "synthesised_noise", "with_noise", "without_recorded_noise"]

RATE_HZ = 48_000
SECONDS = 12
SEEDS = 5
COLOURS = {"hiss": 0.0, "wind": 2.0, "rain": 1.0}  # the power falls with this power of frequency
HUM_HZ = 50.0
SOURCE = "synthesised"


def with_noise(recordings: Sequence[Recording], folder: Path) -> list[Recording]:
    """Return the recordings, with synthesised noise in `folder` where none of them is noise."""
    if any(r.role == "noise" for r in recordings):
        return list(recordings)
    return [*recordings, *synthesised_noise(folder)]


def is_synthesised(recording: Recording) -> bool:
    """Return whether it is one that `with_noise` added."""
    return recording.source == SOURCE


def without_recorded_noise(recordings: Sequence[Recording]) -> bool:
    """Return whether there is no noise and no background among them but what was synthesised."""
    return not any(r.role in ("noise", "background") and not is_synthesised(r) for r in recordings)


def synthesised_noise(folder: Path) -> list[Recording]:
    """Return recordings of hiss, rain, wind, hum and voices, which it writes into `folder`."""
    recordings = []
    for kind in (*COLOURS, "hum", "voice"):
        for seed in range(SEEDS):
            file = folder / f"{kind}_{seed}.flac"
            samples = _noise(kind, np.random.default_rng(seed))
            with replacing(file) as staged, staged.open("wb") as opened:
                soundfile.write(opened, samples, RATE_HZ, format="FLAC")
            recordings.append(
                Recording(
                    path=file,
                    role="noise",
                    label=f"synthesised_{kind}",
                    recording=file.stem,
                    seconds=float(SECONDS),
                    source=SOURCE,
                    sha256=f"synthesised-{kind}-{seed}",
                )
            )
    return recordings


def _noise(kind: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return samples (n,) float32 with gusts in them, of some level."""
    count = SECONDS * RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE_HZ)
    if kind == "hum":
        t = np.arange(count) / RATE_HZ
        tones = (rng.uniform(0.1, 1) * np.sin(2 * np.pi * HUM_HZ * k * t) for k in range(1, 12))
        samples = sum(tones) + 0.05 * np.fft.irfft(spectrum, count)
    elif kind == "voice":
        samples = voice(count, RATE_HZ, rng)
    else:
        spectrum /= np.maximum(frequency, 20.0) ** (COLOURS[kind] / 2)
        samples = np.fft.irfft(spectrum, count)
    gusts = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * np.arange(count) / RATE_HZ)
    level = 10 ** rng.uniform(-2, -0.7)
    noise: NDArray[np.float32] = (level * samples * gusts / np.abs(samples).max()).astype(
        np.float32
    )
    return noise
