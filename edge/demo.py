"""The demonstration soundscape, synthesised from published descriptions without any recording.

The samples are the same every time. It shows the program at work without anybody's recordings, says
nothing about how well the model does in the field, and is never training material. What each sound
imitates, and where its numbers come from:

spring peeper   a tonal whistle of 0.1-0.2 s near 2.9 kHz that rises a little, about once a second;
                neighbours call in alternation (Forester and Czarnowsky 1985, Behaviour 92;
                Sullivan and Hinshaw 1990, Copeia)
American toad   one trill of many seconds, carrier 1.5-2 kHz, 30-40 pulses a second, swelling at its
                start (Zweifel 1968, Copeia; Sullivan 1992, Copeia)
motor           harmonics of the firing frequency, fading upwards, in a rhythm of the crankshaft: a
                four-stroke engine of four cylinders that idles at 30 turns a second fires 60 times
voice           glottal pulses through formant resonances (Fant 1960, Acoustic Theory of Speech
                Production), vowels of men as measured by Peterson and Barney 1952, J. Acoust. Soc.
                Am. 24; a buzz, no words
wind            noise that falls by 6 dB an octave, in gusts
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

from edge.files import replacing

__all__ = ["DURATION_S", "SAMPLE_RATE_HZ", "SCHEDULE", "Scene", "soundscape", "write"]

SAMPLE_RATE_HZ = 32_000
DURATION_S = 76.0
SEED = 20_190_314

Array = NDArray[np.float32]
Signal = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A sound from `start_s` to `stop_s`; `label` is the species that it imitates.

    The label is None for a sound that the model does not know.
    """

    sound: str
    label: str | None
    start_s: float
    stop_s: float


# Between the scenes there is nothing but wind. Everything is on whole seconds, so that a printed
# table is easy to compare.
SCHEDULE = (
    Scene(sound="spring peeper", label="spring_peeper", start_s=4.0, stop_s=16.0),
    Scene(sound="American toad", label="american_toad", start_s=20.0, stop_s=34.0),
    Scene(sound="motor", label=None, start_s=38.0, stop_s=48.0),
    Scene(sound="voice", label=None, start_s=51.0, stop_s=60.0),
    Scene(sound="spring peeper", label="spring_peeper", start_s=64.0, stop_s=73.0),
)


def soundscape() -> Array:
    """Return all scenes over wind: (DURATION_S * SAMPLE_RATE_HZ,) float32, with a peak of 0.5."""
    rng = np.random.default_rng(SEED)
    mixture = 0.02 * _wind(rng, DURATION_S)
    for scene in SCHEDULE:
        sound = _outdoors(rng, SOUNDS[scene.sound](rng, scene.stop_s - scene.start_s))
        start = round(scene.start_s * SAMPLE_RATE_HZ)
        mixture[start : start + len(sound)] += sound[: len(mixture) - start]
    normalised: Array = (0.5 * mixture / np.abs(mixture).max()).astype(np.float32)
    return normalised


