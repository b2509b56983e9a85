"""Seconds of a recording as frames of its components.

They say to which frames a mark of a person or of a network belongs. A recording shorter than a
window, or than a recipe's `least_s`, is repeated to fill it (`train.windows.audio.loop_to`), and so
is what was said of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge.bundle.spec import FrontendSpec
from train.corpus.annotations import Kind
from train.corpus.corpus import Recording

__all__ = ["frame_times", "marked_frames", "trained_frames"]

Mask = NDArray[np.bool_]
PADDING_S = 0.1  # frames may be so much longer than the recording that they are of
SHORTEST_S = 0.5  # what has to be left of a recording when speech is cut out


def frame_times(recording: Recording, spec: FrontendSpec, frames: int) -> NDArray[np.float64]:
    """Return the time in the recording of the middle of each of its `frames`, in seconds."""
    seconds = np.arange(frames) / spec.frames_per_second
    length_s = recording.seconds
    repeated = frames / spec.frames_per_second > length_s + PADDING_S
    looped = 0 < length_s < spec.window_s or (length_s > 0 and repeated)
    times: NDArray[np.float64] = np.mod(seconds, recording.seconds) if looped else seconds
    return times


def marked_frames(
    recording: Recording, spec: FrontendSpec, frames: int, kind: Kind, *, margin_s: float = 0.0
) -> Mask:
    """Return which frames (frames,) have their middle in a stretch of `kind`.

    A frame less than `margin_s` from it counts too.
    """
    stretches = [s for s in recording.stretches if s.kind == kind]
    borders = ((s.start_s - margin_s, s.end_s + margin_s) for s in stretches)
    return _within(frame_times(recording, spec, frames), borders)


def trained_frames(recording: Recording, spec: FrontendSpec, frames: int) -> NDArray[np.int64]:
    """Return which of a recording's `frames` are left when speech is cut out.

    They are repeated to fill a window; if next to none are left, there are none. A frame reaches
    half a transform to both sides of its middle.
    """
    longest = max(channel.n_fft or spec.n_fft for channel in spec.channels)
    margin_s = longest / 2 / spec.sample_rate_hz
    kept = np.flatnonzero(~marked_frames(recording, spec, frames, "human_voice", margin_s=margin_s))
    if len(kept) < min(frames, SHORTEST_S * spec.frames_per_second):
        return kept[:0]
    return kept if len(kept) >= spec.component_frames else np.resize(kept, spec.component_frames)


def _within(times: NDArray[np.float64], stretches: Iterable[tuple[float, float]]) -> Mask:
    inside = np.zeros(len(times), bool)
    for start, end in stretches:
        inside |= (times >= start) & (times <= end)
    return inside
