"""The frontend against librosa, its oracle, and against its own laws."""

from __future__ import annotations

import csv
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import soundfile
import soxr

from edge.bundle import ChannelSpec, Frontend, FrontendSpec
from edge.bundle.compression import pcen, power_to_db
from edge.bundle.mel import mel_filters
from edge.bundle.separation import harmonic_percussive
from edge.bundle.spec import FixedLevel, FloorLevel, Level, MaxLevel, PcenLevel
from edge.bundle.transform import magnitude

SPEC = FrontendSpec()
FRONTEND = Frontend(SPEC)
COMPONENTS = ("mel", "harmonic", "percussive")
LEVELS: tuple[Level, ...] = (MaxLevel(), FixedLevel(), FloorLevel(), PcenLevel())
Array = np.ndarray[Any, np.dtype[np.float32]]


def _time() -> Array:
    return (np.arange(SPEC.window_samples) / SPEC.sample_rate_hz).astype(np.float32)


def _clicks() -> Array:
    samples = np.zeros(SPEC.window_samples, np.float32)
    samples[:: SPEC.sample_rate_hz // 7] = 0.9
    return samples


def _noise(seed: int = 0) -> Array:
    return (0.1 * np.random.default_rng(seed).standard_normal(SPEC.window_samples)).astype(
        np.float32
    )


SIGNALS: dict[str, Array] = {
    "noise": _noise(),
    "whistle": np.sin(2 * np.pi * 2900 * _time(), dtype=np.float32),
    "sweep": np.sin(2 * np.pi * (500 + 900 * _time()) * _time(), dtype=np.float32),
    "clicks": _clicks(),
    "clipped": np.clip(5 * np.sin(2 * np.pi * 300 * _time()), -1, 1).astype(np.float32),
    "faint": 1e-5 * _noise(1),
    "half silent": np.where(_time() < 2.5, 0, _noise(2)).astype(np.float32),
    "direct current": np.full(SPEC.window_samples, 0.5, np.float32),
    "silence": np.zeros(SPEC.window_samples, np.float32),
}


def _librosa_components(samples: Array, spec: FrontendSpec) -> Array:
    """Return the same three mel powers by librosa's own functions, (3, n_mels, frames)."""
    complex_spectrum = librosa.stft(
        samples, n_fft=spec.n_fft, hop_length=spec.hop_length, window=spec.window_function
    )
    magnitude = np.abs(complex_spectrum)
    parts = (
        magnitude,
        *librosa.decompose.hpss(magnitude, kernel_size=spec.hpss_kernel, power=spec.hpss_power),
    )
    basis: dict[str, Any] = {"n_mels": spec.n_mels, "fmin": spec.fmin_hz, "fmax": spec.fmax_hz}
    return np.stack(
        [
            librosa.feature.melspectrogram(S=np.square(p), sr=spec.sample_rate_hz, **basis)
            for p in parts
        ]
    )


def _assert_equal_in_db(samples: Array, spec: FrontendSpec = SPEC) -> None:
    ours = power_to_db(Frontend(spec).components(samples))
    oracle = librosa.power_to_db(_librosa_components(samples, spec), amin=1e-10, top_db=None)
    np.testing.assert_allclose(ours, oracle, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", SIGNALS)
def test_components_are_librosas(name: str) -> None:
    _assert_equal_in_db(SIGNALS[name])


@pytest.mark.parametrize(
    "spec",
    [
        FrontendSpec(
            sample_rate_hz=32_000,
            n_fft=2048,
            hop_length=320,
            n_mels=128,
            fmin_hz=50.0,
            fmax_hz=14_000.0,
        ),
        FrontendSpec(
            window_s=1.0, n_fft=512, hop_length=128, n_mels=20, hpss_kernel=17, hpss_power=1.5
        ),
    ],
    ids=["32 kHz, 128 mels", "1 s, power 1.5"],
)
def test_other_specs_are_librosas_too(spec: FrontendSpec) -> None:
    samples = (0.1 * np.random.default_rng(3).standard_normal(spec.window_samples)).astype(
        np.float32
    )
    _assert_equal_in_db(samples, spec)


@pytest.mark.data
def test_components_are_librosas_on_recordings(recordings: Path) -> None:
    with (recordings / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["seconds"]) >= SPEC.window_s]
    for row in rows[:: len(rows) // 8]:
        samples, rate_hz = soundfile.read(recordings / row["path"], dtype="float32", always_2d=True)
        resampled = soxr.resample(samples[:, 0], rate_hz, SPEC.sample_rate_hz)
        _assert_equal_in_db(np.ascontiguousarray(resampled[: SPEC.window_samples], np.float32))


@pytest.mark.parametrize("name", SIGNALS)
def test_harmonic_and_percussive_add_up(name: str) -> None:
    magnitude = FRONTEND.magnitude(SIGNALS[name])
    harmonic, percussive = harmonic_percussive(magnitude, kernel=31, power=2.0)
    assert harmonic.min() >= 0
    assert percussive.min() >= 0
    np.testing.assert_allclose(harmonic + percussive, magnitude, rtol=1e-6, atol=0)


def test_a_whistle_is_harmonic_and_a_click_percussive() -> None:
    for name, stronger, weaker in (("whistle", 1, 2), ("clicks", 2, 1)):
        energy = FRONTEND.components(SIGNALS[name]).sum(axis=(1, 2))
        assert energy[stronger] > 20 * energy[weaker], name


@pytest.mark.parametrize(
    "level", [PcenLevel(), PcenLevel(time_constant_s=0.06, gain=0.8, bias=10.0, power=0.25)]
)
def test_pcen_is_librosas(level: PcenLevel) -> None:
    power = FRONTEND.components(SIGNALS["noise"])[0]
    with warnings.catch_warnings():
        # librosa suggests integer-scaled audio; the scale is part of our definition.
        warnings.simplefilter("ignore", UserWarning)
        oracle = librosa.pcen(
            power,
            sr=SPEC.sample_rate_hz,
            hop_length=SPEC.hop_length,
            gain=level.gain,
            bias=level.bias,
            power=level.power,
            time_constant=level.time_constant_s,
            eps=level.eps,
        )
    ours = pcen(power, level, hop_s=1 / SPEC.frames_per_second)
    np.testing.assert_allclose(ours, oracle, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.kind)
@pytest.mark.parametrize("name", SIGNALS)
def test_levels_are_finite_float32_in_range(name: str, level: Level) -> None:
    spec = FrontendSpec(channels=tuple(ChannelSpec(component=c, level=level) for c in COMPONENTS))
    features = Frontend(spec)(SIGNALS[name])
    assert features.shape == spec.shape
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert features.min() >= 0
    assert level.kind == "pcen" or features.max() <= 1


def test_max_level_ignores_gain_and_fixed_level_keeps_it() -> None:
    loud, soft = SIGNALS["noise"], 0.1 * SIGNALS["noise"]
    np.testing.assert_allclose(FRONTEND(loud), FRONTEND(soft), atol=1e-4)
    spec = FrontendSpec(
        channels=(ChannelSpec(component="mel", level=FixedLevel(floor_db=-100, ceiling_db=100)),)
    )
    difference_db = 200 * (Frontend(spec)(loud) - Frontend(spec)(soft))
    np.testing.assert_allclose(difference_db, 20, atol=0.01)


def test_floor_level_removes_a_steady_background() -> None:
    spec = FrontendSpec(
        channels=(ChannelSpec(component="mel", level=FloorLevel(below_db=10, above_db=50)),)
    )
    medians = np.median(Frontend(spec)(SIGNALS["noise"]), axis=-1)
    np.testing.assert_allclose(medians, 10 / 60, atol=1e-6)


@pytest.mark.parametrize("name", ["noise", "half silent", "clicks"])
def test_components_of_a_window_do_not_depend_on_what_was_computed_before(name: str) -> None:
    first = FRONTEND(SIGNALS[name])
    FRONTEND(SIGNALS["sweep"])
    np.testing.assert_array_equal(FRONTEND(SIGNALS[name]), first)


def test_components_take_any_length_and_a_window_only_its_own() -> None:
    assert FRONTEND.components(np.zeros(3 * SPEC.sample_rate_hz + 1, np.float32)).shape == (
        3,
        40,
        130,
    )
    with pytest.raises(ValueError, match="a window has 110250 samples"):
        FRONTEND(np.zeros(100, np.float32))


@pytest.mark.parametrize(
    ("rate_hz", "n_fft", "n_mels", "fmin_hz", "fmax_hz"),
    [
        (22_050, 1024, 40, 0, None),
        (22_050, 1024, 64, 50, None),
        (48_000, 2048, 128, 0, 15_000),
        (192_000, 2048, 64, 10_000, 90_000),
    ],
)
def test_the_mel_filters_are_librosas(
    rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float | None
) -> None:
    expected = librosa.filters.mel(
        sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz
    )
    ours = mel_filters(
        sample_rate_hz=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin_hz=fmin_hz, fmax_hz=fmax_hz
    )
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-7 * expected.max())


def test_the_taper_is_scipys() -> None:
    np.testing.assert_array_equal(
        Frontend(FrontendSpec())._tapers[1024],
        scipy.signal.get_window("hann", FrontendSpec().n_fft),
    )


def test_the_magnitude_is_that_of_scipys_transform_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    frames, window = rng.standard_normal((130, 1024)).astype(np.float32), rng.random(1024)
    expected = np.abs(scipy.fft.rfft(frames * window)).astype(np.float32)
    np.testing.assert_array_equal(magnitude(frames, window), expected)


def test_judging_a_window_brings_no_compiler_along() -> None:
    program = (
        "import sys, edge.recorder.daemon; from edge.detect.engines import load_model; from "
        "edge.bundle import load_bundle;"
        "from edge.models import default_bundle_path; "
        "bundle = load_bundle(default_bundle_path()); load_model(bundle);"
        "import numpy; samples = numpy.sin(numpy.arange(bundle.frontend.window_samples));"
        "from edge.bundle import Frontend; Frontend(bundle.frontend)(samples.astype('float32'));"
        "print([name for name in ('librosa', 'numba', 'scipy', 'torch', 'matplotlib') if "
        "name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
