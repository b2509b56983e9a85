"""Events of a recording by the stored answers of its network, without hearing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from edge.archive.keeping import restored
from edge.detect.classifier import TwoStepClassifier
from edge.detect.pipeline import Break, events_of
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker
from edge.detect.unjudged import NOTHING
from edge.signal import SignalHealth
from edge.types import Detection, Prediction

__all__ = ["events_again", "stored_window"]

HEALTH = tuple(field.name for field in fields(SignalHealth))


def events_again(
    rows: Iterable[Mapping[str, Any]],
    *,
    model: TwoStepClassifier,
    smoothing: Smoothing,
    tracker: Tracker,
) -> Iterator[Detection]:
    """Yield the events of one recording by its rows of `embeddings`, in their order.

    They are those of `detect` over the recording itself, as far as the rows are exact.
    """
    yield from events_of(_heard(rows, model), smoothing=smoothing, tracker=tracker)


def _heard(
    rows: Iterable[Mapping[str, Any]], model: TwoStepClassifier
) -> Iterator[Prediction | Break]:
    for row in rows:
        yield model.judged(stored_window(row), restored(row))
        for sample in row["sound_from"]:
            yield Break(until_sample=sample)


def stored_window(row: Mapping[str, Any]) -> Prediction:
    """Return a window of `embeddings` as it is before it is judged."""
    return Prediction(
        start_sample=row["start_sample"],
        end_sample=row["end_sample"],
        sample_rate_hz=row["sample_rate_hz"],
        label=None,
        nearest=None,
        score=0.0,
        novelty=1.0,
        top=(),
        health=SignalHealth(**{name: row[name] for name in HEALTH}),
        scores=NOTHING,
        embedding=NOTHING,
    )
