"""The time of a front end, beside the path that librosa's documentation shows."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

from edge.bench.measuring import median_ms
from edge.bundle import Frontend, FrontendSpec
from edge.bundle.channels import LINEAR, REAL
from edge.types import Array

__all__ = ["front_end_times", "has_librosa", "plain_librosa"]

TO_COMPARE = "to compare it with librosa's, `pip install '.[bench]'` in a checkout"


def front_end_times(name: str, frontend: Frontend, window: Array, runs: int) -> Iterator[str]:
    """Yield the time of a front end, against librosa in the same run where it has one like it."""
    spec = frontend.spec
    ours = median_ms(lambda: frontend(window), runs)
    # librosa's documentation has nothing like these.
    if any(c.component in (*LINEAR, REAL) or c.n_fft for c in spec.channels):
        yield f"{name:11} {ours:.1f} ms a window"
        return
    if not has_librosa():
        yield f"{name:11} {ours:.1f} ms a window; {TO_COMPARE}"
        return
    plain = median_ms(lambda: plain_librosa(spec, window), runs, per_run=3)
    yield (
        f"{name:11} {ours:.1f} ms a window, librosa's plain path {plain:.1f} ms: "
        f"{plain / ours:.1f} times as fast"
    )


def has_librosa() -> bool:
    """Return whether librosa is installed; a recorder does not need it."""
    return importlib.util.find_spec("librosa") is not None


def plain_librosa(spec: FrontendSpec, window: Array) -> Array:
    """Return features (channels, n_mels, frames) in dB as librosa's documentation makes them."""
    import librosa

    stft = np.abs(
        librosa.stft(
            window,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            window=spec.window_function,
            pad_mode="constant",
        )
    )
    parts = {"mel": stft}
    # Only where needed, or the comparison would flatter this program.
    if any(c.component in ("harmonic", "percussive") for c in spec.channels):
        parts["harmonic"], parts["percussive"] = librosa.decompose.hpss(
            stft, kernel_size=spec.hpss_kernel, power=spec.hpss_power
        )
    basis = librosa.filters.mel(
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
    )
    levels: Array = np.stack(
        [librosa.power_to_db(basis @ parts[c.component] ** 2, top_db=None) for c in spec.channels]
    )
    return levels
