"""How much sound is kept in memory: bounded in bytes, whatever rate a device turns out to have."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SoundMemory"]

# A second at 1 Hz: float32 waits for the model, int16 waits for a clip; one channel each.
BUFFER_BYTES = 4
RECENT_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class SoundMemory:
    """The rings of a recorder: `buffer_s` wait for the model, clips are cut from `recent_s`.

    Both shrink by the same share where they would take more than `most_bytes` together.
    """

    buffer_s: float
    recent_s: float
    most_bytes: int

    def needed_bytes(self, rate_hz: int) -> int:
        """Return what both take in full."""
        return round((self.buffer_s * BUFFER_BYTES + self.recent_s * RECENT_BYTES) * rate_hz)

    def share(self, rate_hz: int) -> float:
        """Return how much of both fits, 0..1."""
        return min(1.0, self.most_bytes / max(1, self.needed_bytes(rate_hz)))

    def buffer_samples(self, rate_hz: int) -> int:
        """Return the length of the ring between card and model."""
        return max(1, int(self.buffer_s * self.share(rate_hz) * rate_hz))

    def recent_samples(self, rate_hz: int) -> int:
        """Return the length of the ring from which clips are cut."""
        return max(1, int(self.recent_s * self.share(rate_hz) * rate_hz))

    def longest_buffer_s(self, rate_hz: int) -> float:
        """Return the `buffer_s` that fits beside a full `recent_s`; negative where none does."""
        return (self.most_bytes / rate_hz - self.recent_s * RECENT_BYTES) / BUFFER_BYTES
