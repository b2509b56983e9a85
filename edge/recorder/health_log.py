"""What a person is told of the microphone's health, once and not window after window."""

from __future__ import annotations

from edge.rate_limited_log import RateLimitedLog
from edge.recorder.metrics import Metrics
from edge.types import SignalHealth

__all__ = ["HealthLog"]

CANCELLED = (
    "silence although its channels are not (one is the other upside down); set audio.channel to one"
)
# What is this many times as far from lowest to highest as a dead signal's level is a sound; the
# rounding of 16 bit is not.
SOUND = 10.0


class HealthLog:
    """Logs dead, stuck and cancelled microphones; a signal below `dead_dbfs` is dead."""

    def __init__(self, *, dead_dbfs: float, metrics: Metrics, rate_limited: RateLimitedLog) -> None:
        self._silence: float = 10.0 ** (dead_dbfs / 20)
        self._metrics = metrics
        self._rate_limited = rate_limited

    def note(self, health: SignalHealth, *, swing: float) -> None:
        """Note the health of a window, and how far a single channel of its mix swings."""
        cancelled = health.dead and swing > SOUND * self._silence
        self._metrics.cancelled(cancelled)
        faults = {
            "dead": (health.dead and not cancelled, "nothing but silence"),
            "stuck": (health.stuck, "at a constant or at full scale"),
            "cancelled": (cancelled, CANCELLED),
        }
        for name, (present, meaning) in faults.items():
            if present:
                text = f"the microphone is {name}, {meaning}: such windows are not judged"
                self._rate_limited.warning(name, text)
            else:
                self._rate_limited.recovered(name, f"the microphone is no longer {name}")
