"""Events of a study's recordings by heads that have not heard them: what probabilities rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from train.corpus.corpus import Corpus
from train.judging.calibrate_head import calibrate_head
from train.judging.crossfit import turns_of_folds
from train.judging.events import Events, events_in, joined
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

__all__ = ["events_in_turns"]


def events_in_turns(
    corpus: Corpus,
    outputs_of: Callable[[Corpus], tuple[WindowOutputs, WindowOutputs]],
    *,
    acceptance: float,
    window_s: float,
) -> Events:
    """Return the events of each fold of dev, by a head that was made without it.

    `outputs_of` makes a head of the folds of a turn that train, and returns what it says of the
    turn's validation and of its test.
    """

    def turns() -> Iterator[Events]:
        for turn in turns_of_folds(corpus):
            validation, test = outputs_of(turn)
            truth = truth_of(turn, validation)
            if truth.known.any() and (truth.unknown.any() or truth.noise.any()):
                head = calibrate_head(turn, validation, acceptance=acceptance).head
                yield events_in(turn, test, head, window_s=window_s)

    return joined(turns())
