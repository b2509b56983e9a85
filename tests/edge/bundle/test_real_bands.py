"""Bands of the real part, stored in the bundle: the plain transform is the oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import ChannelSpec, Frontend, FrontendSpec, load_bundle
from edge.bundle.bundle import FRONTEND
from edge.bundle.spec import MaxLevel, PowerLawLevel
from edge.errors import BundleError, SpecError
from edge.models import default_bundle_path
from edge.types import Array
from tests.support.audio import noise
from tests.support.bundles import banded_bundle

RATE_HZ, BANDS = 8_000, 10


def channel(n_fft: int, hop_length: int, name: str) -> ChannelSpec:
    return ChannelSpec(
        component="real",
        level=PowerLawLevel(exponent=0.2),
        n_fft=n_fft,
        hop_length=hop_length,
        bands=name,
        descending=True,
    )


SPEC = FrontendSpec(
    sample_rate_hz=RATE_HZ,
    window_s=1.0,
    n_fft=256,
    hop_length=62,
    n_mels=BANDS,
    fmax_hz=4_000.0,
    channels=(channel(256, 62, "low"), channel(128, 63, "high")),
    centred=False,
    scaling="min_max",
)
RNG = np.random.default_rng(0)
STORED = {
    name: np.maximum(RNG.standard_normal(shape), 0).astype(np.float32)
    for name, shape in SPEC.stored_bands.items()
}


def plainly(samples: Array) -> Array:
    """Return the features in double precision, as they are described."""
    exact = samples.astype(np.float64)
    scaled = 2 * ((exact - exact.min()) / (exact.max() - exact.min() + 1e-6) - 0.5)
    features = []
    for c in SPEC.channels:
        assert c.n_fft is not None
        assert c.bands is not None
        frames = np.lib.stride_tricks.sliding_window_view(scaled, c.n_fft)[:: c.hop_length]
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(c.n_fft) / c.n_fft)
        bands = scipy.fft.rfft(frames * taper).real @ STORED[c.bands].astype(np.float64).T
        features.append((np.square(bands) ** 0.2).T[::-1])
    return np.stack(features).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), level=st.floats(1e-4, 1.0), offset=st.floats(-0.5, 0.5))
def test_the_features_are_those_of_the_plain_transform(
    seed: int, level: float, offset: float
) -> None:
    samples = noise(1, RATE_HZ, level=level, seed=seed) + np.float32(offset)
    features = Frontend(SPEC, STORED)(samples)
    assert features.shape == SPEC.shape == (2, BANDS, 125)
    # The root of the least bands makes their rounding large; those of sound are exact.
    np.testing.assert_allclose(features, plainly(samples), atol=2e-2)
    assert np.median(np.abs(features - plainly(samples))) < 1e-5


def test_silence_has_features() -> None:
    assert np.isfinite(Frontend(SPEC, STORED)(np.zeros(RATE_HZ, np.float32))).all()


def test_bands_that_were_not_given_are_named() -> None:
    with pytest.raises(SpecError, match="bands: low are stored in the bundle"):
        Frontend(SPEC)(np.zeros(RATE_HZ, np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"component": "mel"}, "bands: belong to the component real"),
        ({"bands": None}, "bands: belong to the component real"),
        ({"bands": "../etc/passwd"}, "cannot be the name of an array"),
        ({"component": "mel", "bands": None}, "hop_length and descending: belong to"),
    ],
)
def test_an_impossible_channel_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"component": "real", "level": MaxLevel(), "bands": "low", "hop_length": 8}
    with pytest.raises(SpecError, match=message):
        ChannelSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_channels_must_have_the_same_frames() -> None:
    with pytest.raises(SpecError, match="different numbers of frames"):
        FrontendSpec(
            sample_rate_hz=RATE_HZ,
            window_s=1.0,
            n_fft=256,
            hop_length=62,
            fmax_hz=4_000.0,
            channels=(channel(256, 62, "low"), channel(128, 20, "high")),
            centred=False,
        )


def test_a_description_survives_json() -> None:
    assert FrontendSpec.parse(SPEC.as_mapping()) == SPEC


def test_a_bundle_keeps_its_bands(tmp_path: Path) -> None:
    bundle = banded_bundle(tmp_path / "banded", SPEC, STORED)
    assert FRONTEND in bundle.file_names
    assert bundle.manifest.format_version == 5
    for name, array in STORED.items():
        np.testing.assert_array_equal(load_bundle(bundle.path).bands[name], array)
    samples = noise(1, RATE_HZ)
    np.testing.assert_array_equal(bundle.new_frontend()(samples), Frontend(SPEC, STORED)(samples))


@pytest.mark.parametrize(
    "bands",
    [
        {"low": STORED["low"]},
        {"low": STORED["low"], "high": STORED["high"][:, 1:]},
        {**STORED, "further": STORED["low"]},
        {"low": STORED["low"], "high": STORED["high"].astype(np.float64)},
        {"low": STORED["low"], "high": STORED["high"] * np.float32("nan")},
    ],
    ids=["missing", "misshapen", "too many", "of another type", "not finite"],
)
def test_bands_that_do_not_fit_are_refused(tmp_path: Path, bands: dict[str, Array]) -> None:
    with pytest.raises(BundleError, match="frontend") as caught:
        banded_bundle(tmp_path / "banded", SPEC, STORED, written=bands)
    assert "\n" not in str(caught.value)


def test_an_older_bundle_keeps_its_version() -> None:
    assert not load_bundle(default_bundle_path()).manifest.needs_version_5
