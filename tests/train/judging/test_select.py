"""Which species validation can tell from the others."""

from __future__ import annotations

import numpy as np

from tests.train import synthetic
from train.judging.select import score_species, select_species
from train.windows.outputs import WindowOutputs


def test_confused_species_score_low_and_are_left_out() -> None:
    corpus = synthetic.corpus(species=5)
    outputs = synthetic.outputs(corpus, spread=0.01)
    logits = outputs.logits.copy()
    # 3 and 4 cannot be told apart, argmax names 3
    logits[:, 3] = logits[:, 4] = logits[:, [3, 4]].max(axis=1)
    confused = WindowOutputs(**{**vars(outputs), "logits": logits})
    scores = score_species(corpus, [confused])
    heard = {s.label: s for s in scores if s.recordings}
    assert heard["known_0"].f1 == 1
    assert heard["known_4"].recall == 0
    assert "known_4" not in select_species(scores, at_least=2, f1=0.4)
    assert len(select_species(scores, at_least=5, f1=0.4)) == 5


def test_a_species_nobody_validated_is_not_assumed_to_work() -> None:
    corpus = synthetic.corpus(species=3)
    outputs = synthetic.outputs(corpus, spread=0.01)
    species = np.array([corpus.recordings[i].label for i in outputs.recording])
    scores = {s.label: s for s in score_species(corpus, [outputs.select(species != "known_1")])}
    assert scores["known_1"].recordings == 0
    assert scores["known_1"].f1 == 0
