"""Mean average precision with the species that a recording's author heard in the background, too.

BirdCLEF 2017 asks for both: the species that a recording is of, and all that are noted of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.corpus.corpus import Corpus
from train.judging.events import labels_of
from train.judging.judged import Judged
from train.judging.levels import plain_estimates
from train.judging.metrics import Bootstrap, mean_of
from train.judging.ranking import list_precision, ranks

__all__ = ["with_background"]


def with_background(
    corpus: Corpus, labels: Sequence[str], recordings: Judged, draw: Bootstrap
) -> dict[str, Any]:
    """Return the number by its name, of recordings of known species; nothing where none has notes.

    Of the species that are noted some may be none of the labels: they are in no list.
    """
    known = recordings.truth.known
    noted = [labels_of(corpus.recordings[i]) for i in recordings.recording]
    if not any(len(names) > 1 for names, is_known in zip(noted, known, strict=True) if is_known):
        return {}
    place = ranks(recordings.scores)[:, : len(labels)]
    present = np.array([[label in names for label in labels] for names in noted], bool)
    wanted = np.array([len(names) for names in noted], np.int64)
    precision = np.where(known, list_precision(place, present, wanted), np.nan)
    estimate = draw.estimate(lambda weights: mean_of(precision, weights))
    return plain_estimates({"map_background": estimate})
