"""How good any bundle is on any labelled recordings: a model that others have made, at one's site.

Nothing is trained, so every recording is heard and judged. The report is that of
`train.judging.evaluate`, with what a stricter rule would cost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.bundle import Bundle, load_bundle
from edge.errors import UserError
from train.judging.background import with_background
from train.judging.bundle_rules import (
    Answers,
    answers_of,
    as_it_decides,
    costs_of,
    margin_of,
    rules_of,
    told_apart,
)
from train.judging.collection import Collection, collect, hear_collection
from train.judging.heard_events import events_heard
from train.judging.hearing import Heard
from train.judging.levels import by_species, counted, measure_level, measure_rule
from train.judging.metrics import Bootstrap
from train.judging.probability_report import measure_precisions, measure_probability
from train.windows.listening import Watch

__all__ = ["evaluate_bundle"]

Report = dict[str, Any]
DECIDES = "as it decides"


def evaluate_bundle(
    path: Path,
    data: Path,
    *,
    species: str | None = None,
    hop_s: float = 2.5,
    workers: int = 1,
    acceptance: float = 0.95,
    resamples: int = 500,
    watch: Watch = lambda heard, count: heard,
) -> Report:
    """Judge the bundle in the folder `path` on the recordings that `data` lists.

    `species` is a YAML list of those that may be answered, or `data`: the known ones of the
    recordings; None: every label. `watch` sees the recordings pass, of which there are so many.
    Raises `UserError` where there is nothing to judge.
    """
    bundle = load_bundle(path)
    collection = collect(bundle, data, species, hop_s=hop_s, workers=workers)
    heard, left_out = hear_collection(collection, workers=workers, watch=watch)
    if not heard:
        name, reason = left_out[0]
        raise UserError(f"{data}: no recording could be heard; {name}: {reason}")
    answers = answers_of(collection.corpus, collection.labels, heard)
    return {
        **_described(bundle, collection),
        "acceptance_wanted": acceptance,
        "resamples": resamples,
        "left_out": [list(pair) for pair in left_out],
        **_measured(bundle, collection, answers, acceptance=acceptance, resamples=resamples),
        **_sureness(bundle, collection, heard),
    }


def _described(bundle: Bundle, collection: Collection) -> Report:
    return {
        "bundle": bundle.manifest.name,
        "digest": bundle.digest,
        "licence": bundle.manifest.licence,
        "labels": len(bundle.labels),
        "listed": int(sum(collection.question.listed)),
        "species": len(collection.labels),
        "missing": list(collection.missing),
        "hop_s": collection.question.hop_s,
    }


def _sureness(bundle: Bundle, collection: Collection, heard: dict[int, Heard]) -> Report:
    """Return how reliable the bundle's probabilities and precisions are; nothing of one that has
    none.
    """
    labels = [label.label for label in bundle.labels]
    may_be = collection.question.listed
    events = events_heard(collection.corpus.recordings, heard, labels, may_be=may_be)
    measured = measure_probability(bundle.calibration, events, labels)
    if measured is None or bundle.calibration is None:
        return {}
    precisions = measure_precisions(bundle.calibration, events, labels)
    return {"probability": {**measured, "precisions": precisions}}


def _measured(
    bundle: Bundle,
    collection: Collection,
    answers: Answers,
    *,
    acceptance: float,
    resamples: int,
) -> Report:
    if not answers.truth.known.any():
        raise UserError("nothing stands out in any recording of a species that may be answered")
    classes = len(collection.labels)
    windows = as_it_decides(bundle, answers)
    recordings = answers.recordings(windows)
    draw, draw_recordings = (
        Bootstrap(recording=j.recording, stratum=j.stratum, resamples=resamples)
        for j in (windows, recordings)
    )
    of_recordings = measure_level(recordings, draw_recordings, classes)
    of_recordings["closed"] |= with_background(
        collection.corpus, collection.labels, recordings, draw_recordings
    )
    rules = {DECIDES: windows, **rules_of(bundle, answers, acceptance=acceptance)}
    return {
        "rule": DECIDES,
        "counted": counted(windows, recordings),
        "windows": measure_level(windows, draw, classes),
        "recordings": of_recordings,
        "rules": [measure_rule(name, judged, draw, classes) for name, judged in rules.items()],
        "costs": costs_of(answers),
        "list_margin": margin_of(bundle, answers),
        "animal": told_apart(bundle, answers, windows),
        "by_species": by_species(collection.corpus, collection.labels, windows, recordings),
    }
