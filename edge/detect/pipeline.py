"""detect(): the whole product on one screen, shared by the live recorder and by replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from edge.detect.model import Classifier
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker
from edge.detect.windows import Windower
from edge.errors import BackendError
from edge.types import AudioBlock, Detection, Prediction, Window

__all__ = ["Meter", "detect"]


class Meter(Protocol):
    """Sees all that passes, on the pipeline's thread; must not block, and must not change it."""

    def block(self, block: AudioBlock) -> None:
        """Note that audio arrived."""

    def prediction(self, prediction: Prediction) -> None:
        """Note what was predicted of a window."""

    def failed(self, window: Window, error: BackendError) -> None:
        """Note that the model had no answer to a window; raise `error` to end the stream."""


def detect(
    blocks: Iterable[AudioBlock],
    *,
    windower: Windower,
    model: Classifier,
    smoothing: Smoothing,
    tracker: Tracker,
    meter: Meter,
) -> Iterator[Detection]:
    """Turn audio into detections. The whole product; `run` and `replay` share it."""
    arrived = 0
    for block in blocks:
        meter.block(block)
        if block.start_sample > arrived:
            before_it = windower.push(_nothing_at(block))
            yield from _followed(before_it, model, smoothing, tracker, meter)
            for prediction in smoothing.flush():
                yield from tracker.push(prediction)
            yield from tracker.lost(block.start_sample)
        arrived = block.end_sample
        yield from _followed(windower.push(block), model, smoothing, tracker, meter)
    for prediction in smoothing.flush():
        yield from tracker.push(prediction)
    yield from tracker.flush()


def _followed(
    windows: Iterable[Window],
    model: Classifier,
    smoothing: Smoothing,
    tracker: Tracker,
    meter: Meter,
) -> Iterator[Detection]:
    for window in windows:
        for predicted in _predicted(window, model, meter):
            for prediction in smoothing.push(predicted):
                yield from tracker.push(prediction)


def _nothing_at(block: AudioBlock) -> AudioBlock:
    """Return a block without samples where `block` begins: it ends the sound before a gap."""
    return replace(block, samples=block.samples[:0], last=False)


def _predicted(window: Window, model: Classifier, meter: Meter) -> Iterator[Prediction]:
    """Yield the prediction of a window, if any: one bad window must not end a year of recording."""
    try:
        prediction = model.predict(window)
    except BackendError as exc:
        meter.failed(window, exc)
        return
    meter.prediction(prediction)
    yield prediction
