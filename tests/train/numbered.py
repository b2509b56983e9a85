"""Training windows whose components say which frame they are, and a network to learn from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.bundle import FrontendSpec
from edge.files import replacing
from train.corpus.corpus import Recording, Role
from train.networks import build_network
from train.networks.segmentation import Segmentation
from train.windows.cache import ComponentCache
from train.windows.dataset import TrainingWindows
from train.windows.pseudo import LabelledStretch, PseudoLabels
from train.windows.sampling import Sampling

__all__ = [
    "LABELS",
    "SPEC",
    "Make",
    "frames_of",
    "others",
    "pseudo_of",
    "recording",
    "segmentation",
    "stretch",
    "training_windows",
]

Array = NDArray[np.float32]
# 100 frames a second, windows of 2 s
SIZES = {
    "sample_rate_hz": 8000,
    "window_s": 2.0,
    "n_fft": 160,
    "hop_length": 80,
    "n_mels": 32,
    "fmax_hz": 4000.0,
}
SPEC = FrontendSpec.parse({**SIZES, "channels": [{"component": "mel", "level": {"kind": "max"}}]})
LABELS = ("a", "b", "c")
Make = Callable[..., TrainingWindows]


def recording(name: str, seconds: float, role: Role = "known", **more: Any) -> Recording:
    return Recording(
        path=Path(f"/x/{name}.wav"),
        role=role,
        label=name[0],
        recording=name,
        seconds=seconds,
        sha256=name * 12,
        **more,
    )


def frames_of(power: Array) -> NDArray[np.int64]:
    """The frames of a recording that a window was cut from."""
    frames: NDArray[np.int64] = np.round(10 * np.log10(power[0, 0]) * 100).astype(np.int64)
    return frames


def others() -> list[Recording]:
    return [recording("b1", 4), recording("c1", 4)]


def training_windows(folder: Path, recordings: list[Recording], **sampling: Any) -> TrainingWindows:
    """Windows of recordings in which band 0 rises by 0.01 dB a frame."""
    cache = ComponentCache(folder=folder / "cache", spec=SPEC)
    for r in recordings:
        frames = 1 + int(max(r.seconds, SPEC.window_s) * 100)
        components = np.full((1, 32, frames), -60, np.float16)
        components[0, :, 0 : frames // 2] = -20  # heard in the first half
        components[0, 0] = np.arange(frames) % 1000 / 100
        with replacing(cache.path(r)) as staged:
            np.save(staged, components)
    return TrainingWindows(recordings, cache=cache, labels=LABELS, sampling=Sampling(**sampling))


def pseudo_of(folder: Path, stretches: dict[Recording, list[LabelledStretch]]) -> PseudoLabels:
    pseudo = PseudoLabels(folder=folder, labels=LABELS)
    for r, heard in stretches.items():
        pseudo.write(r, heard)
    return pseudo


def stretch(label: str, start_s: float, end_s: float, state: Any) -> LabelledStretch:
    return LabelledStretch(label=label, start_s=start_s, end_s=end_s, state=state, score=0.5)


def segmentation() -> Segmentation:
    size = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "cardinality": 1, "base_width": 64}
    torch.manual_seed(0)
    network = build_network(
        "segmentation", {"width": 16, "heads": 2, "size": size}, shape=SPEC.shape, classes=3
    )
    assert isinstance(network, Segmentation)
    return network
