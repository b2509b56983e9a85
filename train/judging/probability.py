"""Scores of events to probabilities: fitting the curves, and measuring how well they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.digest import canonical_digest
from edge.bundle.probability import LEAST, MOST_EVENTS, Basis, Curve, Evidence, ScoreCalibration
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.judging.events import Events
from train.judging.precision import DIGITS

__all__ = [
    "FEWEST",
    "NO_PROBABILITY",
    "basis_of",
    "evidence_of",
    "fit_calibration",
    "fit_curve",
    "reliability",
    "scores_of",
]

Floats = NDArray[np.float64]
FEWEST = 20  # events by which anything can be said of all labels together
NO_PROBABILITY = (
    "too few events were heard, of one answer or the other, to say how likely a label is right"
)
OWN = 10  # events from which a label has a curve of its own
SPREAD = 1.0  # of a label's log odds about those of all: a label with few events stays near them
SLOPES = 2.0  # spread of the logarithm of a slope about 1
MOST_SHIFTED = 8.0  # of an offset
NEAR_SLOPES, SHIFT = 0.5, 2.0  # the same spreads about a curve that is known
STEEPEST, FLATTEST = 20.0, 0.02  # slopes of a curve
BINS = 10


def scores_of(
    events: Events, recordings: Sequence[Recording], labels: Sequence[str], *, method: str
) -> ScoreCalibration | None:
    """Return how likely labels are right, by events in `recordings` that were kept from training
    and thresholds by a `method`; None where these are too few.
    """
    try:
        return fit_calibration(events, labels, basis=basis_of(events, recordings, method))
    except UserError:
        return None


def basis_of(events: Events, recordings: Sequence[Recording], method: str) -> Basis:
    """Return what a calibration on these events of `recordings` rests on, in words."""
    minutes = {
        role: sum(r.seconds for r in recordings if r.role == role) / 60
        for role in ("known", "unknown", "noise", "background")
    }
    kinds = ", ".join(f"{m:.0f} min {role}" for role, m in minutes.items() if m)
    return Basis(
        recordings=f"{len(recordings)} recordings: {kinds}"[:200],
        method=method,
        digest=canonical_digest(sorted(r.sha256 for r in recordings)),
        events=max(len(events), 1),
        right=round(float(events.right.mean()), DIGITS) if len(events) else 0.0,
    )


def fit_calibration(events: Events, labels: Sequence[str], *, basis: Basis) -> ScoreCalibration:
    """Return the curve of all labels together, and an offset of their own for those with events
    enough, shrunk towards it; raises `UserError` where there are too few of either answer.
    """
    right = int(events.right.sum())
    if len(events) < FEWEST or not 0 < right < len(events):
        raise UserError(
            f"{len(events)} events were heard, of which {right} are right: probabilities need "
            f"{FEWEST}, some right and some wrong"
        )
    shared, offsets = _fitted(events)
    own = {
        labels[k]: Curve(low=shared.low, high=shared.high, offset=shared.offset + offset)
        for k, offset in offsets.items()
    }
    return ScoreCalibration(
        shared=shared, own=own, basis=(basis,), evidence=evidence_of(events, labels)
    )


def fit_curve(score: Floats, right: NDArray[np.bool_], *, start: Curve | None = None) -> Curve:
    """Return the curve of events with these scores and answers (E,).

    Few events stay near `start`, its slopes above all; without one, near the score itself.
    """
    alone = np.zeros(len(score), np.int64)
    return _minimised(_Loss(score, right, alone, offsets=0, start=start))[0]


def evidence_of(events: Events, labels: Sequence[str]) -> Evidence:
    """Return events as a bundle keeps them; of too many an even part."""
    kept = np.unique(np.linspace(0, len(events) - 1, min(len(events), MOST_EVENTS)).astype(int))
    named, label = np.unique(events.label[kept], return_inverse=True)
    return Evidence(
        labels=tuple(labels[k] for k in named),
        label=tuple(label.tolist()),
        score=tuple(events.score[kept].round(DIGITS).tolist()),
        right=tuple(events.right[kept].astype(int).tolist()),
    )


def reliability(probability: Floats, right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how far probabilities (E,) are from the shares that are right (E,).

    The expected calibration error is the mean distance over bins of width 0.1, weighed by their
    events; `bins` have the mean probability and the share of each.
    """
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    bins = []
    for k in np.unique(place):
        inside = place == k
        bins.append(
            {
                "from": float(k) / BINS,
                "to": float(k + 1) / BINS,
                "events": int(inside.sum()),
                "probability": float(probability[inside].mean()),
                "right": float(right[inside].mean()),
            }
        )
    distance = sum(b["events"] * abs(b["probability"] - b["right"]) for b in bins)
    return {
        "events": len(right),
        "right": float(right.mean()),
        "expected_calibration_error": distance / len(right),
        "brier": float(np.square(probability - right).mean()),
        "bins": bins,
    }


