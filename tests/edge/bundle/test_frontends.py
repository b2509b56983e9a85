"""The frontends of the other papers, against PyTorch and librosa: only values, no further code."""

from __future__ import annotations

import dataclasses
from typing import Any

import librosa
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edge.bundle import Frontend, FrontendSpec
from edge.bundle.compression import power_to_db
from edge.bundle.mel import resampling
from edge.bundle.spec import ChannelSpec, MaxLevel, QuantileLevel
from edge.errors import SpecError
from edge.types import Array

MAX: dict[str, Any] = {"kind": "max"}
# Clementino and Colonna 2020: S1's three channels of 128 bands, resized to 40 x 200.
TRIPLET = FrontendSpec.parse({"frames": 200})
RESIZED = FrontendSpec.parse({"n_mels": 128, "frames": 200, "resized_bands": 40})
# The stack of ten short spectrograms of 128 x 321.
STACKED = FrontendSpec.parse(
    {
        "n_mels": 128,
        "hop_length": 128,
        "stack": 10,
        "frames": 321,
        "channels": [{"component": "mel", "level": MAX}],
    }
)
# Sevilla and Glotin 2017: three scales, 299 bands, 200 frames a second.
SCALES = FrontendSpec.parse(
    {
        "n_mels": 299,
        "hop_length": 110,
        "frames": 997,
        "channels": [
            {"component": "linear", "level": {"kind": "quantile"}, "n_fft": n}
            for n in (128, 512, 2048)
        ],
    }
)
# The weak-label segmentation system of BirdCLEF 2021.
SEGMENTATION = FrontendSpec.parse(
    {
        "n_mels": 128,
        "n_fft": 2048,
        "channels": [{"component": "mel", "level": {"kind": "fixed", "ceiling_db": 20.0}}],
    }
)
SPECS = {
    "triplet": TRIPLET,
    "resized": RESIZED,
    "stacked": STACKED,
    "scales": SCALES,
    "segmentation": SEGMENTATION,
}
SHAPES = {
    "triplet": (3, 40, 200),
    "resized": (3, 40, 200),
    "stacked": (10, 128, 321),
    "scales": (3, 299, 997),
    "segmentation": (1, 128, 216),
}


def sound(seconds: float = 5.0) -> Array:
    """Return a falling chirp in noise."""
    time_s = np.arange(round(seconds * 22_050)) / 22_050
    chirp = 0.3 * np.sin(2 * np.pi * (6000 * time_s - 500 * time_s**2))
    return (chirp + 0.01 * np.random.default_rng(0).standard_normal(len(time_s))).astype(np.float32)


@pytest.mark.parametrize("name", SPECS)
def test_features_have_the_papers_shape_and_range(name: str) -> None:
    features = Frontend(SPECS[name])(sound())
    assert features.shape == SPECS[name].shape == SHAPES[name]
    assert features.dtype == np.float32
    assert features.min() >= 0
    assert features.max() <= 1 + 1e-6
    assert features.std() > 0.02
    assert np.isfinite(Frontend(SPECS[name])(np.zeros(5 * 22_050, np.float32))).all()


@pytest.mark.parametrize("name", SPECS)
def test_a_frontend_is_written_and_read_back(name: str) -> None:
    spec = SPECS[name]
    assert FrontendSpec.parse(spec.as_mapping()) == spec
    assert len({s.digest for s in SPECS.values()}) == len(SPECS)


def test_what_a_frontend_does_not_use_is_not_in_its_digest() -> None:
    plain = FrontendSpec().as_mapping()
    assert not {"stack", "frames", "resized_bands"} & set(plain)
    assert all("n_fft" not in channel for channel in plain["channels"])


def test_stretches_and_frames_are_made_after_the_components() -> None:
    assert (
        dataclasses.replace(TRIPLET, frames=None).component_digest
        == TRIPLET.component_digest
        == FrontendSpec().component_digest
    )
    assert dataclasses.replace(TRIPLET, frames=None).digest != TRIPLET.digest
    bands = dataclasses.replace(RESIZED, resized_bands=None)
    assert bands.component_digest == RESIZED.component_digest
    assert bands.digest != RESIZED.digest
    other = dataclasses.replace(
        SCALES, channels=(dataclasses.replace(SCALES.channels[0], n_fft=256), *SCALES.channels[1:])
    )
    assert other.component_digest != SCALES.component_digest


