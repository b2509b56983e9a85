"""The frontend that is none: the samples of a window as they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge.bundle import ChannelSpec, Frontend, FrontendSpec
from edge.bundle.spec import MaxLevel, NoLevel
from edge.errors import SpecError
from tests.support.audio import noise

WAVEFORM = {"component": "waveform", "level": {"kind": "none"}}
MEL = {"component": "mel", "level": {"kind": "max"}}
PLAIN: dict[str, Any] = {
    "sample_rate_hz": 8_000,
    "window_s": 1.0,
    "n_mels": 1,
    "fmax_hz": 4_000.0,
    "channels": [WAVEFORM],
}
SPEC = FrontendSpec.parse(PLAIN)


def test_the_features_are_the_samples() -> None:
    samples = noise(1, 8_000)
    features = Frontend(SPEC)(samples)
    assert SPEC.shape == features.shape == (1, 1, 8_000)
    np.testing.assert_array_equal(features[0, 0], samples)
    assert features.dtype == np.float32
    assert not np.shares_memory(features, samples), "a ring of samples is written again"


def test_they_may_be_brought_to_one_loudness() -> None:
    scaled = FrontendSpec.parse({**PLAIN, "scaling": "min_max"})
    features = Frontend(scaled)(noise(1, 8_000, level=0.01))
    assert features.min() == pytest.approx(-1, abs=1e-3)
    assert features.max() == pytest.approx(1, abs=1e-3)


def test_a_waveform_survives_json() -> None:
    assert FrontendSpec.parse(json.loads(json.dumps(SPEC.as_mapping()))) == SPEC
    assert SPEC.is_waveform
    assert not FrontendSpec().is_waveform


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": [WAVEFORM, WAVEFORM]}, "channels: a waveform has no other channel"),
        ({"channels": [MEL, WAVEFORM]}, "channels: "),
        ({"n_mels": 40}, "n_mels 40 and fmax_hz 4000: of a waveform they are 1 and half"),
        ({"fmax_hz": 3_000.0}, "n_mels 1 and fmax_hz 3000: of a waveform"),
        ({"fmin_hz": 50.0}, "fmin_hz: 50.0 means nothing for a waveform"),
        ({"n_fft": 2_048}, "n_fft: 2048 means nothing for a waveform, which has 1024 there"),
        ({"hop_length": 256}, "hop_length: 256 means nothing for a waveform"),
        ({"window_function": "hamming"}, "window_function: 'hamming' means nothing"),
        ({"hpss_kernel": 5}, "hpss_kernel: 5 means nothing"),
        ({"stack": 2}, "stack: 2 means nothing"),
        ({"frames": 100}, "frames: 100 means nothing"),
        ({"resized_bands": 40}, "resized_bands: 40 means nothing"),
        ({"centred": False}, "centred: False means nothing"),
        ({"channels": [{**WAVEFORM, "n_fft": 512}]}, "n_fft 512: must be at least 16, and of a"),
        ({"channels": [{**WAVEFORM, "hop_length": 5}]}, "hop_length and descending: belong to"),
        ({"channels": [{**WAVEFORM, "bands": "low"}]}, "bands: belong to the component real"),
        ({"channels": [{**WAVEFORM, "level": {"kind": "max"}}]}, "level: none belongs to"),
        ({"channels": [{**MEL, "level": {"kind": "none"}}]}, "level: none belongs to"),
        ({"sample_rate_hz": 400_000, "window_s": 120.0, "fmax_hz": 200_000.0}, "48000000 values"),
    ],
)
def test_what_means_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        FrontendSpec.parse({**PLAIN, **change})


def test_it_can_be_written_in_code() -> None:
    channel = ChannelSpec(component="waveform", level=NoLevel())
    spec = FrontendSpec(
        sample_rate_hz=8_000, window_s=1.0, n_mels=1, fmax_hz=4_000.0, channels=(channel,)
    )
    assert spec == SPEC
    with pytest.raises(SpecError, match="level: none belongs"):
        ChannelSpec(component="waveform", level=MaxLevel())
