"""What a training step sees: windows drawn from weakly labelled recordings, balanced by species,
then by recording.

Every draw takes the generator as an argument: its state is in the checkpoint, so a resumed run sees
the same windows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.bundle.spec import FrontendSpec
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.windows.activity import Activity, measure_activity
from train.windows.cache import ComponentCache, to_power
from train.windows.frames import marked_frames, trained_frames
from train.windows.pseudo import SCALE
from train.windows.sampling import Drawn, Sampling, runs, short_enough

__all__ = ["TrainingWindows", "most_active_window"]

log = logging.getLogger(__name__)

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
HOP_FRAMES = 20
# What an outlier is drawn from, where there is any: other species matter most, they are what a
# recorder hears.
OUTLIER_SHARES = {"unknown": 0.6, "noise": 0.2, "background": 0.1, "quiet": 0.1}
INTERFERENCE_SHARES = {"background": 0.5, "noise": 0.3, "quiet": 0.2}


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Components of one recording (channels, n_mels, frames) float16 dB, and where its windows may
    start.

    `silent` (frames,) says in which frames a person heard no call, and windows wholly inside may
    start at `silent_starts`; `targets` are pseudo labels (frames,) by species, and `calls` (N, 2)
    the frames from which to which its own is present. `ends_heard`: its beginning and end are those
    of a recording for smart crops.
    """

    components: NDArray[np.float16]
    starts: NDArray[np.int64]
    silent: Mask | None = None
    silent_starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    secondary: tuple[int, ...] = ()
    targets: Mapping[int, Array] = field(default_factory=dict)
    calls: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    ends_heard: bool = False


