"""Recordings in which every call is known: placed at random times in background, and marked.

    python -m tests.support.marked --data ../shared/data --out build/marked

Each call is a loud stretch of a recording of its species that stands alone: where the sound in some
band rises far above the quiet level of that band. Without recordings the calls are those of the
demonstration, in its wind. `edge bench --marked FOLDER` measures events against the marks.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.signal
import soundfile
from numpy.typing import NDArray

from edge import demo

__all__ = [
    "RATE_HZ",
    "Call",
    "demonstration_calls",
    "loud_call",
    "place",
    "real_calls",
    "write_set",
]

RATE_HZ = 32_000
MARKS = "marks.csv"
FRAME, STEP = 1024, 256  # of the spectrum, samples: 8 ms from one to the next
BAND = 8  # bins of the spectrum that are taken together, 250 Hz
LOWEST_HZ = 300.0
CALL_DB, QUIET_DB, PEAK_DB = 12.0, 9.0, 25.0  # above the quiet level of a band
PAUSE_S = 0.5  # calls with less between them are one, and around one there is as much quiet
LENGTHS_S = (0.3, 8.0)
FADE_S = 0.03
SECONDS = 45.0
EDGE_S, APART_S = 4.0, (1.0, 12.0)
LEVELS_DB = (8.0, 20.0)  # of a call above the background

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a species: samples (n,) at `RATE_HZ`."""

    label: str
    common_name: str
    samples: Array


