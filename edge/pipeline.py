"""detect(): the whole product on one screen, shared by the live recorder and by replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from edge.model import Model
from edge.tracker import Tracker
from edge.types import AudioBlock, Detection, Prediction
from edge.windows import Windower

__all__ = ["Meter", "detect"]


class Meter(Protocol):
    """Sees everything that passes, on the pipeline's thread; must not block and must not change anything."""

    def block(self, block: AudioBlock) -> None:
        """Audio arrived."""

    def prediction(self, prediction: Prediction) -> None:
        """A window was judged."""


def detect(
    blocks: Iterable[AudioBlock], *, windower: Windower, model: Model, tracker: Tracker, meter: Meter
) -> Iterator[Detection]:
    """Audio in, detections out. The whole product; `run` and `replay` share it."""
    for block in blocks:
        meter.block(block)
        for window in windower.push(block):
            prediction = model.predict(window)
            meter.prediction(prediction)
            yield from tracker.push(prediction)
    yield from tracker.flush()
