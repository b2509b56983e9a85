"""A clip as a file that says what it is: samples, and GUANO metadata."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.types import Array, Detection

__all__ = ["encode", "guano"]


def guano(
    d: Detection,
    *,
    clock: Clock,
    start_sample: int,
    samples: int,
    device: str,
    provenance: Provenance,
) -> str:
    """Return GUANO 1.0 metadata: one `key: value` a line."""
    fields = {
        "GUANO|Version": "1.0",
        "Timestamp": rfc3339(clock.utc(start_sample)),
        "Length": f"{samples / d.sample_rate_hz:.6f}",
        "Samplerate": d.sample_rate_hz,
        "Make": "edge-monitor",
        "Serial": device,
        "Species Auto ID": d.label or "",
        "Edge|Detection": d.id,
        "Edge|Nearest": d.nearest,
        "Edge|Score": f"{d.score:.6f}",
        "Edge|Novelty": f"{d.novelty:.6f}",
        "Edge|StartSample": start_sample,
        "Edge|ClockSynced": str(clock.synced).lower(),
        "Edge|UncertaintySeconds": clock.uncertainty_s,
        "Edge|Bundle": provenance.bundle,
        "Edge|Config": provenance.config,
        "Edge|Code": provenance.code,
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def encode(samples: Array, rate_hz: int, form: Literal["flac", "wav"], metadata: str) -> bytes:
    """Return a whole file: samples (n,) as 16 bit, and its metadata.

    It is made in memory, so that its size is known before the disk is touched. WAV has GUANO's own
    chunk `guan`; FLAC has no chunks and carries the same text as its comment.
    """
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate_hz, 1, "PCM_16", format=form.upper()) as file:
        if form == "flac":
            file.comment = metadata
        # A second at a time: copies of a whole minute would be the recorder's peak.
        for first in range(0, len(samples), rate_hz):
            file.write(_pcm(samples[first : first + rate_hz]))
    content = stream.getvalue()
    if form == "flac":
        return content
    text = metadata.encode()
    chunk = text + b"\n" * (len(text) % 2)
    riff = content + b"guan" + len(chunk).to_bytes(4, "little") + chunk
    return riff[:4] + (len(riff) - 8).to_bytes(4, "little") + riff[8:]


def _pcm(samples: Array) -> NDArray[np.int16]:
    """Return samples as whole numbers, scaled by 32768.

    What came as 16 bit leaves as the same numbers; libsndfile would scale by 32767.
    """
    # NaN becomes silence: a driver's fault must not cost the clip.
    scaled = np.rint(np.nan_to_num(samples) * np.float32(32768))
    pcm: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype(np.int16)
    return pcm
