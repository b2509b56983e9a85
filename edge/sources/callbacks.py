"""What a microphone tells whoever records it, beside the blocks that it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.types import Array, Gap

__all__ = ["Callbacks", "CardAudio"]


@dataclass(frozen=True, kw_only=True)
class CardAudio:
    """Samples (n,) float32 of the chosen channel as the card gave them, at the card's own rate.

    `start_sample` is where they begin in the stream of the blocks, at the rate of those; it is None
    where they follow on the samples before them.
    """

    samples: Array
    sample_rate_hz: int
    start_sample: int | None


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Called on the thread of `Microphone.blocks`; none of them may block.

    `on_gap` comes before the block that follows the gap, and `on_card` before the block that is
    made from what the card gave. `on_position` gets a sample and the monotonic time at which it was
    recorded, for the clock. `on_invalid` gets how many samples were NaN or out of all bounds, and
    are silence now. `on_fault` comes when a device is missing or fails.
    """

    on_gap: Callable[[Gap], None] = lambda gap: None
    on_position: Callable[[int, float], None] = lambda sample, monotonic_s: None
    on_card: Callable[[CardAudio], None] = lambda audio: None
    on_invalid: Callable[[int], None] = lambda samples: None
    on_fault: Callable[[], None] = lambda: None