def write(path: Path) -> None:
    """Write the soundscape to `path` as 16 bit WAV, whole or not at all."""
    with replacing(path) as staging:
        soundfile.write(staging, soundscape(), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")


def _time(duration_s: float) -> Signal:
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def _fades(t: Signal, share: float) -> Signal:
    """Return a window of 1 with raised-cosine fades, which together take `share` of it."""
    window: Signal = scipy.signal.windows.tukey(len(t), share)
    return window


def _peeper(rng: np.random.Generator, duration_s: float) -> Signal:
    """Return a near male, and a fainter neighbour half a period behind him."""
    chorus = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    for loudness, low_hz, first_s in ((1.0, 2800.0, 0.15), (0.3, 2950.0, 0.65)):
        for nominal_s in np.arange(first_s, duration_s - 0.4, 1.0):
            peep = loudness * _peep(
                0.15 + 0.01 * rng.standard_normal(), low_hz + 15 * rng.standard_normal()
            )
            start = round((nominal_s + 0.03 * rng.random()) * SAMPLE_RATE_HZ)
            chorus[start : start + len(peep)] += peep
    return chorus


def _peep(duration_s: float, low_hz: float) -> Signal:
    """Return one whistle that rises by 250 Hz, with a faint second harmonic.

    Attack and release are quick, the top is even.
    """
    t = _time(duration_s)
    phase = 2 * np.pi * (low_hz * t + 125.0 * t**2 / duration_s)
    whistle: Signal = _fades(t, 0.5) * (np.sin(phase) + 0.03 * np.sin(2 * phase))
    return whistle


def _toad(rng: np.random.Generator, duration_s: float) -> Signal:
    """Return a trill: 36 rounded pulses a second of a steady carrier, swelling for two seconds."""
    t = _time(duration_s)
    pulses = (t * 36.0) % 1.0
    envelope = np.where(pulses < 0.7, np.sin(np.pi * pulses / 0.7) ** 2, 0.0)
    rise = np.minimum(t / 2.0, 1.0)
    wander_hz = 8.0 * np.sin(2 * np.pi * 0.2 * t + rng.random())
    phase = 2 * np.pi * np.cumsum(1700.0 + 60.0 * rise + wander_hz) / SAMPLE_RATE_HZ
    trill: Signal = (
        0.8 * _fades(t, 0.02) * rise * envelope * (np.sin(phase) + 0.02 * np.sin(2 * phase))
    )
    return trill


def _motor(rng: np.random.Generator, duration_s: float) -> Signal:
    """Return 60 firings a second, every second one stronger, with exhaust noise in that rhythm."""
    t = _time(duration_s)
    turns = np.cumsum(30.0 + 0.4 * np.sin(2 * np.pi * 0.3 * t)) / SAMPLE_RATE_HZ
    tones = sum(
        np.sin(2 * np.pi * 2 * k * turns + rng.uniform(0, 2 * np.pi)) / k for k in range(1, 40)
    )
    rhythm = 1.0 + 0.4 * np.cos(2 * np.pi * turns)
    exhaust = scipy.signal.lfilter([0.2], [1, -0.8], rng.standard_normal(len(t)))
    engine: Signal = 0.35 * _fades(t, 0.2) * rhythm * (tones + 0.4 * exhaust)
    return engine


# Formants of /a/, /i/ and /u/ in Hz, men (Peterson and Barney 1952, table II), each with a
# bandwidth of 80-160 Hz.
VOWELS_HZ = ((730.0, 1090.0, 2440.0), (270.0, 2290.0, 3010.0), (300.0, 870.0, 2240.0))


def _voice(rng: np.random.Generator, duration_s: float) -> Signal:
    """Return syllables of half a second, in each of which the pitch falls from 140 to 110 Hz."""
    speech = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    for number, nominal_s in enumerate(np.arange(0.1, duration_s - 0.6, 0.7)):
        syllable = _syllable(VOWELS_HZ[number % len(VOWELS_HZ)], 0.45 + 0.05 * rng.random())
        start = round(nominal_s * SAMPLE_RATE_HZ)
        speech[start : start + len(syllable)] += syllable
    return speech


def _syllable(formants_hz: tuple[float, ...], duration_s: float) -> Signal:
    t = _time(duration_s)
    cycle = np.cumsum(140.0 - 30.0 * t / duration_s) / SAMPLE_RATE_HZ % 1.0
    sound = np.diff(np.where(cycle < 0.6, cycle**2 * (0.6 - cycle), 0.0), prepend=0.0)
    for formant_hz, bandwidth_hz in zip(formants_hz, (80.0, 100.0, 160.0), strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        poles = [1.0, -2 * radius * np.cos(2 * np.pi * formant_hz / SAMPLE_RATE_HZ), radius**2]
        sound = scipy.signal.lfilter([sum(poles)], poles, sound)
    buzz: Signal = 0.8 * _fades(t, 0.3) * sound / np.abs(sound).max()
    return buzz


def _wind(rng: np.random.Generator, duration_s: float) -> Signal:
    """Return noise through a one-pole low-pass at 50 Hz under slow gusts, over a floor of hiss."""
    n = round(duration_s * SAMPLE_RATE_HZ)
    rumble = scipy.signal.lfilter([0.01], [1, -0.99], rng.standard_normal(n))
    knots = rng.uniform(0.3, 1.0, int(duration_s / 3) + 2)
    gusts = np.interp(np.arange(n) / SAMPLE_RATE_HZ, 3.0 * np.arange(len(knots)), knots)
    wind: Signal = 5 * gusts * rumble / np.abs(rumble).max() + 0.05 * rng.standard_normal(n)
    return wind


def _outdoors(rng: np.random.Generator, dry: Signal) -> Signal:
    """Add scatter from trees and ground: 0.25 s of decaying noise, 20 dB below the direct sound."""
    t = _time(0.25)
    tail = rng.standard_normal(len(t)) * np.exp(-t / 0.05)
    tail *= 0.1 / np.sqrt(np.square(tail).sum())
    wet: Signal = np.pad(scipy.signal.fftconvolve(dry, tail), (0, 1))
    wet[: len(dry)] += dry
    return wet


SOUNDS: dict[str, Callable[[np.random.Generator, float], Signal]] = {
    "spring peeper": _peeper,
    "American toad": _toad,
    "motor": _motor,
    "voice": _voice,
}


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(f"wrote {sys.argv[1]}: {DURATION_S:g} s of synthetic sound", file=sys.stderr)
