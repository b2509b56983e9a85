"""Soundscapes made of calls that are placed in background at known times, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.support.audio import noise
from tests.support.bundles import SPEC, TONES_HZ, tone

__all__ = ["Call", "rows_of", "write_raven", "write_rows", "write_soundscape"]

Call = tuple[str, float, float]  # a label, and from when to when it calls
OTHERS_HZ = {"oddball": 1900.0}  # what the bundles of tests do not know
ROW_S = 5


def write_soundscape(path: Path, seconds: float, calls: Sequence[Call]) -> Path:
    """Write a recording of faint noise with calls in it."""
    rate = SPEC.sample_rate_hz
    samples = noise(seconds, level=1e-4, seed=len(calls))
    for label, start, end in calls:
        call = tone({**TONES_HZ, **OTHERS_HZ}[label], end - start)
        first = round(start * rate)
        samples[first : first + len(call)] += call
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), rate)
    return path


def rows_of(seconds: float, calls: Sequence[Call]) -> list[str]:
    """Return what column birds has for each row of 5 s."""
    cells = []
    for start in range(0, int(seconds), ROW_S):
        birds = sorted({name for name, a, b in calls if a < start + ROW_S and b > start})
        cells.append(" ".join(birds) or "nocall")
    return cells


def write_rows(path: Path, rows: Mapping[str, Sequence[str]]) -> Path:
    """Write rows by the name of their recording."""
    lines = [
        f"{name}_{ROW_S * (i + 1)},{birds}"
        for name, cells in rows.items()
        for i, birds in enumerate(cells)
    ]
    path.write_text("\n".join(("row_id,birds", *lines)) + "\n", encoding="utf-8")
    return path


def write_raven(path: Path, calls: Sequence[Call], *, file: str = "") -> Path:
    """Write a selection table as Raven does: a line for each of two views."""
    header = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"]
    header += ["Low Freq (Hz)", "High Freq (Hz)", "Begin File", "Species"]
    lines = [
        "\t".join(map(str, (i + 1, view, 1, start, end, 200, 3500, file, name)))
        for i, (name, start, end) in enumerate(calls)
        for view in ("Waveform 1", "Spectrogram 1")
    ]
    path.write_text("\n".join(["\t".join(header), *lines]) + "\n", encoding="utf-8")
    return path
