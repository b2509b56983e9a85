"""One training recording as windows to draw from: where they may start, and what is true there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bins import first_channel
from edge.bundle.spec import FrontendSpec
from train.corpus.corpus import Recording
from train.recipe.sections import CropSpec
from train.windows.activity import Activity, measure_activity
from train.windows.frames import marked_frames, trained_frames
from train.windows.sampling import Sampling, runs

__all__ = ["HOP_FRAMES", "RecordingWindows", "Survey", "is_known", "survey"]

log = logging.getLogger(__name__)

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
HOP_FRAMES = 20  # from one possible start to the next


def _nowhere() -> Ints:
    return np.zeros(0, np.int64)


def _no_calls() -> Ints:
    return np.zeros((0, 2), np.int64)


@dataclass(frozen=True, kw_only=True)
class RecordingWindows:
    """Components of one recording, (channels, n_mels, frames) float16 dB, and its windows.

    Windows may begin at the frames `starts`. `silent` (frames,) says in which frames a person heard
    no call, and windows wholly inside may begin at `silent_starts`. `secondary` are the species in
    the background. `targets` are pseudo labels (frames,) by species, and `calls` (N, 2) the frames
    from which to which its own is present. `ends_heard`: its beginning and end are those of a
    recording for smart crops.
    """

    components: NDArray[np.float16]
    starts: Ints
    silent: Mask | None = None
    silent_starts: Ints = field(default_factory=_nowhere)
    secondary: tuple[int, ...] = ()
    targets: Mapping[int, Array] = field(default_factory=dict)
    calls: Ints = field(default_factory=_no_calls)
    ends_heard: bool = False


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The windows of a recording, and of its pauses, if it is an animal's and has any."""

    windows: RecordingWindows
    pauses: RecordingWindows | None


def is_known(recording: Recording, labels: Sequence[str]) -> bool:
    """Return whether it is a recording of one of the species that are learnt."""
    return recording.role == "known" and recording.label in labels


def survey(
    recording: Recording,
    components: NDArray[np.float16],
    *,
    spec: FrontendSpec,
    labels: Sequence[str],
    sampling: Sampling,
) -> Survey | None:
    """Return the windows of a recording; None, with a warning, if nearly all of it is speech.

    `components` are (channels, n_mels, frames) dB, `labels` the species that are learnt.
    """
    total, window = components.shape[2], spec.component_frames
    frames = trained_frames(recording, spec, total)
    if not len(frames):
        log.warning("%s: is left out, nearly all of it is marked as human_voice", recording.path)
        return None
    silent = marked_frames(recording, spec, total, "nocall")[frames]
    if len(frames) != total or (np.diff(frames) != 1).any():
        components = components[:, :, frames]
    known = is_known(recording, labels)
    given = sampling.pseudo.targets(recording, spec, total) if sampling.pseudo and known else {}
    targets = {k: _below(silent, states[frames]) for k, states in given.items()}
    activity = _activity(components, spec)
    inside = _inside(activity, silent, window)
    windows = RecordingWindows(
        components=components,
        starts=activity.starts[_heard(activity, inside)],
        silent=silent if silent.any() else None,
        silent_starts=activity.starts[inside],
        secondary=tuple(labels.index(n) for n in recording.secondary_labels if n in labels),
        targets=targets,
        calls=_calls(targets.get(labels.index(recording.label)) if known else None),
        ends_heard=_has_whole_ends(recording, sampling.crop),
    )
    quiet = (activity.quiet | inside) & ~_touch(activity, targets, window)
    has_pauses = recording.role in ("known", "unknown") and quiet.any()
    pauses = RecordingWindows(components=components, starts=activity.starts[quiet])
    return Survey(windows=windows, pauses=pauses if has_pauses else None)


def _activity(components: NDArray[np.float16], spec: FrontendSpec) -> Activity:
    heard = first_channel(spec, components)
    return measure_activity(heard, window_frames=spec.component_frames, hop_frames=HOP_FRAMES)


def _heard(activity: Activity, inside: Mask) -> Mask:
    """Return which windows are active beside those in marked pauses, or all of these beside."""
    active: Mask = activity.active & ~inside
    return active if active.any() else ~inside


def _below(silent: Mask, states: Array) -> Array:
    """Return pseudo labels (frames,) without calls in the pauses that a person marked."""
    return np.where(silent, np.float32(0), states)


def _calls(states: Array | None) -> Ints:
    """Return the frames from which to which a species is present by its pseudo labels, (N, 2)."""
    return runs(states == 1) if states is not None else _no_calls()


def _has_whole_ends(recording: Recording, crop: CropSpec | None) -> bool:
    return crop is not None and recording.seconds <= crop.longest_s


def _inside(activity: Activity, frames: Mask, window: int) -> Mask:
    """Return which windows are wholly inside the marked `frames`."""
    return np.array([frames[start : start + window].all() for start in activity.starts], bool)


def _touch(activity: Activity, targets: Mapping[int, Array], window: int) -> Mask:
    """Return which windows may have a species in them by the pseudo labels."""
    if not targets:
        return np.zeros(len(activity.starts), bool)
    heard = np.any([states != 0 for states in targets.values()], axis=0)  # NaN is not 0
    return ~_inside(activity, ~heard, window)
