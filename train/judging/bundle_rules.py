"""What a bundle decides of windows it has heard, and what other rules on its scores would."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from train.corpus.corpus import Corpus
from train.judging.animal_curves import Outcomes, measure_outcomes
from train.judging.hearing import Heard
from train.judging.judged import Judged, by_recording
from train.judging.truth import Truth, truth_of
from train.windows.outputs import WindowOutputs

__all__ = [
    "Answers",
    "answers_of",
    "as_it_decides",
    "costs_of",
    "margin_of",
    "rules_of",
    "told_apart",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
KEPT = 0.99
SCORES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # least ones of the table of costs


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The W windows of all recordings, with the columns of `Heard` and their truth.

    `means` (R, K + 1) are those of the recordings that were heard, in their order.
    """

    truth: Truth
    recording: NDArray[np.int64]
    scores: Floats
    listed: Floats
    off_list: Floats
    novelty: Floats
    given: Mask
    animal: Floats
    named_any: Mask
    other: Mask
    means: Floats

    @property
    def best(self) -> NDArray[np.int64]:
        """Position (W,) of the best listed label; K for any that no recording is of."""
        best: NDArray[np.int64] = self.scores.argmax(1).astype(np.int64)
        return best

    @property
    def has_list(self) -> bool:
        """Whether there are animals that may not be answered."""
        return bool(np.isfinite(self.off_list).all())

    @property
    def margin(self) -> Floats:
        """How far (W,) animals that are not listed outdo those that are; at 0 is no animal."""
        outdone: Floats = np.maximum(self.off_list, 0) - self.listed
        return outdone

    def judged(self, novelty: Floats, accepted: Mask) -> Judged:
        """Return the windows by a rule with this `novelty` (W,), which accepts some (W,)."""
        return Judged(
            recording=self.recording,
            truth=self.truth,
            closed=self.best,
            opened=np.where(accepted, self.best, -1),
            novelty=novelty,
            scores=self.scores,
        )

    def recordings(self, windows: Judged) -> Judged:
        """Return the recordings by their windows; without rejection, by their mean scores."""
        judged = by_recording(windows)
        return dataclasses.replace(judged, closed=self.means.argmax(1).astype(np.int64))


def answers_of(corpus: Corpus, labels: tuple[str, ...], heard: Mapping[int, Heard]) -> Answers:
    """Put together what was heard of recordings of the corpus, by their position."""

    def joined(column: str) -> NDArray[Any]:
        return np.concatenate([getattr(answer, column) for answer in heard.values()])

    scores = joined("scores")
    recording = np.concatenate([np.full(len(a.active), i) for i, a in heard.items()])
    windows = WindowOutputs(
        recording=recording,
        start_s=joined("start_s"),
        active=joined("active"),
        embedding=np.zeros((len(recording), 0), np.float32),
        logits=scores[:, :-1],
        labels=labels,
    )
    return Answers(
        truth=truth_of(corpus, windows),
        recording=recording,
        scores=scores.astype(np.float64),
        listed=joined("listed").astype(np.float64),
        off_list=joined("off_list").astype(np.float64),
        novelty=joined("novelty").astype(np.float64),
        given=joined("given"),
        animal=joined("animal").astype(np.float64),
        named_any=joined("named"),
        other=joined("other"),
        means=np.stack([answer.means for answer in heard.values()]).astype(np.float64),
    )


def as_it_decides(bundle: Bundle, answers: Answers) -> Judged:
    """Return the windows as a recorder with this list judges them (`edge.detect.site`).

    Of several labels in a window the best is looked at.
    """
    several = bundle.label_thresholds is not None
    margin = bundle.manifest.list_margin
    given, novelty = answers.given, -answers.listed if several else answers.novelty
    if margin is not None and answers.has_list:
        outdone = answers.off_list - answers.listed
        given = given & (outdone <= margin.threshold)[:, np.newaxis]
        novelty = answers.margin
    accepted: Mask = np.logical_or.reduce(given, axis=1)
    best = np.where(given, answers.scores, -1).argmax(1)
    return dataclasses.replace(
        answers.judged(novelty, accepted),
        opened=np.where(accepted, best, -1).astype(np.int64),
        given=given if several else None,
    )


def told_apart(bundle: Bundle, answers: Answers, judged: Judged) -> dict[str, Any] | None:
    """Return what windows become, as a recorder tells it; None where the bundle cannot tell.

    An animal that the list withholds is an unknown one, however surely it stands out.
    """
    rule = bundle.manifest.animal
    if rule is None:
        return None
    withheld = answers.named_any & ~judged.accepted & ~answers.other
    return measure_outcomes(
        Outcomes(
            kind=judged.truth.kind,
            named=judged.accepted | answers.other,
            right=judged.accepted & (judged.opened == judged.truth.species),
            other=answers.other & ~judged.accepted,
            animal=np.where(withheld, 1.0, answers.animal),
            threshold=rule.threshold,
        )
    )


def rules_of(bundle: Bundle, answers: Answers, *, acceptance: float) -> dict[str, Judged]:
    """Return the windows under each rule, whose threshold lets `acceptance` of the known pass."""
    novelties = {"best score on the list": -answers.listed}
    if answers.has_list:
        novelties["margin over the list"] = answers.margin
    if bundle.manifest.rule != "max_logit":
        novelties[bundle.manifest.rule] = answers.novelty
    return {
        name: answers.judged(novelty, novelty <= _threshold(novelty, answers, acceptance))
        for name, novelty in novelties.items()
    }


def margin_of(bundle: Bundle, answers: Answers) -> dict[str, float] | None:
    """Return threshold and scale of the margin that leaves `KEPT` of what is named rightly, and
    never forbids the best of all.

    None where there is no list, or a window has one label only.
    """
    if not answers.has_list or bundle.label_thresholds is None:
        return None
    right = answers.truth.known & (answers.best == answers.truth.species)
    right &= answers.given[np.arange(len(right)), answers.best]
    if not right.any():
        return None
    outdone = answers.off_list - answers.listed
    threshold = max(float(np.quantile(outdone[right], KEPT, method="higher")), 0.0)
    spread = max(float(outdone[answers.truth.known].std()), 1e-3)
    return {"threshold": round(threshold, 3), "scale": round(spread, 3)}


def costs_of(answers: Answers) -> list[dict[str, float | None]]:
    """Return for each least score what is accepted, and how much of it is right.

    Shares of the windows of known and of unknown species and of noise; `right` is that of what is
    named at all, noise and unknown species included.
    """
    truth, best = answers.truth, answers.scores.max(1)
    counted = truth.known | truth.unknown | truth.noise
    right = answers.best == truth.species
    rows = []
    for least in SCORES:
        named = (best >= least) & counted
        rows.append(
            {
                "score": least,
                "known": _share(named, truth.known),
                "right": _share(right, named),
                "unknown": _share(named, truth.unknown),
                "noise": _share(named, truth.noise),
            }
        )
    return rows


def _share(mask: Mask, among: Mask) -> float | None:
    return round(float(mask[among].mean()), 4) if among.any() else None


def _threshold(novelty: Floats, answers: Answers, acceptance: float) -> float:
    known = novelty[answers.truth.known]
    return float(np.quantile(known, acceptance, method="higher"))
