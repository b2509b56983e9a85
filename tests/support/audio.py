"""Recordings that tests make for themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from edge.types import Array
from tests.support.bundles import SPEC, tone

__all__ = ["add_chunk", "noise", "soundscape", "write_audio"]


def noise(
    seconds: float, rate_hz: int = SPEC.sample_rate_hz, *, level: float = 0.1, seed: int = 0
) -> Array:
    """White noise (n,) float32."""
    result: Array = (
        level * np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    ).astype(np.float32)
    return result


def soundscape(rate_hz: int = SPEC.sample_rate_hz) -> Array:
    """Return sounds that the tiny bundle knows, one that it does not know, and a dead microphone.

    They are hummer, noise, peeper, silence, whistler, in 19.3 s.
    """
    return np.concatenate(
        [
            tone(300, 4, rate_hz),
            noise(6, rate_hz),
            tone(3000, 3.3, rate_hz),
            np.zeros(3 * rate_hz, np.float32),
            tone(1000, 3, rate_hz),
        ]
    )


def write_audio(
    path: Path, samples: Array, rate_hz: int = SPEC.sample_rate_hz, *, subtype: str | None = None
) -> str:
    """Write samples (n,) or (n, channels) in the container of the suffix.

    Returns the path as a string, as a person would give it.
    """
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return str(path)


def add_chunk(path: Path | str, name: bytes, content: bytes) -> None:
    """Append a chunk to a WAV file and correct the size in its header."""
    path = Path(path)
    content += b"\0" * (len(content) % 2)
    whole = path.read_bytes() + name + len(content).to_bytes(4, "little") + content
    path.write_bytes(whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:])
