"""What one iteration of training sees: windows drawn from weakly labelled recordings.

They are balanced by species, then by recording. Every draw takes the generator as an argument: its
state is in the checkpoint, so a resumed run sees the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bins import first_channel
from edge.bundle.spec import FrontendSpec
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.networks.segmentation import SCALE
from train.windows.activity import measure_activity
from train.windows.cache import ComponentCache, to_power
from train.windows.dilation import dilated
from train.windows.sampling import Drawn, Sampling, short_enough
from train.windows.survey import HOP_FRAMES, RecordingWindows, is_known, survey

__all__ = ["TrainingWindows", "most_active_window"]

Array = NDArray[np.float32]
Starts = NDArray[np.int64]
# What an outlier is drawn from, where there is any: other species matter most, they are what a
# recorder hears.
OUTLIER_SHARES = {"unknown": 0.6, "noise": 0.2, "background": 0.1, "quiet": 0.1}
INTERFERENCE_SHARES = {"background": 0.5, "noise": 0.3, "quiet": 0.2}
ANIMAL_SHARES = {"unknown": 1.0}


class TrainingWindows:
    """The training recordings in memory.

    `labels` are the species to learn; known recordings of any other label are outliers.
    `pseudo_digest` names the pseudo labels, empty without any.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        *,
        cache: ComponentCache,
        labels: Sequence[str],
        sampling: Sampling | None = None,
    ) -> None:
        self.spec: FrontendSpec = cache.spec
        self.labels = tuple(labels)
        self.sampling = sampling or Sampling()
        self._known: dict[str, list[RecordingWindows]] = {label: [] for label in labels}
        # By role, then by label; pauses of animals are one group.
        self._others: dict[str, dict[str, list[RecordingWindows]]] = {
            role: {} for role in OUTLIER_SHARES
        }
        kept = short_enough(recordings, self.sampling.crop, self._known)
        for recording in kept:
            self._add(recording, cache.load(recording))
        self._weights = {
            label: _recording_weights(label, windows) for label, windows in self._known.items()
        }
        pseudo, known = self.sampling.pseudo, [r for r in kept if is_known(r, self.labels)]
        self.pseudo_digest = pseudo.digest(known) if pseudo else ""

    def known(self, rng: np.random.Generator, label: int) -> Array:
        """Draw a window in which species number `label` is heard.

        Returns mel power (channels, n_mels, frames).
        """
        windows = self._recording(rng, label)
        starts = windows.starts if len(windows.starts) else windows.silent_starts
        return self._cut(rng, windows, self._start(rng, windows, starts))

    def labelled(self, rng: np.random.Generator, label: int) -> Drawn:
        """Draw a window of a recording of species number `label`, with what is true of it.

        Some windows are of its marked pauses.
        """
        windows = self._recording(rng, label)
        start = self._start(rng, windows, np.concatenate([windows.starts, windows.silent_starts]))
        end = start + self.spec.component_frames
        labels = np.zeros(len(self.labels), np.float32)
        steps = self._steps(windows, start)
        if windows.silent is None or not windows.silent[start:end].all():
            labels[list(windows.secondary)] = self.sampling.secondary
            if steps is not None:  # it is known when a species in the background calls
                labels[(steps == 0).all(axis=0)] = 0
            labels[label] = 1
        return Drawn(power=self._cut(rng, windows, start), labels=labels, steps=steps)

    def nothing(self) -> Array | None:
        """Return the time steps (T', K) of a window that has none of the species.

        Returns None without pseudo labels.
        """
        if self.sampling.pseudo is None:
            return None
        return np.zeros((-(-self.spec.component_frames // SCALE), len(self.labels)), np.float32)

    def outlier(self, rng: np.random.Generator) -> Array:
        """Draw mel power of a window that is none of the species.

        It is another species, noise, background, or a pause in a recording.
        """
        return self._other(rng, OUTLIER_SHARES)

    def interference(self, rng: np.random.Generator) -> Array:
        """Draw mel power of noise, background or a pause, to be mixed under a window."""
        return self._other(rng, INTERFERENCE_SHARES)

    def animal(self, rng: np.random.Generator) -> Array:
        """Draw mel power of another animal, to be mixed under a window."""
        return self._other(rng, ANIMAL_SHARES)

    @property
    def has_outliers(self) -> bool:
        """Whether there is anything to draw outliers or interference from."""
        return any(self._others.values())

    @property
    def has_animals(self) -> bool:
        """Whether there are animals that are none of the species."""
        return bool(self._others["unknown"])

    def _recording(self, rng: np.random.Generator, label: int) -> RecordingWindows:
        name = self.labels[label]
        return self._known[name][rng.choice(len(self._weights[name]), p=self._weights[name])]

    def _other(self, rng: np.random.Generator, shares: dict[str, float]) -> Array:
        kinds = [kind for kind in shares if self._others[kind]]
        weights = np.array([shares[kind] for kind in kinds])
        groups = self._others[kinds[rng.choice(len(kinds), p=weights / weights.sum())]]
        group = groups[list(groups)[rng.integers(len(groups))]]
        windows = group[rng.integers(len(group))]
        return self._cut(rng, windows, self._near(rng, windows, windows.starts))

    def _start(self, rng: np.random.Generator, windows: RecordingWindows, starts: Starts) -> int:
        """Draw the first frame of a window of a species.

        The window is at an end of the recording, around a call, or where something is heard.
        """
        crop, window = self.sampling.crop, self.spec.component_frames
        last = int(windows.components.shape[2]) - window
        if crop is not None and windows.ends_heard and rng.random() < crop.ends_share:
            moved_s = rng.uniform(crop.shift_s[0], crop.shift_s[1])
            inwards = min(round(moved_s * self.spec.frames_per_second), last)
            return inwards if rng.random() < 0.5 else last - inwards
        if len(windows.calls):
            first, end = windows.calls[rng.integers(len(windows.calls))]
            # All of the call is in the window, or all of the window in the call.
            borders = sorted((int(end) - window, int(first)))
            return int(np.clip(rng.integers(borders[0], borders[1] + 1), 0, last))
        return self._near(rng, windows, starts)

    def _near(self, rng: np.random.Generator, windows: RecordingWindows, starts: Starts) -> int:
        last = int(windows.components.shape[2]) - self.spec.component_frames
        return min(int(rng.choice(starts)) + int(rng.integers(HOP_FRAMES)), last)

    def _cut(self, rng: np.random.Generator, windows: RecordingWindows, start: int) -> Array:
        frames, dilation = self.spec.component_frames, self.sampling.dilation
        if not dilation:
            return to_power(windows.components[:, :, start : start + frames])
        factor = rng.uniform(1 - dilation, 1 + dilation)
        return dilated(windows.components, start=start, frames=frames, factor=factor)

    def _steps(self, windows: RecordingWindows, start: int) -> Array | None:
        """Return the pseudo labels (T', K) of a window, at the middle of each time step."""
        steps = self.nothing()
        if steps is not None:
            for species, targets in windows.targets.items():
                steps[:, species] = targets[start : start + self.spec.component_frames : SCALE]
        return steps

    def _add(self, recording: Recording, components: NDArray[np.float16]) -> None:
        found = survey(
            recording, components, spec=self.spec, labels=self.labels, sampling=self.sampling
        )
        if found is None:
            return
        if is_known(recording, self.labels):
            self._known[recording.label].append(found.windows)
        elif len(found.windows.starts):
            role = "unknown" if recording.role == "known" else recording.role
            self._others[role].setdefault(recording.label, []).append(found.windows)
        if found.pauses is not None:
            self._others["quiet"].setdefault("quiet", []).append(found.pauses)


def most_active_window(components: NDArray[np.float16], spec: FrontendSpec) -> Array:
    """Return mel power (channels, n_mels, frames) of a recording's most active window."""
    frames = spec.component_frames
    activity = measure_activity(
        first_channel(spec, components), window_frames=frames, hop_frames=HOP_FRAMES
    )
    start = int(activity.starts[activity.level_db.argmax()])
    return to_power(components[:, :, start : start + frames])


def _recording_weights(label: str, windows: list[RecordingWindows]) -> NDArray[np.float64]:
    """Return the square root of the number of windows of each recording, as shares.

    A long recording counts more than a short one, but not in proportion. Raises `UserError` for a
    species without any recording.
    """
    if not windows:
        raise UserError(
            f"species '{label}': nothing is left of its training recordings without what is marked "
            "as human_voice"
        )
    weights: NDArray[np.float64] = np.sqrt([len(w.starts) + len(w.silent_starts) for w in windows])
    return np.asarray(weights / weights.sum(), np.float64)
