"""detect(): the whole product on one screen, shared by the live recorder and by replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from edge.detect.model import Classifier
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker
from edge.detect.windows import Windower
from edge.errors import BackendError
from edge.types import AudioBlock, Detection, Prediction, Window

__all__ = ["Break", "Meter", "detect", "events_of"]


class Meter(Protocol):
    """Sees all that passes, on the pipeline's thread; must not block, and must not change it."""

    def block(self, block: AudioBlock) -> None:
        """Note that audio arrived."""

    def prediction(self, prediction: Prediction) -> None:
        """Note what was predicted of a window."""

    def failed(self, window: Window, error: BackendError) -> None:
        """Note that the model had no answer to a window; raise `error` to end the stream."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """A place over which nothing is carried: up to a sample, there is no sound."""

    until_sample: int


def detect(
    blocks: Iterable[AudioBlock],
    *,
    windower: Windower,
    model: Classifier,
    smoothing: Smoothing,
    tracker: Tracker,
    meter: Meter,
    is_private: Callable[[Prediction], bool] = lambda p: False,
) -> Iterator[Detection]:
    """Turn audio into detections. The whole product; `run` and `replay` share it.

    A window that `is_private` is seen by `meter` and by nothing else: it breaks the sound off, as
    lost audio does.
    """
    heard = _heard(blocks, windower, model, meter, is_private)
    yield from events_of(heard, smoothing=smoothing, tracker=tracker)


def events_of(
    heard: Iterable[Prediction | Break], *, smoothing: Smoothing, tracker: Tracker
) -> Iterator[Detection]:
    """Turn the predictions of one stream, and where it was broken off, into detections."""
    for one in heard:
        if isinstance(one, Break):
            for prediction in smoothing.flush():
                yield from tracker.push(prediction)
            yield from tracker.lost(one.until_sample)
            continue
        for prediction in smoothing.push(one):
            yield from tracker.push(prediction)
    for prediction in smoothing.flush():
        yield from tracker.push(prediction)
    yield from tracker.flush()


def _heard(
    blocks: Iterable[AudioBlock],
    windower: Windower,
    model: Classifier,
    meter: Meter,
    is_private: Callable[[Prediction], bool],
) -> Iterator[Prediction | Break]:
    arrived = 0
    for block in blocks:
        meter.block(block)
        if block.start_sample > arrived:
            before_it = windower.push(_nothing_at(block))
            yield from _followed(before_it, model, meter, is_private)
            yield Break(until_sample=block.start_sample)
        arrived = block.end_sample
        yield from _followed(windower.push(block), model, meter, is_private)


def _followed(
    windows: Iterable[Window],
    model: Classifier,
    meter: Meter,
    is_private: Callable[[Prediction], bool],
) -> Iterator[Prediction | Break]:
    for window in windows:
        for predicted in _predicted(window, model, meter):
            is_kept = not is_private(predicted)
            yield predicted if is_kept else Break(until_sample=predicted.start_sample)


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
