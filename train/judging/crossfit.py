"""Events of recordings that neither training nor the choice of thresholds has seen.

With few recordings none can be set aside for it: each fold is heard in turn by a system made
without it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.errors import UserError
from train.corpus.corpus import Corpus
from train.judging.calibrate import groups_of
from train.judging.calibration import Calibration
from train.judging.events import Events, events_in, joined
from train.windows.outputs import WindowOutputs

__all__ = ["BY_BOTH", "BY_PARTS", "held_out_events"]

BY_BOTH = (
    "each fold of recordists by a head that was fitted without it, each third of them by "
    "thresholds that were chosen without it"
)
BY_PARTS = "each part of the recordists of validation by thresholds that were chosen without it"
PARTS = 3


def held_out_events(
    corpus: Corpus,
    validation: WindowOutputs,
    calibrated: Callable[[WindowOutputs], Calibration],
    *,
    window_s: float,
) -> Events:
    """Return the events of windows of validation, part by part of its recordists, each by what
    `calibrated` makes of the windows of the other parts; parts for which it cannot are left out.
    """
    groups = groups_of(corpus, validation)
    names = np.unique(groups)
    np.random.default_rng(0).shuffle(names)
    found = []
    for part in np.array_split(names, PARTS):
        inside = np.isin(groups, part)
        try:
            head = calibrated(validation.select(~inside)).head
        except UserError:  # nothing known, or nothing else, is left
            continue
        found.append(events_in(corpus, validation.select(inside), head, window_s=window_s))
    return joined(found)
