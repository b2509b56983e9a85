"""What a training step sees: windows drawn from weakly labelled recordings, balanced by species, then by recording.

Every draw takes the generator as an argument: its state is in the checkpoint, so a resumed run sees the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.spec import FrontendSpec
from train.activity import measure_activity
from train.cache import ComponentCache, to_power
from train.corpus import Recording

__all__ = ["TrainingWindows", "most_active_window"]

Array = NDArray[np.float32]
HOP_FRAMES = 20
# What an outlier is drawn from, where there is any: other species matter most, they are what a recorder hears.
OUTLIER_SHARES = {"unknown": 0.6, "noise": 0.2, "background": 0.1, "quiet": 0.1}
INTERFERENCE_SHARES = {"background": 0.5, "noise": 0.3, "quiet": 0.2}


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Components of one recording (channels, n_mels, frames) float16 dB, and where its windows may start."""

    components: NDArray[np.float16]
    starts: NDArray[np.int64]


class TrainingWindows:
    """The training recordings in memory. `labels` are the known species; known recordings of any other label are outliers."""

    def __init__(self, recordings: Iterable[Recording], *, cache: ComponentCache, labels: Sequence[str]) -> None:
        self.spec: FrontendSpec = cache.spec
        self.labels = tuple(labels)
        self._known: dict[str, list[_Windows]] = {label: [] for label in labels}
        self._others: dict[str, dict[str, list[_Windows]]] = {"unknown": {}, "noise": {}, "background": {}, "quiet": {}}
        for recording in recordings:
            self._add(recording, cache.load(recording))
        self._weights = {label: _recording_weights(windows) for label, windows in self._known.items()}

    def known(self, rng: np.random.Generator, label: int) -> Array:
        """Mel power (channels, n_mels, frames) of an active window of species number `label`."""
        name = self.labels[label]
        return self._crop(rng, self._known[name][rng.choice(len(self._weights[name]), p=self._weights[name])])

    def outlier(self, rng: np.random.Generator) -> Array:
        """Mel power of a window that is none of the species: another species, noise, background, or a pause in a recording."""
        return self._other(rng, OUTLIER_SHARES)

    def interference(self, rng: np.random.Generator) -> Array:
        """Mel power of noise, background or a pause, to be mixed under a window."""
        return self._other(rng, INTERFERENCE_SHARES)

    @property
    def has_outliers(self) -> bool:
        """Whether there is anything to draw outliers or interference from."""
        return any(self._others.values())

    def _other(self, rng: np.random.Generator, shares: dict[str, float]) -> Array:
        kinds = [kind for kind in shares if self._others[kind]]
        weights = np.array([shares[kind] for kind in kinds])
        groups = self._others[kinds[rng.choice(len(kinds), p=weights / weights.sum())]]
        group = groups[list(groups)[rng.integers(len(groups))]]
        return self._crop(rng, group[rng.integers(len(group))])

    def _crop(self, rng: np.random.Generator, windows: _Windows) -> Array:
        frames, total = self.spec.component_frames, windows.components.shape[2]
        start = min(int(rng.choice(windows.starts)) + int(rng.integers(HOP_FRAMES)), total - frames)
        return to_power(windows.components[:, :, start : start + frames])

    def _add(self, recording: Recording, components: NDArray[np.float16]) -> None:
        activity = measure_activity(components[0], window_frames=self.spec.component_frames, hop_frames=HOP_FRAMES)
        windows = _Windows(components=components, starts=activity.starts[activity.active])
        if recording.role == "known" and recording.label in self._known:
            self._known[recording.label].append(windows)
        else:
            role = "unknown" if recording.role == "known" else recording.role
            self._others[role].setdefault(recording.label, []).append(windows)
        if recording.role in ("known", "unknown") and activity.quiet.any():
            pauses = _Windows(components=components, starts=activity.starts[activity.quiet])
            self._others["quiet"].setdefault("quiet", []).append(pauses)


def most_active_window(components: NDArray[np.float16], spec: FrontendSpec) -> Array:
    """Mel power (channels, n_mels, frames) of the window of a recording in which most is heard."""
    frames = spec.component_frames
    activity = measure_activity(components[0], window_frames=frames, hop_frames=HOP_FRAMES)
    start = int(activity.starts[activity.level_db.argmax()])
    return to_power(components[:, :, start : start + frames])


def _recording_weights(windows: list[_Windows]) -> NDArray[np.float64]:
    """Square root of the number of active windows: a long recording counts more than a short one, but not in proportion."""
    weights: NDArray[np.float64] = np.sqrt([len(w.starts) for w in windows])
    return np.asarray(weights / weights.sum(), np.float64)
