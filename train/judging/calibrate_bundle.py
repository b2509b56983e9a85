"""Probabilities and least scores for any bundle: by recordings, or by what a site has reviewed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.bundle.probability import Basis, Evidence, ScoreCalibration
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.corpus.splits import SplitPlan, split_recordings
from train.judging.collection import collect
from train.judging.events import Events, joined
from train.judging.heard_events import events_heard
from train.judging.hearing import hear_all
from train.judging.precision import find_least_scores
from train.judging.probability import basis_of, fit_calibration, fit_curve, scores_of
from train.judging.probability_report import measured, probabilities
from train.judging.reviewed import Reviewed
from train.windows.listening import Watch

__all__ = ["FEWEST_REVIEWED", "calibrated_by_recordings", "calibrated_by_reviews", "with_precision"]

FEWEST_REVIEWED = 50  # detections of a label, by which it has the site's own curve
UNHEARD = "cross-fitted by recordist, on recordings that were given as not trained on"


def calibrated_by_recordings(
    bundle: Bundle, data: Path, *, hop_s: float, workers: int, watch: Watch
) -> tuple[ScoreCalibration, dict[str, Any] | None]:
    """Return the calibration by the recordings in `data`, and how reliable it is on recordists by
    whom it was not fitted; raises `UserError` where there is too little.
    """
    collection = collect(bundle, data, None, hop_s=hop_s, workers=workers)
    recordings = split_recordings(collection.corpus.recordings, SplitPlan())
    answers = hear_all(collection.question, [r.path for r in recordings], workers=workers)
    heard = dict(enumerate(watch(answers, len(recordings))))
    known = {i: answer for i, answer in heard.items() if not isinstance(answer, str)}
    labels = [label.label for label in bundle.labels]
    events = events_heard(recordings, known, labels)
    basis = basis_of(events, [recordings[i] for i in known], UNHEARD)
    calibration = fit_calibration(events, labels, basis=basis)
    part = np.array([_part(recordings[i]) for i in events.recording], np.int64)
    return _kept(calibration, bundle), _cross_fitted(calibration, events, part, labels)


def _part(recording: Recording) -> int:
    """Return which part of the recordists a recording is in; -1 for one that is in two."""
    return recording.fold + 1 if recording.split in ("dev", "test") else -1


def _cross_fitted(
    calibration: ScoreCalibration, events: Events, part: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, Any] | None:
    """Return how reliable such a calibration is, each part of the recordists judged by the others'.

    The plan of splits has the test as its first part, and the folds.
    """
    heard, probability = [], []
    for k in range(part.max(initial=-1) + 1):
        others = scores_of(events.select((part >= 0) & (part != k)), (), labels, method=UNHEARD)
        if others is not None and (part == k).any():
            inside = events.select(part == k)
            heard.append(inside)
            probability.append(probabilities(others, inside, labels))
    if not heard:
        return None
    return measured(calibration, joined(heard), np.concatenate(probability))


def calibrated_by_reviews(
    bundle: Bundle, reviewed: Reviewed
) -> tuple[ScoreCalibration, tuple[str, ...], dict[str, int]]:
    """Return the bundle's calibration with curves of their own for labels with reviews enough.

    They begin at what the bundle knows, and its evidence gives way to theirs. Also returns these
    labels, and the counts of those with too few. Raises `UserError` where no label has enough.
    """
    counts = reviewed.counts
    enough = tuple(label for label, count in counts.items() if count >= FEWEST_REVIEWED)
    if not enough:
        label, count = next(iter(counts.items()))
        raise UserError(
            f"{reviewed.file}: has {count} reviewed detections of {label}, the most of any label; "
            f"{FEWEST_REVIEWED} are needed"
        )
    before = bundle.calibration
    own = dict(before.own) if before else {}
    for label in enough:
        rows = reviewed.of(label)
        score, right = np.array([r.score for r in rows]), np.array([r.right for r in rows], bool)
        start = own.get(label, before.shared if before else None)
        own[label] = fit_curve(score, right, start=start)
    calibration = ScoreCalibration(
        shared=before.shared if before else None,
        own=own,
        basis=(*(before.basis if before else ()), _site(reviewed, enough)),
        evidence=_replaced(before.evidence if before else None, reviewed, enough),
    )
    fewer = {label: count for label, count in counts.items() if label not in enough}
    return _kept(calibration, bundle), enough, fewer


def _site(reviewed: Reviewed, labels: tuple[str, ...]) -> Basis:
    used = [review for review in reviewed.reviews if review.label in labels]
    named = ", ".join(labels[:5]) + (" and others" if len(labels) > 5 else "")
    return Basis(
        recordings=f"reviewed detections of {named}"[:200],
        method="reviewed by people at a site",
        digest=reviewed.digest,
        events=len(used),
        right=round(sum(review.right for review in used) / len(used), 6),
    )


def _replaced(before: Evidence | None, reviewed: Reviewed, labels: tuple[str, ...]) -> Evidence:
    """Return the evidence with the site's own in the place of what there was of these labels."""
    kept = [row for row in (before.rows() if before else ()) if row[0] not in labels]
    site = [(r.label, r.score, r.right) for r in reviewed.reviews if r.label in labels]
    rows = [*kept, *site]
    names = sorted({row[0] for row in rows})
    return Evidence(
        labels=tuple(names),
        label=tuple(names.index(row[0]) for row in rows),
        score=tuple(row[1] for row in rows),
        right=tuple(int(row[2]) for row in rows),
    )


def with_precision(calibration: ScoreCalibration, precision: float) -> ScoreCalibration:
    """Return the calibration with the least scores for a precision."""
    found = find_least_scores(calibration.evidence, precision)
    precisions = {**calibration.precisions, f"{precision:g}": found}
    return dataclasses.replace(calibration, precisions=precisions)


def _kept(calibration: ScoreCalibration, bundle: Bundle) -> ScoreCalibration:
    """Return it with least scores for the precisions that the bundle had some for."""
    for precision in bundle.calibration.precisions if bundle.calibration else ():
        calibration = with_precision(calibration, float(precision))
    return calibration
