"""Component spectrograms of whole recordings, computed once and kept.

What is cached is the mel power of each component *before* the levels (in dB, float16: 0.06 dB at
worst). So training can crop at any frame, and mix recordings in the power domain, where sound adds;
the frontend's own `levels` then runs on the mixture.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle.features import Frontend, power_to_db
from edge.bundle.spec import FrontendSpec
from edge.files import replacing
from train.corpus.corpus import Recording
from train.recipe.sections import LONGEST_S
from train.windows.audio import loop_to, read_audio

__all__ = ["ComponentCache", "to_power"]

MAX_S = LONGEST_S


@dataclass(frozen=True, kw_only=True)
class ComponentCache:
    """Files `<folder>/<component digest>/<sha256 of the recording>.npy`.

    Each holds (channels, n_mels, frames) float16 dB. A recording shorter than a window, or than
    `least_s`, is repeated from its beginning; with a `least_s` it has a folder of its own.
    """

    folder: Path
    spec: FrontendSpec
    least_s: float = 0.0

    def path(self, recording: Recording) -> Path:
        """Return where the components of `recording` are kept."""
        repeated = f"-{self.least_s:g}s" if self.least_s else ""
        name = f"{self.spec.component_digest[:16]}{repeated}"
        return self.folder / name / f"{recording.sha256}.npy"

    def load(self, recording: Recording) -> NDArray[np.float16]:
        """Return the components of one recording, from the cache or computed now."""
        file = self.path(recording)
        if not file.exists():
            _compute(self.spec, self.least_s, recording.path, file)
        components: NDArray[np.float16] = np.load(file)
        return components

    def fill(self, recordings: Iterable[Recording], *, workers: int) -> None:
        """Compute what is missing in `workers` processes; with one, in this one."""
        missing = [r for r in recordings if not self.path(r).exists()]
        # A process of its own takes seconds to start, and computes nothing sooner.
        if workers < 2 or not missing:
            for recording in missing:
                _compute(self.spec, self.least_s, recording.path, self.path(recording))
            return
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            specs = [self.spec] * len(missing)
            audio = [r.path for r in missing]
            files = [self.path(r) for r in missing]
            least = [self.least_s] * len(missing)
            for _ in pool.map(_compute, specs, least, audio, files):
                pass  # asked for, so that a failure is raised here


def to_power(components: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return cached dB as mel power, float32."""
    bels = components.astype(np.float32) * np.float32(0.1)
    power: NDArray[np.float32] = np.power(np.float32(10), bels)
    return power


def _compute(spec: FrontendSpec, least_s: float, audio: Path, file: Path) -> None:
    least = max(spec.window_samples, round(least_s * spec.sample_rate_hz))
    samples = loop_to(read_audio(audio, spec.sample_rate_hz, max_s=MAX_S), least)
    components = power_to_db(Frontend(spec).components(samples)).astype(np.float16)
    with replacing(file) as staged:
        np.save(staged, components)