def loud_call(samples: Array) -> slice | None:
    """Return the loudest stretch that stands alone, None where there is none."""
    _, _, spectrum = scipy.signal.stft(samples, RATE_HZ, nperseg=FRAME, noverlap=FRAME - STEP)
    power = np.square(np.abs(spectrum[round(LOWEST_HZ * FRAME / RATE_HZ) :]))
    power = power[: len(power) // BAND * BAND].reshape(-1, BAND, power.shape[1]).mean(1) + 1e-12
    above = 10 * np.log10(power / np.percentile(power, 20, axis=1, keepdims=True))
    level = scipy.ndimage.uniform_filter1d(above, 5, axis=1).max(0)
    best, found = PEAK_DB, None
    for first, last in _stretches(level >= CALL_DB, round(PAUSE_S * RATE_HZ / STEP)):
        around = round(PAUSE_S * RATE_HZ / STEP)
        before, after = level[max(first - around, 0) : first - 2], level[last + 3 : last + around]
        alone = first > around and last + around < len(level)
        quiet = alone and np.percentile(np.concatenate([before, after]), 90) < QUIET_DB
        length_s = (last + 1 - first) * STEP / RATE_HZ
        loudness = float(np.percentile(level[first : last + 1], 75))
        if quiet and LENGTHS_S[0] <= length_s <= LENGTHS_S[1] and loudness > best:
            best, found = loudness, slice(first * STEP, (last + 1) * STEP)
    return found


def _stretches(active: NDArray[np.bool_], pause: int) -> Iterator[tuple[int, int]]:
    """Yield first and last frame of what is active with pauses below `pause` frames in it."""
    frames = np.flatnonzero(active)
    if len(frames):
        for part in np.split(frames, np.flatnonzero(np.diff(frames) > pause) + 1):
            yield int(part[0]), int(part[-1])


def real_calls(data: Path, *, species: Sequence[str] = (), most: int = 2) -> Iterator[Call]:
    """Yield at most so many calls of each species of a collection, each of another recording."""
    with (data / "manifest.csv").open(encoding="utf-8") as opened:
        rows = [row for row in csv.DictReader(opened) if row["role"] == "known"]
    taken: dict[str, int] = {}
    for row in rows:
        label = row["label"]
        if taken.get(label, 0) >= most or (species and label not in species):
            continue
        samples = _read(data / row["path"])
        found = loud_call(samples)
        if found is not None:
            taken[label] = taken.get(label, 0) + 1
            yield Call(label=label, common_name=row["common_name"], samples=samples[found])


def demonstration_calls() -> Iterator[Call]:
    """Yield the calls of the demonstration that a species makes."""
    sound = demo.soundscape()
    for scene in demo.SCHEDULE:
        if scene.label is not None:
            span = slice(*(round(s * RATE_HZ) for s in (scene.start_s + 0.2, scene.stop_s - 0.4)))
            name = scene.label.replace("_", " ").title()
            yield Call(label=scene.label, common_name=name, samples=sound[span])


def place(
    call: Call,
    background: Array,
    rng: np.random.Generator,
    *,
    levels_db: tuple[float, float] = LEVELS_DB,
) -> tuple[Array, list[tuple[float, float]]]:
    """Return the background with the call in it twice, and where: start and end in seconds.

    `levels_db` is how far the call is above the background, from the least to the most.
    """
    length_s = len(call.samples) / RATE_HZ
    room_s = len(background) / RATE_HZ - 2 * EDGE_S - 2 * length_s
    pause_s = rng.uniform(APART_S[0], max(min(APART_S[1], room_s), APART_S[0]))
    first_s = EDGE_S + rng.uniform(0, max(room_s - pause_s, 0))
    starts_s = (first_s, first_s + length_s + pause_s)
    sound = _faded(call.samples)
    gain = 10 ** (rng.uniform(*levels_db) / 20) * _rms(background) / _rms(sound)
    mixture = background.copy()
    for start_s in starts_s:
        start = round(start_s * RATE_HZ)
        mixture[start : start + len(sound)] += gain * sound
    scaled: Array = (0.5 * mixture / np.abs(mixture).max()).astype(np.float32)
    return scaled, [(start_s, start_s + length_s) for start_s in starts_s]


def write_set(
    folder: Path,
    calls: Iterable[Call],
    backgrounds: Sequence[Path],
    *,
    seed: int = 1,
    levels_db: tuple[float, float] = LEVELS_DB,
) -> int:
    """Write a recording for each call, and `marks.csv`; return how many calls are marked."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    marks: list[dict[str, object]] = []
    for number, call in enumerate(calls):
        mixture, spans = place(call, _background(backgrounds, rng), rng, levels_db=levels_db)
        name = f"{number:03}_{call.label}.flac"
        soundfile.write(folder / name, mixture, RATE_HZ, subtype="PCM_16")
        names = {"file": name, "label": call.label, "common_name": call.common_name}
        marks += [{**names, "start_s": f"{a:.3f}", "end_s": f"{b:.3f}"} for a, b in spans]
    with (folder / MARKS).open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, ("file", "label", "common_name", "start_s", "end_s"))
        writer.writeheader()
        writer.writerows(marks)
    return len(marks)


def _background(files: Sequence[Path], rng: np.random.Generator) -> Array:
    """Return some files one after another, each as loud, cut to length; else made wind."""
    count, sound = round(SECONDS * RATE_HZ), np.empty(0, np.float32)
    while len(sound) < count:
        part = _read(files[int(rng.integers(len(files)))]) if files else _wind(rng, count)
        sound = np.concatenate([sound, _faded(part / max(_rms(part), 1e-6))])
    return sound[:count]


def _wind(rng: np.random.Generator, count: int) -> Array:
    """Return noise that falls with frequency, as wind does."""
    wind: Array = scipy.signal.lfilter([1], [1, -0.9], rng.standard_normal(count))
    return wind.astype(np.float32)


def _read(file: Path) -> Array:
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    mono: Array = samples.mean(1)
    if rate_hz != RATE_HZ:
        mono = scipy.signal.resample_poly(mono, RATE_HZ, rate_hz).astype(np.float32)
    return mono


def _rms(samples: Array) -> float:
    """Return the level above the rumble of wind and road."""
    high = scipy.signal.sosfilt(
        scipy.signal.butter(2, LOWEST_HZ, "highpass", fs=RATE_HZ, output="sos"), samples
    )
    return float(np.sqrt(np.square(high).mean()))


def _faded(samples: Array) -> Array:
    share = min(2 * FADE_S * RATE_HZ / len(samples), 1.0)
    faded: Array = (samples * scipy.signal.windows.tukey(len(samples), share)).astype(np.float32)
    return faded


def main() -> None:
    """Write a set."""
    parser = argparse.ArgumentParser(description="Recordings with calls at known times.")
    parser.add_argument("--data", type=Path, help="recordings with manifest.csv; else made sound")
    parser.add_argument(
        "--background", type=Path, help="folder of recordings; else that of the data, or made wind"
    )
    parser.add_argument("--species", nargs="*", default=(), help="labels; else all")
    parser.add_argument("--most", type=int, default=2, help="calls of each species")
    parser.add_argument("--out", type=Path, default=Path("build/marked"))
    given = parser.parse_args()
    folder = given.background or (given.data and given.data / "background")
    found = sorted(folder.rglob("*.*")) if folder else []
    backgrounds = [file for file in found if file.suffix in (".ogg", ".opus", ".wav", ".flac")]
    calls = demonstration_calls()
    if given.data is not None:
        calls = real_calls(given.data, species=given.species, most=given.most)
    print(f"{given.out}: {write_set(given.out, calls, backgrounds)} calls")


if __name__ == "__main__":
    main()
