"""What every inference engine must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from edge.types import Array

__all__ = ["OUTPUTS", "Backend", "NamedBackend"]

OUTPUTS = ("embedding", "logits")  # of every network


class Backend(Protocol):
    """What runs a network.

    One thread at a time uses it. A call blocks until the result is there and keeps no reference to
    its input.
    """

    def infer(self, features: Array) -> tuple[Array, Array]:
        """Return embeddings (B, D), L2-normalised, and logits (B, K), both float32.

        The features are (B, channels, n_mels, frames) float32. Equal input gives bit-equal output.
        Raises `BackendError` when the engine fails.
        """
        ...


@runtime_checkable
class NamedBackend(Backend, Protocol):
    """A backend that also runs networks with more outputs than two."""

    def infer_named(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """Return the outputs called `names`, each (B, ...) float32, as `infer` would.

        Raises `BackendError` also for a name that the network lacks.
        """
        ...
