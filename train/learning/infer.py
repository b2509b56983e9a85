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
from train.windows.activity import Activity, measure_activity
from train.windows.audio import loop_to, read_audio, windows_at
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
    keep(recording, spec=spec, hop_s=hop_s, cache=cache)
    parts = list(_parts_of(recording, spec=spec, hop_s=hop_s, cache=cache))
    columns = [field.name for field in dataclasses.fields(CutWindows)]
    return CutWindows(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in columns})


def keep(recording: Recording, *, spec: FrontendSpec, hop_s: float, cache: Path) -> None:
    """Compute the windows of a recording unless `cache` has them.

    Those of a long one are kept in parts: all of a night would not fit into memory.
    """
    files = _files(recording, spec=spec, hop_s=hop_s, cache=cache)
    if all(file.exists() for file in files):
        return
    parts = (
        [cut_windows(recording.path, spec=spec, hop_s=hop_s)]
        if len(files) == 1
        else cut_in_parts(recording.path, recording.seconds, spec=spec, hop_s=hop_s)
    )
    for file, windows in zip(files, parts, strict=True):
        with replacing(file) as staged:
            np.savez(staged, **dataclasses.asdict(windows))


def _parts_of(
    recording: Recording, *, spec: FrontendSpec, hop_s: float, cache: Path
) -> Iterator[CutWindows]:
    for file in _files(recording, spec=spec, hop_s=hop_s, cache=cache):
        with np.load(file) as arrays:
            windows = CutWindows(**arrays)
        yield _as_marked(recording, windows, spec)


def _files(recording: Recording, *, spec: FrontendSpec, hop_s: float, cache: Path) -> list[Path]:
    folder = cache / f"windows-{spec.digest[:16]}-{hop_s:g}"
    if recording.seconds <= max(MAX_S, spec.window_s):
        return [folder / f"{recording.sha256}.npz"]
    count = len(_part_starts(recording.seconds, spec, hop_s))
    return [folder / f"{recording.sha256}-{k}-of-{count}.npz" for k in range(count)]


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
    """Cut a recording that fits into memory into windows every `hop_s`, and compute their features.

    A recording shorter than a window is looped to fill one.
    """
    length = spec.window_samples
    samples = loop_to(read_audio(path, spec.sample_rate_hz), length)
    activity = _activity(_level_db(samples, spec), spec, hop_s)
    starts = activity.starts * spec.hop_length
    fits = starts + length <= len(samples)
    return _featured(samples, starts[fits], activity.active[fits], spec)


def cut_in_parts(
    path: Path, seconds: float, *, spec: FrontendSpec, hop_s: float
) -> Iterator[CutWindows]:
    """Yield the windows of a long recording as `cut_windows` would, in parts of about `MAX_S`.

    Activity is measured on all of it, as a call is judged by the loudest of the recording.
    """
    first = _part_starts(seconds, spec, hop_s)
    step, total = _part_samples(spec, hop_s), int(seconds * spec.sample_rate_hz)
    parts = partial(windows_at, path, spec.sample_rate_hz, first, step + spec.window_samples)
    level = []
    for start, samples in zip(first, parts(), strict=True):
        frames = None if start == first[-1] else step // spec.hop_length
        level.append(_level_db(samples[: total - start], spec)[:, :frames])
    activity = _activity(np.concatenate(level, axis=1), spec, hop_s)
    starts = activity.starts * spec.hop_length
    for start, samples in zip(first, parts(), strict=True):
        inside = (starts >= start) & (starts < start + step)
        inside &= starts + spec.window_samples <= total
        part = _featured(samples, starts[inside] - start, activity.active[inside], spec)
        yield dataclasses.replace(part, start_s=part.start_s + start / spec.sample_rate_hz)


def _hop_frames(spec: FrontendSpec, hop_s: float) -> int:
    """Return the hop in whole frames, so that activity, which is measured on the recording's
    frames, is that of the same window.
    """
    return max(1, round(hop_s * spec.frames_per_second))


def _part_samples(spec: FrontendSpec, hop_s: float) -> int:
    hop = _hop_frames(spec, hop_s) * spec.hop_length
    return max(1, round(MAX_S * spec.sample_rate_hz / hop)) * hop


def _part_starts(seconds: float, spec: FrontendSpec, hop_s: float) -> NDArray[np.int64]:
    """Return the samples at which the parts of a long recording start; each has a window."""
    last = int(seconds * spec.sample_rate_hz) - spec.window_samples
    return np.arange(0, last + 1, _part_samples(spec, hop_s), dtype=np.int64)


def _level_db(samples: Array, spec: FrontendSpec) -> Array:
    """Return the first component of a frontend in dB (n_mels, frames)."""
    first = dataclasses.replace(spec, channels=spec.channels[:1])
    level: Array = power_to_db(Frontend(first).components(samples)[0])
    return level


def _activity(level_db: Array, spec: FrontendSpec, hop_s: float) -> Activity:
    return measure_activity(
        level_db, window_frames=spec.component_frames - 1, hop_frames=_hop_frames(spec, hop_s)
    )


def _featured(
    samples: Array, starts: NDArray[np.int64], active: NDArray[np.bool_], spec: FrontendSpec
) -> CutWindows:
    frontend = Frontend(spec)
    features = [frontend(samples[start : start + spec.window_samples]) for start in starts]
    return CutWindows(
        features=np.stack(features), start_s=starts / spec.sample_rate_hz, active=active
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
    _keep_all(recordings, spec=spec, hop_s=hop_s, cache=cache, workers=workers)
    parts_of = partial(_parts_of, spec=spec, hop_s=hop_s, cache=cache)
    for recording, windows in ((r, part) for r in recordings for part in parts_of(r)):
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
    """Yield `windows_of` of every recording, in their order, computed by `workers` processes."""
    _keep_all(recordings, spec=spec, hop_s=hop_s, cache=cache, workers=workers)
    yield from (windows_of(r, spec=spec, hop_s=hop_s, cache=cache) for r in recordings)


def _keep_all(
    recordings: Sequence[Recording], *, spec: FrontendSpec, hop_s: float, cache: Path, workers: int
) -> None:
    task = partial(keep, spec=spec, hop_s=hop_s, cache=cache)
    kept = partial(_files, spec=spec, hop_s=hop_s, cache=cache)
    missing = [r for r in recordings if not all(file.exists() for file in kept(r))]
    if workers < 2 or not missing:  # processes take seconds to start
        for recording in missing:
            task(recording)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(task, missing, chunksize=4):
            pass  # asked for, so that a failure is raised here
