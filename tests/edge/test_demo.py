"""The demonstration soundscape is the same every time, and its sounds are as described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile

from edge.demo import DURATION_S, SAMPLE_RATE_HZ, SCHEDULE, Scene, soundscape, write

Array = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module")
def samples() -> Array:
    return soundscape()


def _cut(samples: Array, start_s: float, stop_s: float) -> Array:
    return samples[round(start_s * SAMPLE_RATE_HZ) : round(stop_s * SAMPLE_RATE_HZ)]


def _scene(sound: str) -> Scene:
    return next(scene for scene in SCHEDULE if scene.sound == sound)


def _cut_scene(samples: Array, sound: str) -> Array:
    return _cut(samples, _scene(sound).start_s, _scene(sound).stop_s)


def _peak_hz(samples: Array) -> float:
    frequencies, power = scipy.signal.welch(samples, SAMPLE_RATE_HZ, nperseg=8192)
    return float(frequencies[power.argmax()])


def _rhythm_hz(samples: Array, low_hz: float, high_hz: float) -> float:
    """Return the strongest rate at which the loudness varies, between two rates."""
    envelope = scipy.signal.decimate(np.abs(samples).astype(np.float64), 100, ftype="fir")
    rate_hz = SAMPLE_RATE_HZ / 100
    power = np.abs(np.fft.rfft(envelope - envelope.mean()))
    frequencies = np.fft.rfftfreq(len(envelope), 1 / rate_hz)
    wanted = (frequencies >= low_hz) & (frequencies <= high_hz)
    return float(frequencies[wanted][power[wanted].argmax()])


def test_is_the_same_every_time(samples: Array) -> None:
    np.testing.assert_array_equal(soundscape(), samples)


def test_is_as_long_as_it_says_and_clips_nowhere(samples: Array) -> None:
    assert samples.shape == (round(DURATION_S * SAMPLE_RATE_HZ),)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(0.5)


def test_scenes_follow_each_other_with_quiet_between(samples: Array) -> None:
    edges = [
        0.0,
        *(edge for scene in SCHEDULE for edge in (scene.start_s, scene.stop_s)),
        DURATION_S,
    ]
    assert edges == sorted(edges)
    for start_s, stop_s in zip(edges[::2], edges[1::2], strict=True):
        quiet = _cut(samples, start_s + 0.5, stop_s)
        assert np.sqrt(np.mean(np.square(quiet))) < 0.02


def test_a_peeper_whistles_near_3_khz_about_once_a_second(samples: Array) -> None:
    calls = _cut_scene(samples, "spring peeper")
    assert 2800 <= _peak_hz(calls) <= 3100
    assert _rhythm_hz(calls, 0.5, 1.5) == pytest.approx(1.0, abs=0.15)


def test_a_toad_trills_for_many_seconds(samples: Array) -> None:
    assert _scene("American toad").stop_s - _scene("American toad").start_s >= 10
    trill = _cut_scene(samples, "American toad")
    assert 1500 <= _peak_hz(trill) <= 2000
    assert 30 <= _rhythm_hz(trill, 10, 60) <= 40


@pytest.mark.parametrize("sound", ["motor", "voice"])
def test_a_motor_and_a_voice_are_low_and_of_no_species(samples: Array, sound: str) -> None:
    assert _scene(sound).label is None
    assert _peak_hz(_cut_scene(samples, sound)) < 1000


def test_is_written_whole_and_byte_for_byte_the_same(tmp_path: Path, samples: Array) -> None:
    for name in ("one.wav", "two.wav"):
        write(tmp_path / "folder" / name)
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == ["one.wav", "two.wav"]
    assert (tmp_path / "folder" / "one.wav").read_bytes() == (
        tmp_path / "folder" / "two.wav"
    ).read_bytes()
    read, rate_hz = soundfile.read(tmp_path / "folder" / "one.wav", dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    np.testing.assert_allclose(read, samples, atol=1 / 32768)
