"""A network that computes for each window only what the one before has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from edge.backends.base import OUTPUTS, Backend, NamedBackend
from edge.bundle import Bundle
from edge.bundle.local import LOCAL
from edge.errors import BackendError
from edge.types import Array

__all__ = ["FollowingBackend", "Streamed"]


@runtime_checkable
class FollowingBackend(NamedBackend, Protocol):
    """A backend that takes frames of the network which are known already."""

    def infer_after(
        self, features: Array, before: Array, names: Sequence[str]
    ) -> tuple[Array, ...]:
        """Return the outputs called `names` for features (1, C, F, T) that follow `before`
        (1, W, P), the frames of the stretch before them.

        Equal to what `infer_named` gives for all of it. Raises `BackendError`.
        """
        ...


class Streamed:
    """Runs the network of one stream of windows on `backend`; used by one thread.

    Where the bundle has no local frames (`edge.bundle.local`), or the backend takes none, each
    window is computed as a whole. `name` is that of the backend, for people.
    """

    def __init__(self, backend: Backend, bundle: Bundle, *, name: str = "") -> None:
        self._backend, self._spec, self._name = backend, bundle.frontend, name or "the engine"
        follows = isinstance(backend, FollowingBackend)
        self._local = bundle.manifest.local if follows else None
        self._known: Array | None = None

    def outputs(
        self, features: Array, names: Sequence[str], *, shift_samples: int = 0
    ) -> tuple[Array, ...]:
        """Return the outputs called `names` of a window's features (1, C, F, T).

        `shift_samples` is how far after the window before this one begins; 0: it has nothing in
        common with it. Raises `BackendError`.
        """
        if self._local is None:
            return self._whole(features, names)
        known, self._known = self._known, None
        *answers, self._known = self._following(features, [*names, LOCAL], known, shift_samples)
        return tuple(answers)

    def in_two(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """Return what `outputs` does, with half of the frames known, for a test of the engine;
        nothing where it takes none.
        """
        if self._local is None or not isinstance(self._backend, FollowingBackend):
            return ()
        count = self._local.count(features.shape[3])
        (frames,) = self._backend.infer_named(features, [LOCAL])
        known = count // 2
        rest = features[..., self._local.stretch(count, count - known)]
        return self._backend.infer_after(rest, frames[:, :, :known], names)

    def _following(
        self, features: Array, names: Sequence[str], known: Array | None, shift_samples: int
    ) -> tuple[Array, ...]:
        assert self._local is not None
        assert isinstance(self._backend, FollowingBackend)
        count = self._local.count(features.shape[3])
        moved, remainder = divmod(shift_samples, self._spec.hop_length * self._local.hop)
        if known is None or remainder or not 0 < moved < count:
            return self._backend.infer_named(features, names)
        new = features[..., self._local.stretch(count, moved)]
        return self._backend.infer_after(new, known[:, :, moved:], names)

    def _whole(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        if tuple(names) == OUTPUTS:
            return self._backend.infer(features)
        if not isinstance(self._backend, NamedBackend):
            raise BackendError(f"{self._name} cannot run a network with the output {names[-1]}")
        return self._backend.infer_named(features, names)
