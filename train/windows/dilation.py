"""Time dilation of a window by more or less of its recording (Sevilla and Glotin 2017, 2.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.windows.cache import to_power

__all__ = ["dilated"]


def dilated(
    components: NDArray[np.float16], *, start: int, frames: int, factor: float
) -> NDArray[np.float32]:
    """Return power (channels, n_mels, frames) of `factor` times as many frames from `start` on.

    They are resized linearly to `frames`. `components` (channels, n_mels, total) are dB. Where
    the recording ends before, the window is moved forward in it, and a recording that is shorter
    is repeated from its beginning.
    """
    total, reach = components.shape[2], (frames - 1) * factor
    first = max(0.0, min(float(start), total - 1 - reach))
    positions = first + np.arange(frames) * factor
    whole = np.floor(positions).astype(np.int64)
    needed = to_power(components[:, :, np.arange(whole[0], whole[-1] + 2) % total])
    before, share = whole - whole[0], (positions - whole).astype(np.float32)
    earlier, later = needed[:, :, before], needed[:, :, before + 1]
    power: NDArray[np.float32] = earlier + share * (later - earlier)
    return power
