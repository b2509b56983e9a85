"""The benchmark measures any front end, against librosa where librosa has one like it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.bench.front_end import front_end_times
from edge.bench.sound import synthesise
from edge.bundle import Frontend, FrontendSpec

MAX: dict[str, Any] = {"kind": "max"}
SMALL: dict[str, Any] = {
    "sample_rate_hz": 8000,
    "window_s": 1.0,
    "n_fft": 256,
    "hop_length": 128,
    "n_mels": 12,
    "fmax_hz": 4000.0,
}


@pytest.mark.parametrize(
    ("channels", "compared"),
    [
        ([{"component": "mel", "level": MAX}, {"component": "harmonic", "level": MAX}], True),
        ([{"component": "linear", "level": MAX, "n_fft": n} for n in (128, 512)], False),
        ([{"component": "mel", "level": MAX, "n_fft": 512}], False),
    ],
    ids=["parts", "linear scales", "another transform"],
)
def test_any_front_end_is_measured(channels: list[dict[str, Any]], compared: bool) -> None:
    spec = FrontendSpec.parse({**SMALL, "channels": channels})
    window = synthesise(spec.window_s, spec.sample_rate_hz)
    (line,) = front_end_times("front end", Frontend(spec), window, 1)
    assert "ms a window" in line
    assert ("librosa" in line) == compared
