"""S4's logarithm before the resize, S3's stack of spectrograms, and resizes of long windows."""

from __future__ import annotations

import dataclasses
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional

from edge.bundle import Frontend, FrontendSpec
from edge.bundle.bins import each_channel, first_channel
from edge.bundle.mel import LARGEST_DENSE, resampling, resized_in_time
from edge.errors import SpecError
from edge.types import Array

SCALES = (128, 512, 2048)
BIN = {"component": "bins", "n_fft": 1024, "level": {"kind": "quantile"}}
RNG = np.random.default_rng(5)


def scales(component: str, **changes: Any) -> FrontendSpec:
    channels = [{"component": component, "n_fft": n, "level": {"kind": "quantile"}} for n in SCALES]
    plain = {"n_mels": 299, "hop_length": 110, "frames": 997, "channels": channels}
    return FrontendSpec.parse({**plain, **changes})


def sound(seconds: float, rate_hz: int = 22_050) -> Array:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = 0.3 * np.sin(2 * np.pi * (6000 * time_s - 500 * time_s**2))
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(time_s))
    return (chirp * (np.sin(2 * np.pi * 3 * time_s) > 0) + noise).astype(np.float32)


def in_the_papers_order(samples: Array, n_fft: int) -> Array:
    """Return an image by librosa and PyTorch: logarithm, outliers clipped, then the resize."""
    power = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=110)) ** 2
    db = librosa.power_to_db(power, amin=1e-10, top_db=None)
    low, high = np.quantile(db, [0.01, 0.999])
    image = torch.from_numpy(np.clip((db - low) / (high - low), 0, 1))[None, None].float()
    resized = functional.interpolate(
        image, (299, 997), mode="bilinear", align_corners=False, antialias=True
    )
    result: Array = resized[0, 0].numpy()
    return result


@pytest.mark.parametrize(("n_fft", "before"), [(128, 0.05), (512, 0.05), (2048, 0.1)])
def test_an_image_is_as_in_the_papers_order(n_fft: int, before: float) -> None:
    samples, channel = sound(5), SCALES.index(n_fft)
    wanted = in_the_papers_order(samples, n_fft)
    ours, of_power = (
        Frontend(scales(component))(samples)[channel] for component in ("bins", "linear")
    )
    np.testing.assert_allclose(ours, wanted, atol=2e-4)
    assert np.abs(of_power - wanted).mean() > before, "or the order makes no difference"


def test_a_spec_that_keeps_bins_is_read_back_and_is_another() -> None:
    spec = scales("bins")
    assert FrontendSpec.parse(spec.as_mapping()) == spec
    assert spec.component_digest != scales("linear").component_digest


def test_bins_stand_below_each_other_until_they_are_resized() -> None:
    spec = scales("bins", fmin_hz=1000.0, fmax_hz=8000.0)
    components = Frontend(spec).components(sound(5))
    rows = [len(one) for one in each_channel(spec, components)]
    hz = [np.linspace(0, 11_025, 1 + n // 2) for n in SCALES]
    assert rows == [int(((f >= 1000) & (f <= 8000)).sum()) for f in hz]
    assert components.shape == (1, sum(rows), 1003)
    assert first_channel(spec, components).shape == (rows[0], 1003)
    assert Frontend(spec).levels(components).shape == spec.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": [BIN, {"component": "mel", "level": {"kind": "max"}}]}, "no other beside"),
        ({"channels": [BIN], "fmin_hz": 100.0, "fmax_hz": 107.0}, "leave no bin between them"),
    ],
)
def test_bins_that_cannot_be_kept_are_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        FrontendSpec.parse(change)


@pytest.mark.parametrize(("before", "after"), [(3007, 2990), (1200, 4000), (9000, 600), (5, 3)])
def test_a_long_window_is_resized_by_the_same_weights(before: int, after: int) -> None:
    features = RNG.random((2, 3, before), np.float32)
    dense = features @ resampling(before, after).T
    resized = resized_in_time(features, after)
    np.testing.assert_allclose(resized, dense, atol=1e-5)
    if before * after <= LARGEST_DENSE:
        assert np.array_equal(resized, dense), "features of older bundles keep their last digit"


def test_fifteen_seconds_are_ten_times_299_points_wide() -> None:
    spec = scales("bins", window_s=15.0, frames=2990)
    assert spec.shape == (3, 299, 2990)
    assert Frontend(spec)(sound(15)).shape == spec.shape


def test_a_stack_is_of_spectrograms_that_meet() -> None:
    mel = [{"component": "mel", "level": {"kind": "fixed"}}]
    plain = {"sample_rate_hz": 32_000, "hop_length": 500, "n_mels": 128, "channels": mel}
    whole = FrontendSpec.parse({**plain, "window_s": 50.0, "stack": 10, "stack_overlap": 1})
    assert whole.shape == (10, 128, 321)
    samples = sound(50, 32_000)
    stacked = Frontend(whole)(samples)
    alone = Frontend(FrontendSpec.parse({**plain, "window_s": 5.0}))
    for i, own in enumerate(np.split(samples, 10)):
        # Only the padding of the outermost frames differs.
        np.testing.assert_allclose(stacked[i][:, 2:-2], alone(own)[0, :, 2:-2], atol=1e-6)
    assert np.array_equal(stacked[0][:, -1], stacked[1][:, 0])


def test_a_stack_without_overlap_has_the_digest_that_it_had() -> None:
    stacked = FrontendSpec.parse({"hop_length": 128, "stack": 10, "frames": 321})
    assert "stack_overlap" not in stacked.as_mapping()
    meeting = dataclasses.replace(stacked, stack_overlap=1)
    assert meeting.digest != stacked.digest
    assert meeting.component_digest == stacked.component_digest
    assert FrontendSpec.parse(meeting.as_mapping()) == meeting


@pytest.mark.parametrize(("stack", "overlap"), [(10, -1), (2, 216), (300, 0), (0, 0)])
def test_stretches_that_cannot_be_made_are_one_line(stack: int, overlap: int) -> None:
    with pytest.raises(SpecError, match=r"stack: .* cannot be made of 216 frames") as caught:
        FrontendSpec(stack=stack, stack_overlap=overlap)
    assert "\n" not in str(caught.value)
