"""Events as training makes them are those of the device's tracker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.detect.decision import Decision, best
from edge.detect.tracker import Tracker, TrackerConfig
from edge.types import Detection, Prediction
from tests.edge.detect.test_tracker import FINE, LABELS
from train.judging.events import Judgements, events_of

RATE_HZ = 1000
WINDOW = 3000


def tracked(judged: Judgements, decision: Decision) -> list[tuple[int, float]]:
    config = TrackerConfig(narrow=False)
    tracker = Tracker(decision=decision, identity="test", config=config)
    found: list[Detection] = []
    for i, scores in enumerate(judged.scores):
        novelty = float(judged.novelty[i])
        top = best(LABELS, scores)
        p = Prediction(
            start_sample=round(judged.start_s[i] * RATE_HZ),
            end_sample=round(judged.end_s[i] * RATE_HZ),
            sample_rate_hz=RATE_HZ,
            label=None,
            nearest=top[0].label,
            score=top[0].score,
            novelty=novelty,
            top=top,
            health=FINE,
            scores=scores,
            embedding=scores,
        )
        judgement = decision(p, scores=scores, novelty=novelty, accepted=novelty <= 0.5)
        found += tracker.push(judgement)
    found += tracker.flush()
    ended = [d for d in found if d.state == "end" and d.label is not None]
    return [(LABELS.index(str(d.label)), d.score) for d in ended]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    windows=st.integers(1, 80),
    hop=st.sampled_from([500, 1000, 1500, 3000, 5000]),
    several=st.booleans(),
)
def test_they_are_those_of_the_tracker(seed: int, windows: int, hop: int, several: bool) -> None:
    rng = np.random.default_rng(seed)
    start_s = np.arange(windows) * hop / RATE_HZ
    judged = Judgements(
        start_s=start_s,
        end_s=start_s + WINDOW / RATE_HZ,
        scores=rng.dirichlet(np.full(3, 0.3), windows).astype(np.float32),
        novelty=rng.uniform(0, 0.9, windows).astype(np.float32),
    )
    thresholds = np.full(3, 0.4, np.float32) if several else None
    expected = tracked(judged, Decision(labels=LABELS, thresholds=thresholds))
    found = events_of(judged, thresholds=thresholds)
    assert sorted(k for k, _ in found) == sorted(k for k, _ in expected)
    assert sorted(s for _, s in found) == pytest.approx(sorted(s for _, s in expected), abs=1e-5)
