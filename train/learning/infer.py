"""Run a network over recordings as the device does: the frontend on every window.

Nothing is taken from the cache of training, and nothing is cropped.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Frontend, FrontendSpec
from edge.bundle.features import power_to_db
from edge.files import replacing
from train.corpus.corpus import Corpus, Recording
from train.windows.activity import measure_activity
from train.windows.audio import loop_to, read_audio
from train.windows.cache import MAX_S
from train.windows.outputs import COLUMNS, WindowOutputs

__all__ = ["CutWindows", "run_network", "windows_of", "windows_of_all"]

Array = NDArray[np.float32]
# Features (B, C, F, T) -> embedding (B, D), logits (B, K).
Network = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True)
class CutWindows:
    """The windows of one recording.

    It holds features (W, C, F, T), starts in seconds (W,), and which are active (W,) bool.
    """

    features: Array
    start_s: NDArray[np.float64]
    active: NDArray[np.bool_]


def windows_of(
    recording: Recording, *, spec: FrontendSpec, hop_s: float, cache: Path
) -> CutWindows:
    """Return the windows of a recording every `hop_s`.

    They are computed once, and kept in `cache` by the digest of the spec and of the recording.
    """
    file = _kept(recording, spec=spec, hop_s=hop_s, cache=cache)
    if file.exists():
        with np.load(file) as arrays:
            return _as_marked(recording, CutWindows(**arrays), spec)
    windows = cut_windows(recording.path, spec=spec, hop_s=hop_s)
    with replacing(file) as staged:
        np.savez(staged, **dataclasses.asdict(windows))
    return _as_marked(recording, windows, spec)


def _kept(recording: Recording, *, spec: FrontendSpec, hop_s: float, cache: Path) -> Path:
    return cache / f"windows-{spec.digest[:16]}-{hop_s:g}" / f"{recording.sha256}.npz"


def _as_marked(recording: Recording, windows: CutWindows, spec: FrontendSpec) -> CutWindows:
    """Return the windows, active only where a person has not marked them otherwise.

    A window with speech in it, or one in a pause, is not taken as the species, whatever its level.
    """
    active = windows.active.copy()
    for stretch in recording.stretches:
        start, end = windows.start_s, windows.start_s + spec.window_s
        speech = (start < stretch.end_s) & (end > stretch.start_s)
        pause = (start >= stretch.start_s) & (np.minimum(end, recording.seconds) <= stretch.end_s)
        active &= ~(speech if stretch.kind == "human_voice" else pause)
    return dataclasses.replace(windows, active=active)


def cut_windows(path: Path, *, spec: FrontendSpec, hop_s: float) -> CutWindows:
    """Cut a recording into windows every `hop_s` and compute their features.

    A recording shorter than a window is looped to fill one.
    """
    frontend = Frontend(spec)
    length = spec.window_samples
    first = dataclasses.replace(spec, channels=spec.channels[:1])
    samples = loop_to(read_audio(path, spec.sample_rate_hz, max_s=MAX_S), length)
    # The hop in whole frames, so that activity, which is measured on the recording's frames, is
    # that of the same window.
    hop_frames = max(1, round(hop_s * spec.frames_per_second))
    activity = measure_activity(
        power_to_db(Frontend(first).components(samples)[0]),
        window_frames=spec.component_frames - 1,
        hop_frames=hop_frames,
    )
    starts = activity.starts * spec.hop_length
    fits = starts + length <= len(samples)
    features = np.stack([frontend(samples[s : s + length]) for s in starts[fits]])
    return CutWindows(
        features=features, start_s=starts[fits] / spec.sample_rate_hz, active=activity.active[fits]
    )


def run_network(
    network: Network,
    corpus: Corpus,
    recordings: Sequence[Recording],
    *,
    spec: FrontendSpec,
    labels: tuple[str, ...],
    hop_s: float,
    cache: Path,
    workers: int,
) -> WindowOutputs:
    """Return embedding and logits of every window of `recordings`, some of the corpus's."""
    position = {r.path: i for i, r in enumerate(corpus.recordings)}
    columns: dict[str, list[NDArray[np.generic]]] = {name: [] for name in COLUMNS}
    cut = windows_of_all(recordings, spec=spec, hop_s=hop_s, cache=cache, workers=workers)
    for recording, windows in zip(recordings, cut, strict=True):
        embedding, logits = network(windows.features)
        columns["recording"].append(np.full(len(logits), position[recording.path]))
        columns["start_s"].append(windows.start_s)
        columns["active"].append(windows.active)
        columns["embedding"].append(embedding)
        columns["logits"].append(logits)
    return WindowOutputs(labels=labels, **{k: np.concatenate(v) for k, v in columns.items()})


def windows_of_all(
    recordings: Sequence[Recording], *, spec: FrontendSpec, hop_s: float, cache: Path, workers: int
) -> Iterator[CutWindows]:
    """Yield `windows_of` of every recording, in their order, by `workers` processes."""
    task = partial(windows_of, spec=spec, hop_s=hop_s, cache=cache)
    missing = [r for r in recordings if not _kept(r, spec=spec, hop_s=hop_s, cache=cache).exists()]
    if workers < 2 or not missing:  # processes take seconds to start
        yield from map(task, recordings)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(task, recordings, chunksize=4)
