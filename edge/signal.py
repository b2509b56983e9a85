"""The state of the signal in a window, which says whether it can carry a sound at all."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SignalHealth"]


@dataclass(frozen=True, kw_only=True)
class SignalHealth:
    """The state of the signal in one window.

    Levels are in dB re full scale, `dc` is in full scales, and `clip_ratio` is the share of clipped
    samples, 0..1. `dead` means nothing but silence, `stuck` a constant offset or a signal railed at
    full scale. Either one gates the window.
    """

    rms_dbfs: float
    peak_dbfs: float
    clip_ratio: float
    dc: float
    dead: bool
    stuck: bool

    @property
    def gated(self) -> bool:
        """Whether the signal cannot carry a sound, so that the model is not asked."""
        return self.dead or self.stuck