@pytest.mark.parametrize(
    ("before", "after"), [(65, 299), (257, 299), (1025, 299), (216, 200), (86, 321), (7, 7)]
)
def test_resizing_is_pytorchs_with_antialiasing(before: int, after: int) -> None:
    values = np.random.default_rng(0).random((4, before), np.float32)
    image = torch.from_numpy(values)[None, None]
    oracle = F.interpolate(image, (4, after), mode="bilinear", antialias=True, align_corners=False)[
        0, 0
    ].numpy()
    np.testing.assert_allclose(values @ resampling(before, after).T, oracle, atol=1e-5)


def test_bands_and_frames_are_resized_as_pytorch_resizes_a_picture() -> None:
    whole = Frontend(dataclasses.replace(RESIZED, frames=None, resized_bands=None))(sound())
    oracle = F.interpolate(
        torch.from_numpy(whole)[None], (40, 200), mode="bilinear", antialias=True
    )[0].numpy()
    np.testing.assert_allclose(Frontend(RESIZED)(sound()), oracle, atol=1e-5)


@pytest.mark.parametrize("n_fft", [128, 512, 2048])
def test_linear_bands_are_librosas_spectrogram_resized(n_fft: int) -> None:
    samples = sound(1.0)
    spec = dataclasses.replace(
        SCALES, channels=(ChannelSpec(component="linear", level=MaxLevel(), n_fft=n_fft),)
    )
    power = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=110, pad_mode="constant")) ** 2
    image = torch.from_numpy(power).double()[None, None]
    oracle = F.interpolate(
        image, (299, power.shape[1]), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    ours = Frontend(spec).components(samples)[0]
    # The weights are of single precision.
    np.testing.assert_allclose(power_to_db(ours), power_to_db(oracle), atol=0.01)


def test_a_stack_is_the_window_in_order() -> None:
    plain = Frontend(dataclasses.replace(STACKED, stack=1, frames=None))(sound())[0]
    stacked = Frontend(dataclasses.replace(STACKED, frames=None))(sound())
    length = plain.shape[1] // 10
    for stretch, channel in enumerate(stacked):
        np.testing.assert_array_equal(channel, plain[:, stretch * length : (stretch + 1) * length])


@pytest.mark.parametrize("name", ["triplet", "stacked", "scales"])
def test_loudness_does_not_matter(name: str) -> None:
    frontend = Frontend(SPECS[name])
    np.testing.assert_allclose(frontend(sound()), frontend(sound() * np.float32(0.5)), atol=2e-4)


def test_outliers_are_clipped_and_the_rest_keeps_its_place() -> None:
    spec = dataclasses.replace(
        SCALES,
        channels=(
            ChannelSpec(component="linear", level=QuantileLevel(low=0.1, high=0.9), n_fft=512),
        ),
    )
    frontend = Frontend(dataclasses.replace(spec, frames=None))
    components = frontend.components(sound())
    scaled = frontend.levels(components)[0]
    db = power_to_db(components[0])
    low, high = np.quantile(db, [0.1, 0.9])
    assert (scaled[db <= low] == 0).all()
    assert (scaled[db >= high] == 1).all()
    np.testing.assert_allclose(scaled, np.clip((db - low) / (high - low), 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stack": 0}, "stack: 0"),
        ({"stack": 500}, "stack: 500 stretches"),
        ({"frames": 0}, "frames: 0"),
        ({"resized_bands": 0}, "resized_bands: 0 is outside 1..2048"),
        (
            {"channels": [{"component": "harmonic", "level": MAX, "n_fft": 512}]},
            "of a component mel or linear",
        ),
        ({"channels": [{"component": "linear", "level": MAX, "n_fft": 256}]}, "sound is skipped"),
        (
            {
                "channels": [
                    {"component": "linear", "level": {"kind": "quantile", "low": 0.9, "high": 0.1}}
                ]
            },
            "need 0 <= low < high",
        ),
        (
            {"channels": [{"component": "linear", "level": MAX, "hop": 3}]},
            "may have n_fft, hop_length, bands, descending, has component, hop, level",
        ),
    ],
)
def test_an_impossible_frontend_is_refused_in_one_line(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason) as caught:
        FrontendSpec.parse(changes)
    assert "\n" not in str(caught.value)
