"""What every inference engine must do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from edge.types import Array

__all__ = ["Backend", "FrameBackend"]


class Backend(Protocol):
    """Runs the network. Used by one thread at a time; blocks until the result is there; keeps no reference to its input."""

    def infer(self, features: Array) -> tuple[Array, Array]:
        """Features (B, channels, n_mels, frames) float32 -> embedding (B, D), L2-normalised, and logits (B, K), float32.

        Equal input gives bit-equal output. Raises `BackendError` when the engine fails.
        """
        ...


@runtime_checkable
class FrameBackend(Backend, Protocol):
    """A backend that also runs networks with a third output."""

    def infer_frames(self, features: Array) -> tuple[Array, Array, Array]:
        """As `infer`, and `frames` (B, T, K) float32: logits of T equal parts of the window."""
        ...