class TrainingWindows:
    """The training recordings in memory. `labels` are the known species; known recordings of any
    other label are outliers.
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
        self._known: dict[str, list[_Windows]] = {label: [] for label in labels}
        self._others: dict[str, dict[str, list[_Windows]]] = {
            "unknown": {},
            "noise": {},
            "background": {},
            "quiet": {},
        }
        kept = short_enough(recordings, self.sampling.crop, self._known)
        for recording in kept:
            self._add(recording, cache.load(recording))
        self._weights = {
            label: _recording_weights(label, windows) for label, windows in self._known.items()
        }
        pseudo = self.sampling.pseudo
        # names the pseudo labels, if any
        self.told = pseudo.digest([r for r in kept if self._is_known(r)]) if pseudo else ""

    def known(self, rng: np.random.Generator, label: int) -> Array:
        """Mel power (channels, n_mels, frames) of a window of species number `label` in which it is
        heard.
        """
        windows = self._recording(rng, label)
        return self._cut(
            windows,
            self._start(
                rng, windows, windows.starts if len(windows.starts) else windows.silent_starts
            ),
        )

    def labelled(self, rng: np.random.Generator, label: int) -> Drawn:
        """A window of a recording of species number `label`, with what is true of it; some are of
        its marked pauses.
        """
        windows = self._recording(rng, label)
        start = self._start(rng, windows, np.concatenate([windows.starts, windows.silent_starts]))
        end = start + self.spec.component_frames
        labels, steps = np.zeros(len(self.labels), np.float32), self._steps(windows, start)
        if windows.silent is None or not windows.silent[start:end].all():
            labels[list(windows.secondary)] = self.sampling.secondary
            if steps is not None:  # of a species in the background it is known when
                labels[(steps == 0).all(axis=0)] = 0
            labels[label] = 1
        return Drawn(power=self._cut(windows, start), labels=labels, steps=steps)

    def nothing(self) -> Array | None:
        """The time steps (T', K) of a window that has none of the species; None without pseudo
        labels.
        """
        if self.sampling.pseudo is None:
            return None
        return np.zeros((-(-self.spec.component_frames // SCALE), len(self.labels)), np.float32)

    def outlier(self, rng: np.random.Generator) -> Array:
        """Mel power of a window that is none of the species: another species, noise, background, or
        a pause in a recording.
        """
        return self._other(rng, OUTLIER_SHARES)

    def interference(self, rng: np.random.Generator) -> Array:
        """Mel power of noise, background or a pause, to be mixed under a window."""
        return self._other(rng, INTERFERENCE_SHARES)

    def animal(self, rng: np.random.Generator) -> Array:
        """Mel power of another animal, to be mixed under a window."""
        return self._other(rng, {"unknown": 1.0})

    @property
    def has_outliers(self) -> bool:
        """Whether there is anything to draw outliers or interference from."""
        return any(self._others.values())

    @property
    def has_animals(self) -> bool:
        """Whether there are animals that are none of the species."""
        return bool(self._others["unknown"])

    def _recording(self, rng: np.random.Generator, label: int) -> _Windows:
        name = self.labels[label]
        return self._known[name][rng.choice(len(self._weights[name]), p=self._weights[name])]

    def _other(self, rng: np.random.Generator, shares: dict[str, float]) -> Array:
        kinds = [kind for kind in shares if self._others[kind]]
        weights = np.array([shares[kind] for kind in kinds])
        groups = self._others[kinds[rng.choice(len(kinds), p=weights / weights.sum())]]
        group = groups[list(groups)[rng.integers(len(groups))]]
        windows = group[rng.integers(len(group))]
        return self._cut(windows, self._near(rng, windows, windows.starts))

    def _start(self, rng: np.random.Generator, windows: _Windows, starts: NDArray[np.int64]) -> int:
        """The first frame of a window of a species: at an end of the recording, around a call, or
        where something is heard.
        """
        crop, last = (
            self.sampling.crop,
            int(windows.components.shape[2]) - self.spec.component_frames,
        )
        if crop is not None and windows.ends_heard and rng.random() < crop.ends_share:
            inwards = min(
                round(rng.uniform(crop.shift_s[0], crop.shift_s[1]) * self.spec.frames_per_second),
                last,
            )
            return inwards if rng.random() < 0.5 else last - inwards
        if len(windows.calls):
            first, end = windows.calls[rng.integers(len(windows.calls))]
            # all of the call is in the window, or all of the window in the call
            borders = sorted((int(end) - self.spec.component_frames, int(first)))
            return int(np.clip(rng.integers(borders[0], borders[1] + 1), 0, last))
        return self._near(rng, windows, starts)

    def _near(self, rng: np.random.Generator, windows: _Windows, starts: NDArray[np.int64]) -> int:
        last = int(windows.components.shape[2]) - self.spec.component_frames
        return min(int(rng.choice(starts)) + int(rng.integers(HOP_FRAMES)), last)

    def _cut(self, windows: _Windows, start: int) -> Array:
        return to_power(windows.components[:, :, start : start + self.spec.component_frames])

    def _steps(self, windows: _Windows, start: int) -> Array | None:
        """The pseudo labels (T', K) of a window, at the middle of each time step."""
        steps = self.nothing()
        if steps is not None:
            for species, targets in windows.targets.items():
                steps[:, species] = targets[start : start + self.spec.component_frames : SCALE]
        return steps

    def _is_known(self, recording: Recording) -> bool:
        return recording.role == "known" and recording.label in self._known

    def _add(self, recording: Recording, components: NDArray[np.float16]) -> None:
        frames = trained_frames(recording, self.spec, components.shape[2])
        if not len(frames):
            log.warning(
                "%s: is left out, nearly all of it is marked as human_voice", recording.path
            )
            return
        silent = marked_frames(recording, self.spec, components.shape[2], "nocall")[frames]
        targets = self._targets(recording, components.shape[2], frames, silent)
        if len(frames) != components.shape[2] or (np.diff(frames) != 1).any():
            components = components[:, :, frames]
        activity = measure_activity(
            components[0], window_frames=self.spec.component_frames, hop_frames=HOP_FRAMES
        )
        windows = self._windows(recording, components, activity, silent, targets)
        if self._is_known(recording):
            self._known[recording.label].append(windows)
        elif len(windows.starts):
            role = "unknown" if recording.role == "known" else recording.role
            self._others[role].setdefault(recording.label, []).append(windows)
        quiet = (activity.quiet | self._inside(activity, silent)) & ~self._touch(activity, targets)
        if recording.role in ("known", "unknown") and quiet.any():
            pauses = _Windows(components=components, starts=activity.starts[quiet])
            self._others["quiet"].setdefault("quiet", []).append(pauses)

    def _windows(
        self,
        recording: Recording,
        components: NDArray[np.float16],
        activity: Activity,
        silent: Mask,
        targets: Mapping[int, Array],
    ) -> _Windows:
        inside, crop = self._inside(activity, silent), self.sampling.crop
        active = activity.active & ~inside
        own = targets.get(self.labels.index(recording.label)) if self._is_known(recording) else None
        return _Windows(
            components=components,
            starts=activity.starts[active if active.any() else ~inside],
            silent=silent if silent.any() else None,
            silent_starts=activity.starts[inside],
            secondary=tuple(
                self.labels.index(name)
                for name in recording.secondary_labels
                if name in self.labels
            ),
            targets=targets,
            calls=runs(own == 1) if own is not None else np.zeros((0, 2), np.int64),
            ends_heard=crop is not None and recording.seconds <= crop.longest_s,
        )

    def _targets(
        self, recording: Recording, total: int, frames: NDArray[np.int64], silent: Mask
    ) -> dict[int, Array]:
        """Pseudo labels of a recording of a species, at the frames that are trained on; what a
        person heard is above them.
        """
        pseudo = self.sampling.pseudo
        if pseudo is None or not self._is_known(recording):
            return {}
        return {
            species: np.where(silent, np.float32(0), targets[frames])
            for species, targets in pseudo.targets(recording, self.spec, total).items()
        }

    def _inside(self, activity: Activity, frames: Mask) -> Mask:
        """Which windows are wholly inside the marked `frames`."""
        return np.array(
            [frames[start : start + self.spec.component_frames].all() for start in activity.starts],
            bool,
        )

    def _touch(self, activity: Activity, targets: Mapping[int, Array]) -> Mask:
        """In which windows a species may be heard by the pseudo labels."""
        if not targets:
            return np.zeros(len(activity.starts), bool)
        heard = np.any([states != 0 for states in targets.values()], axis=0)  # NaN is not 0
        return ~self._inside(activity, ~heard)


def most_active_window(components: NDArray[np.float16], spec: FrontendSpec) -> Array:
    """Mel power (channels, n_mels, frames) of the window of a recording in which most is heard."""
    frames = spec.component_frames
    activity = measure_activity(components[0], window_frames=frames, hop_frames=HOP_FRAMES)
    start = int(activity.starts[activity.level_db.argmax()])
    return to_power(components[:, :, start : start + frames])


def _recording_weights(label: str, windows: list[_Windows]) -> NDArray[np.float64]:
    """Square root of the number of active windows: a long recording counts more than a short one,
    but not in proportion.
    """
    if not windows:
        raise UserError(
            f"species '{label}': nothing is left of its training recordings without what is marked "
            "as human_voice"
        )
    weights: NDArray[np.float64] = np.sqrt([len(w.starts) + len(w.silent_starts) for w in windows])
    return np.asarray(weights / weights.sum(), np.float64)
