"""The numbers of `deploy.quantize.accuracy` are those of `edge-train evaluate`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.quantize.accuracy import Accuracy, Outputs, judge, losses, rethreshold
from edge.bundle import Head
from edge.bundle.windows import Split
from tests.train.synthetic import corpus, outputs
from train.judging.calibrate import calibrate
from train.judging.evaluate import evaluate
from train.judging.truth import truth_of

CORPUS = corpus()
CALIBRATION = calibrate(CORPUS, outputs(CORPUS, train=True), outputs(CORPUS), activation="softmax")


@pytest.mark.parametrize("spread", [0.3, 1.5])
@pytest.mark.parametrize("rule", ["max_logit", "gaussian_tail"])
def test_they_are_those_of_evaluate(spread: float, rule: str) -> None:
    said = outputs(CORPUS, test=True, spread=spread)
    # So some recordings have no quiet window, and some fewer others.
    said = said.select(np.arange(len(said)) % 7 != 0)
    # What is said of quiet windows must not count for their recording.
    loudly_wrong = 5 * np.roll(said.logits, 1, axis=1)
    said = dataclasses.replace(
        said, logits=np.where(said.active[:, None], said.logits, loudly_wrong)
    )
    calibration = dataclasses.replace(CALIBRATION, chosen=rule)
    report = evaluate(CORPUS, said, calibration, resamples=2)
    truth = truth_of(CORPUS, said)
    split = Split(
        features=np.zeros((len(said), 1, 1, 1), np.float32),
        recording=said.recording,
        species=truth.species,
        kind=truth.kind,
        origin=truth.origin,
    )
    accuracy = judge(split, Outputs(embedding=said.embedding, logits=said.logits), calibration.head)
    closed, windows = report["recordings"]["closed"], report["windows"]
    assert accuracy.macro_f1 == pytest.approx(closed["macro_f1"]["value"], abs=1e-4)
    assert accuracy.top1 == pytest.approx(closed["top1"]["value"], abs=1e-4)
    assert set(accuracy.auroc) == set(windows["open"])
    for name, value in accuracy.auroc.items():
        assert value == pytest.approx(windows["open"][name]["auroc"]["value"], abs=1e-4)
    for name, value in accuracy.accepted.items():
        assert value == pytest.approx(windows["accepted"][name]["value"], abs=1e-4)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40), st.data())
def test_a_threshold_lets_at_least_as_many_pass_and_more_only_by_a_tie(
    novelty: list[float], data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, len(novelty)))
    values = np.array(novelty)
    threshold, scale = rethreshold(values, wanted)
    assert np.sum(values < threshold) < wanted <= np.sum(values <= threshold)
    # The head takes them.
    Head(activation="softmax", rule=CALIBRATION.head.rule, threshold=threshold, scale=scale)


def test_what_must_not_get_worse_is_named() -> None:
    before = Accuracy(macro_f1=0.6, top1=0.7, auroc={"unknown species": 0.8}, accepted={})
    after = Accuracy(macro_f1=0.5, top1=0.6, auroc={"unknown species": 0.9}, accepted={})
    assert losses(before, after) == {
        "macro F1 per recording": (0.6, 0.5),
        "AUROC, unknown species": (0.8, 0.9),
    }
