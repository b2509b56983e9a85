"""Recordings that anyone could tell apart: species are tones and rhythms, by four people each."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["SPECIES", "UNKNOWN", "song", "write_collection"]

RATE_HZ = 16_000
SPECIES = {"hummer": (400.0, 2.0), "peeper": (3000.0, 1.0), "triller": (1500.0, 12.0)}
PEOPLE = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay")
UNKNOWN = {
    "growler": (150.0, 5.0),
    "clicker": (5500.0, 6.0),
    "wailer": (800.0, 0.5),
    "buzzer": (2200.0, 25.0),
}


def song(name: str, seconds: float, *, seed: int) -> NDArray[np.float32]:
    """A tone switched on and off at the species' rhythm, out of tune, over a noise floor."""
    frequency, rhythm = {**SPECIES, **UNKNOWN}[name]
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * frequency * rng.uniform(0.97, 1.03) * t) * (
        np.sin(2 * np.pi * rhythm * t + rng.uniform(0, 6)) > 0
    )
    return (0.3 * tone + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def write_collection(folder: Path, *, species: int = 3) -> Path:
    """Write the recordings and their manifest; returns the manifest's path."""
    rng = np.random.default_rng(5)
    rows: list[tuple[str, str, str, str]] = []

    def add(role: str, name: str, samples: NDArray[np.float32], recordist: str = "") -> None:
        path = folder / role / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, RATE_HZ)
        label = name.rpartition("_")[0]
        rows.append((path.relative_to(folder).as_posix(), role, label, recordist))

    for name in list(SPECIES)[:species]:
        for i in range(8):
            samples = song(name, rng.uniform(3, 7), seed=len(rows))
            add("known", f"{name}_{i}", samples, f"{name} {PEOPLE[i // 2]}")
    for name in UNKNOWN:
        for i in range(2):
            samples = song(name, 6, seed=len(rows))
            add("unknown", f"{name}_{i}", samples, f"{name} {PEOPLE[4 + i]}")
    for i in range(10):
        add("noise", f"hiss_{i}", _noise(rng, 5, 0.1))
        add("background", f"soundscape_{i}", _noise(rng, 6, 0.002))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "role", "label", "recordist"))
        writer.writerows(rows)
    return manifest


def _noise(rng: np.random.Generator, seconds: int, level: float) -> NDArray[np.float32]:
    return (level * rng.standard_normal(seconds * RATE_HZ)).astype(np.float32)
