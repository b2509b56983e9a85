"""What every inference engine must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from edge.types import Array

__all__ = ["OUTPUTS", "Backend", "NamedBackend"]

OUTPUTS = ("embedding", "logits")  # of every network


class Backend(Protocol):
    """Runs the network. Used by one thread at a time; blocks until the result is there; keeps no
    reference to its input.
    """

    def infer(self, features: Array) -> tuple[Array, Array]:
        """Features (B, channels, n_mels, frames) float32 -> embedding (B, D), L2-normalised, and
        logits (B, K), float32.

        Equal input gives bit-equal output. Raises `BackendError` when the engine fails.
        """
        ...


@runtime_checkable
class NamedBackend(Backend, Protocol):
    """A backend that also runs networks with more outputs than two."""

    def infer_named(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """As `infer`, but the outputs that are named, (B, ...) float32; a name that the network
        lacks is a `BackendError`.
        """
        ...