def _fitted(events: Events) -> tuple[Curve, Mapping[int, float]]:
    found, label, counts = np.unique(events.label, return_inverse=True, return_counts=True)
    enough = counts >= OWN
    # Position of each event's offset; the last is that of labels without one, which stays 0.
    count = int(enough.sum())
    position = np.where(enough, np.cumsum(enough) - 1, count)[label]
    loss = _Loss(events.score, events.right, position, offsets=count, start=None)
    curve, offsets = _minimised(loss)
    return curve, dict(zip(found[enough].tolist(), offsets.tolist(), strict=True))


class _Loss:
    """Negative log likelihood and its slope, with priors, for parameters as one vector.

    That is the logarithms of both slopes, the offset, and the labels' own offsets.
    """

    def __init__(
        self,
        score: Floats,
        right: NDArray[np.bool_],
        position: NDArray[np.int64],
        *,
        offsets: int,
        start: Curve | None,
    ) -> None:
        s = np.clip(score, LEAST, 1 - LEAST)
        self._low, self._high = np.log(s), -np.log1p(-s)
        self._right = right.astype(np.float64)
        self._position, self.offsets = position, offsets
        known = start or Curve(low=1.0, high=1.0, offset=0.0)
        slopes = np.clip([known.low, known.high], FLATTEST, STEEPEST)
        self._prior = np.array([*np.log(slopes), known.offset])
        slope, offset = (SLOPES, MOST_SHIFTED) if start is None else (NEAR_SLOPES, SHIFT)
        self._spread = np.array([slope, slope, offset, *[SPREAD] * offsets])

    @property
    def start(self) -> Floats:
        return np.concatenate([self._prior, np.zeros(self.offsets)])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        slope, offset = (np.log(FLATTEST), np.log(STEEPEST)), (-MOST_SHIFTED, MOST_SHIFTED)
        return [slope, slope, *[offset] * (1 + self.offsets)]

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        low, high = np.exp(x[:2])
        own = np.append(x[3:], 0.0)
        z = low * self._low + high * self._high + x[2] + own[self._position]
        off = np.concatenate([x[:3] - self._prior, x[3:]]) / self._spread
        value = float(np.logaddexp(0, z).sum() - (self._right * z).sum() + 0.5 * (off @ off))
        error = 0.5 * (1 + np.tanh(0.5 * z)) - self._right
        by_label = np.bincount(self._position, error, minlength=len(own))[: self.offsets]
        slope = np.concatenate(
            [
                [low * (error @ self._low), high * (error @ self._high), error.sum()],
                by_label,
            ]
        )
        return value, slope + off / self._spread


def _minimised(loss: _Loss) -> tuple[Curve, Floats]:
    from scipy.optimize import minimize  # slow to import

    found = minimize(loss, loss.start, jac=True, method="L-BFGS-B", bounds=loss.bounds).x
    low, high = np.exp(found[:2])
    curve = Curve(
        low=round(float(low), DIGITS), high=round(float(high), DIGITS), offset=float(found[2])
    )
    return curve, found[3:]
