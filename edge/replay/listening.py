"""What the networks say of each window, for who wants to keep it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from edge.bundle import Bundle
from edge.detect.classifier import Answer, Classifier, EngineChoice, TwoStepClassifier
from edge.detect.decision import Decision
from edge.types import AudioBlock, Prediction, Window

__all__ = ["Listener", "listened"]


class Listener(Protocol):
    """Gets the blocks of one recording and what was said of its windows, in their order."""

    def block(self, block: AudioBlock) -> None:
        """Note that audio arrived; a jump in its samples breaks the sound off."""
        ...

    def answered(self, p: Prediction, answers: Sequence[Answer]) -> None:
        """Note a window before it is judged, and what each network has said of it."""
        ...


def listened(
    blocks: Iterable[AudioBlock], model: TwoStepClassifier, listener: Listener | None
) -> tuple[Iterable[AudioBlock], Classifier]:
    """Return blocks and model such that `listener`, where there is one, gets what they give."""
    if listener is None:
        return blocks, model
    return _blocks(blocks, listener), _Listened(model, listener)


def _blocks(blocks: Iterable[AudioBlock], listener: Listener) -> Iterator[AudioBlock]:
    for block in blocks:
        listener.block(block)
        yield block


class _Listened:
    """A classifier whose answers `listener` gets before they are judged."""

    def __init__(self, model: TwoStepClassifier, listener: Listener) -> None:
        self._model = model
        self._listener = listener

    @property
    def bundle(self) -> Bundle:
        """See `Classifier.bundle`."""
        return self._model.bundle

    @property
    def decision(self) -> Decision:
        """See `Classifier.decision`."""
        return self._model.decision

    @property
    def digest(self) -> str:
        """See `Classifier.digest`."""
        return self._model.digest

    @property
    def engine(self) -> EngineChoice:
        """See `Classifier.engine`."""
        return self._model.engine

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        p, answers = self._model.ask(window)
        self._listener.answered(p, answers)
        return self._model.judged(p, answers)
