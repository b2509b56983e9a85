"""Several bundles as one: each judges every window, and what they say is averaged."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from edge.bundle import Bundle
from edge.detect.decision import Decision
from edge.detect.model import Model, Verdict, unjudged
from edge.errors import BundleError
from edge.types import Array, Prediction, Window

__all__ = ["Ensemble"]


class Ensemble:
    """Scores by the power average sqrt(mean p^2) (Shugayev et al. 2021), novelty by the mean, the
    embedding of the first.

    There are no frames: those of members need not be of one length.

    Members know the same labels and hear the same windows, each with features of its own; equal
    frontends are computed once. Raises `BundleError` where two do not go together. Used by one
    thread, like a model.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        first = members[0]
        for member in members[1:]:
            _go_together(first.bundle, member.bundle)
        self._members = tuple(members)
        # Of each member, the first whose frontend is the same, and where its labels stand in the
        # order of the first one's.
        frontends = [member.bundle.frontend for member in members]
        self._frontends = [frontends.index(frontend) for frontend in frontends]
        self._orders = [
            np.array([member.labels.index(label) for label in first.labels]) for member in members
        ]
        self.bundle = first.bundle
        self.labels = first.labels
        self.decision = Decision(labels=first.labels, thresholds=self._thresholds())

    @property
    def digest(self) -> str:
        """sha256 of the members' digests, in their order."""
        return hashlib.sha256(
            "\n".join(member.digest for member in self._members).encode()
        ).hexdigest()

    @property
    def variant(self) -> str:
        """That of all members, or each one's."""
        variants = [member.variant for member in self._members]
        return variants[0] if len(set(variants)) == 1 else ",".join(variants)

    @property
    def backend_name(self) -> str:
        """The members' backends."""
        return "+".join(dict.fromkeys(member.backend_name for member in self._members))

    @property
    def passed_over(self) -> int:
        """Better engines that failed, of all members."""
        return sum(member.passed_over for member in self._members)

    @property
    def why_not(self) -> tuple[str, ...]:
        """See `Classifier.why_not`."""
        return tuple(dict.fromkeys(reason for member in self._members for reason in member.why_not))

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        p = unjudged(window, self._members[0].limits)
        if p.health.gated:
            return p
        features: dict[int, tuple[Array, float]] = {}
        verdicts: list[Verdict] = []
        for member, frontend in zip(self._members, self._frontends, strict=True):
            if frontend not in features:
                features[frontend] = member.features(window.samples)
            verdicts.append(member.verdict(features[frontend][0]))
        powers = [
            np.square(v.scores[order], dtype=np.float64)
            for v, order in zip(verdicts, self._orders, strict=True)
        ]
        novelty = float(np.mean([v.novelty for v in verdicts]))
        p = dataclasses.replace(
            p,
            embedding=verdicts[0].embedding,
            frontend_s=sum(seconds for _, seconds in features.values()),
            network_s=sum(v.network_s for v in verdicts),
        )
        scores = np.sqrt(np.mean(powers, axis=0)).astype(np.float32)
        return self.decision(p, scores=scores, novelty=novelty, accepted=novelty <= 0.5)

    def _thresholds(self) -> Array | None:
        thresholds = [
            member.decision.thresholds[order]
            for member, order in zip(self._members, self._orders, strict=True)
            if member.decision.thresholds is not None
        ]
        return np.mean(thresholds, axis=0).astype(np.float32) if thresholds else None


def _go_together(first: Bundle, other: Bundle) -> None:
    """Raise `BundleError` in one line where the two cannot be averaged."""
    a, b = ({label.label for label in bundle.labels} for bundle in (first, other))
    if a != b:
        lacks, more = ", ".join(sorted(a - b)[:3]), ", ".join(sorted(b - a)[:3])
        told = " and ".join(
            filter(None, [lacks and f"it lacks {lacks}", more and f"{first.path} lacks {more}"])
        )
        raise BundleError(
            f"{other.path}: its labels differ from those of {first.path}: {told}; an ensemble "
            "needs the same labels"
        )
    x, y = first.frontend, other.frontend
    if (x.window_samples, x.sample_rate_hz) != (y.window_samples, y.sample_rate_hz):
        raise BundleError(
            f"{other.path}: hears {y.window_s:g} s at {y.sample_rate_hz} Hz, but {first.path} "
            f"{x.window_s:g} s at "
            f"{x.sample_rate_hz} Hz; an ensemble needs the same windows"
        )
    if (first.label_thresholds is None) != (other.label_thresholds is None):
        one, several = (other, first) if other.label_thresholds is None else (first, other)
        raise BundleError(
            f"{several.path}: gives several labels a window, but {one.path} one; they cannot be "
            "averaged"
        )
