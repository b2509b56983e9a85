"""Which species a default should know: those that validation can tell from the others.

The rest is better left to 'unknown'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.metrics import precision_recall_fscore_support

from train.corpus.corpus import Corpus
from train.windows.outputs import WindowOutputs

__all__ = ["SpeciesScore", "score_species", "select_species"]


@dataclass(frozen=True, kw_only=True)
class SpeciesScore:
    """How well one species is recognised over all validation folds given.

    It holds the number of recordings, and precision, recall and F1 per recording without rejection.
    """

    label: str
    recordings: int
    precision: float
    recall: float
    f1: float


def score_species(corpus: Corpus, folds: Sequence[WindowOutputs]) -> tuple[SpeciesScore, ...]:
    """Score each species on the validation outputs of runs on several folds, pooled.

    A recording is named by the largest mean softmax of its active windows. A run counts for the
    species it learned; one that no fold validates scores 0, since nothing shows that it can be
    recognised.
    """
    true, named = [], []
    for outputs in folds:
        for index in np.unique(outputs.recording):
            recording = corpus.recordings[index]
            windows = outputs.logits[(outputs.recording == index) & outputs.active]
            if recording.role == "known" and recording.label in outputs.labels and len(windows):
                true.append(recording.label)
                named.append(outputs.labels[int(softmax(windows, axis=1).mean(axis=0).argmax())])
    labels = sorted({label for outputs in folds for label in outputs.labels})
    precision, recall, f1, support = precision_recall_fscore_support(
        true, named, labels=labels, zero_division=0
    )
    return tuple(
        SpeciesScore(
            label=label,
            recordings=int(support[i]),
            precision=precision[i],
            recall=recall[i],
            f1=f1[i],
        )
        for i, label in enumerate(labels)
    )


def select_species(scores: Sequence[SpeciesScore], *, at_least: int, f1: float) -> tuple[str, ...]:
    """Return labels, in order, of the species with at least this F1.

    When fewer than `at_least` reach it, the best `at_least` are taken.
    """
    ranked = sorted(scores, key=lambda s: (-s.f1, -s.recordings, s.label))
    count = max(at_least, sum(s.f1 >= f1 for s in scores))
    return tuple(sorted(s.label for s in ranked[:count]))
