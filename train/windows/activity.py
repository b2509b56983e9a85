"""Where in a weakly labelled recording something is heard.

A label says that the species is *somewhere* in the file. Frames are measured by how far their four
loudest mel bands stand above each band's own background (its 10th percentile over the recording); a
window by the 85th percentile of its frames. Windows within `ACTIVE` of the recording's best are
taken as the species. Windows below `QUIET` of it, in a recording whose best stands `CLEAR_DB` above
the background, are taken as nothing: they train rejection. A steady chorus has no quiet windows:
all of it is active.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Activity", "measure_activity"]

ACTIVE = 0.4
QUIET = 0.35
CLEAR_DB = 20.0
LOUDEST_BANDS = 4
FRAME_PERCENTILE = 85
BACKGROUND_PERCENTILE = 10


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The windows of a recording: `starts` (W,) in frames, with `level_db` (W,).

    `active` and `quiet` say which of them are, (W,) bool.
    """

    starts: NDArray[np.int64]
    level_db: NDArray[np.float32]
    active: NDArray[np.bool_]
    quiet: NDArray[np.bool_]


def _frame_activity(mel_db: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return how far each frame's loudest bands stand above background, in dB.

    Takes mel dB (n_mels, frames), gives (frames,) float32.
    """
    mel = mel_db.astype(np.float32)
    above = mel - np.percentile(mel, BACKGROUND_PERCENTILE, axis=1, keepdims=True)
    ordered = np.partition(above, -LOUDEST_BANDS, axis=0)
    loudest: NDArray[np.float32] = ordered[-LOUDEST_BANDS:].mean(axis=0)
    return loudest


def measure_activity(
    mel_db: NDArray[np.floating], *, window_frames: int, hop_frames: int
) -> Activity:
    """Return the activity of the windows that start every `hop_frames`.

    `mel_db` is (n_mels, frames >= window_frames).
    """
    frames = _frame_activity(mel_db)
    starts = np.arange(0, max(1, len(frames) - window_frames + 1), hop_frames)
    level = np.array(
        [np.percentile(frames[s : s + window_frames], FRAME_PERCENTILE) for s in starts], np.float32
    )
    best = level.max()
    return Activity(
        starts=starts,
        level_db=level,
        active=level >= ACTIVE * best,
        quiet=(level < QUIET * best) & (best >= CLEAR_DB),
    )
