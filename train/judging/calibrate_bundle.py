"""Probabilities and least scores for any bundle: by recordings, or by what a site has reviewed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, ListMargin
from edge.bundle.probability import Basis, Evidence, ScoreCalibration
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.corpus.splits import SplitPlan, split_recordings
from train.judging.bundle_rules import answers_of, margin_of
from train.judging.collection import Collection, hear_collection, usable
from train.judging.events import Events, joined
from train.judging.heard_events import events_heard
from train.judging.hearing import Heard
from train.judging.precision import find_least_scores
from train.judging.probability import basis_of, fit_calibration, fit_curve, scores_of
from train.judging.probability_report import measured, probabilities
from train.judging.reviewed import Reviewed
from train.windows.listening import Watch

__all__ = [
    "FEWEST_REVIEWED",
    "ByRecordings",
    "calibrated_by_recordings",
    "calibrated_by_reviews",
    "with_precision",
]

FEWEST_REVIEWED = 50  # detections of a label, by which it has the site's own curve
UNHEARD = "cross-fitted by recordist, on recordings that were given as not trained on"


@dataclass(frozen=True, kw_only=True)
class ByRecordings:
    """A calibration by recordings.

    `reliable` is how reliable it is on recordists by whom it was not fitted, None where nothing can
    be said; `margin` is that over a list, None without one.
    """

    calibration: ScoreCalibration
    reliable: dict[str, Any] | None
    margin: ListMargin | None


def calibrated_by_recordings(
    bundle: Bundle,
    data: Path,
    *,
    species: str | None = None,
    hop_s: float,
    workers: int,
    watch: Watch,
) -> ByRecordings:
    """Return the calibration by the recordings in `data`, each of which is heard once.

    `species` is a list, as in `evaluate_bundle`, to learn the margin over it. Raises `UserError`
    where there is too little.
    """
    found = usable(bundle, data, workers=workers)
    asked = found.collection(species, hop_s=hop_s)
    whole = asked if species is None else found.collection(None, hop_s=hop_s)
    if species is not None and (bundle.label_thresholds is None or not _leaves_out(asked)):
        raise _no_margin(data)  # before anything is heard
    heard, _ = hear_collection(asked, workers=workers, watch=watch)
    margin = None if species is None else _list_margin(bundle, data, asked, heard)
    recordings = split_recordings(whole.corpus.recordings, SplitPlan())
    labels = [label.label for label in bundle.labels]
    events = events_heard(recordings, heard, labels, may_be=whole.question.listed)
    basis = basis_of(events, [recordings[i] for i in heard], UNHEARD)
    calibration = fit_calibration(events, labels, basis=basis)
    part = np.array([_part(recordings[i]) for i in events.recording], np.int64)
    return ByRecordings(
        calibration=_kept(calibration, bundle),
        reliable=_cross_fitted(calibration, events, part, labels),
        margin=margin,
    )


def _leaves_out(collection: Collection) -> bool:
    """Return whether there are animals that may not be answered."""
    question = collection.question
    return any(
        animal and not may_be
        for animal, may_be in zip(question.animals, question.listed, strict=True)
    )


def _no_margin(data: Path) -> UserError:
    return UserError(
        f"{data}: says nothing of a margin over the list; that needs a bundle with several "
        "labels in a window, a list that leaves some of them out, and recordings of species on "
        "it that are named rightly"
    )


def _list_margin(
    bundle: Bundle, data: Path, collection: Collection, heard: Mapping[int, Heard]
) -> ListMargin:
    """Return how far an animal off the list may outdo those on it, by what was heard.

    Raises `UserError` where nothing can be said.
    """
    found = None
    if heard:
        found = margin_of(bundle, answers_of(collection.corpus, collection.labels, heard))
    if found is None:
        raise _no_margin(data)
    return ListMargin(**found)


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
