"""Small studies of tones, on a trunk that knows three of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from tests.support.audio import noise
from tests.support.bundles import SPEC, tone
from train.commands.cli import main

__all__ = ["RATE_HZ", "SUNG", "adapt", "clips_of", "folder_of", "on_trunk", "sung"]

RATE_HZ = SPEC.sample_rate_hz
SUNG = {"hummer": 300.0, "moaner": 650.0, "whiner": 2000.0}  # the trunk has the first


def sung(hz: float, seed: int) -> np.ndarray:
    """A call of 2 s between two breaths of 1.5 s."""
    rng = np.random.default_rng(seed)
    call = tone(hz * rng.uniform(0.99, 1.01), 2, level=rng.uniform(0.1, 0.4))
    breath = noise(1.5, level=1e-4, seed=seed)
    return np.concatenate([breath, call, breath]).astype(np.float32)


def folder_of(
    root: Path, *, each: int = 8, species: Mapping[str, float] = SUNG, noises: int = 6
) -> Path:
    """A folder per species, and one of noise, which spares synthesising it."""
    for name, hz in species.items():
        clips_of(root / name, hz, each=each)
    (root / "noise").mkdir(parents=True, exist_ok=True)
    for i in range(noises):
        samples = noise(4.0, level=0.05 * (1 + i), seed=i)
        soundfile.write(root / "noise" / f"noise{i}.wav", samples, RATE_HZ)
    return root


def clips_of(folder: Path, hz: float, *, each: int, first: int = 0) -> list[Path]:
    """Recordings of one call each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{folder.name}{i}.wav" for i in range(first, first + each)]
    for i, path in enumerate(paths, first):
        soundfile.write(path, sung(hz, i), RATE_HZ)
    return paths


def adapt(*args: object) -> Result:
    """What the command says."""
    words = [str(arg) for arg in args]
    return CliRunner().invoke(main, ["adapt", *words, "--workers", "1"])


def on_trunk(data: Path, trunk: Bundle, out: Path, *more: object) -> Result:
    """What the command says that makes a head of a folder."""
    cache = out.parent / "cache"
    made = ("--data", data, "--trunk", trunk.path, "--out", out)
    return adapt(*made, "--cache", cache, "--hop-s", "0.5", *more)
