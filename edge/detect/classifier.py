"""What judges windows, and what it says of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from edge.bundle import Bundle
from edge.detect.decision import Decision
from edge.detect.judgement import Judgement
from edge.detect.proof import are_finite
from edge.types import Array, Prediction, Window

__all__ = ["Answer", "Classifier", "EngineChoice", "TwoStepClassifier"]


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What runs a network: the `backend` for people and for the record, and which `variant` of it.

    `passed_over` better ones were tried and failed; `why_not` has the reasons of these and of such
    as are not to be expected on this machine.
    """

    backend: str
    variant: str
    passed_over: int = 0
    why_not: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The network's outputs for B windows, which is one but where answers were kept.

    They are embedding (B, D), logits (B, K), and of some networks frames (B, T, K). `network_s` is
    the time that it took.
    """

    embedding: Array
    logits: Array
    frames: Array | None = None
    network_s: float = 0.0

    @cached_property
    def is_finite(self) -> bool:
        """Whether embedding and logits have neither NaN nor infinity; several heads may ask."""
        return are_finite(self.embedding, self.logits)


class Classifier(Protocol):
    """Judges windows: a `Model`, or several as one. Used by one thread."""

    @property
    def bundle(self) -> Bundle:
        """Bundle whose windows these are, the first of several, with the labels of all."""
        ...

    @property
    def decision(self) -> Decision:
        """How labels are given, and which there are, in the order of the scores."""
        ...

    @property
    def digest(self) -> str:
        """Digest that names all that was trained."""
        ...

    @property
    def engine(self) -> EngineChoice:
        """What runs it, and why nothing better does."""
        ...

    def predict(self, window: Window) -> Prediction:
        """Judge one window; a dead or stuck one is not shown to the network.

        Raises `BackendError` when there is no answer.
        """
        ...


class TwoStepClassifier(Classifier, Protocol):
    """A classifier whose two steps, the network and what judges its answer, can be had apart."""

    def ask(self, window: Window) -> tuple[Prediction, tuple[Answer, ...]]:
        """Return a window before it is judged, and the answer of each network; none to a window
        that is dead or stuck.

        Raises `BackendError` when there is no answer.
        """
        ...

    def judged(self, p: Prediction, answers: Sequence[Answer]) -> Prediction:
        """Return what `predict` gives, of what `ask` has given."""
        ...

    def judgement(self, answers: Sequence[Answer], *, overheard: bool = True) -> Judgement:
        """Judge what the networks have said of B windows; `overheard` scores may be left out.

        Raises `BackendError` where that is not finite.
        """
        ...
