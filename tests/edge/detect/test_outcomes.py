"""What a window is: a label, an unknown animal, another sound, nothing; what events follow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.bundle.animal import AnimalRule
from edge.detect.decision import Decision, weighted
from edge.detect.engines import load_models
from edge.detect.model import NOTHING
from edge.detect.smoothing import SlidingAverage, SmoothingConfig
from edge.detect.tracker import Tracker
from edge.replay.formats import open_format
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Array, Outcome, Prediction, Window
from tests.edge.detect.test_offlist import SEVERAL, site
from tests.edge.detect.test_tracker import RATE_HZ, prediction
from tests.support.audio import write_audio
from tests.support.bundles import LABELS as TONES
from tests.support.bundles import SPEC, choir_bundle, tone

SURE = dataclasses.replace(SEVERAL, margin=None, animal_threshold=0.6)
RULE = AnimalRule(weights={"best_animal": 1.0}, bias=0.0, threshold=0.5)
ENGINE = (dataclasses.replace(TONES[0], kind="machine"), *TONES[1:])


def window(
    *scores: float, animal: float | None = None, start: int = 0, decision: Decision = SURE
) -> Prediction:
    blank = dataclasses.replace(prediction(start, "a"), label=None, others=())
    values = np.array(scores, np.float32)
    return decision(blank, scores=values, novelty=0.1, accepted=True, animal=animal)


@pytest.mark.parametrize(
    ("scores", "animal", "outcome"),
    [
        ((0.9, 0.1, 0.0, 0.0), 0.1, "label"),  # a label has been decided on
        ((0.1, 0.1, 0.0, 0.9), 0.1, "other"),
        ((0.1, 0.1, 0.0, 0.9), 0.9, "other"),
        ((0.6, 0.1, 0.0, 0.9), 0.9, "label"),  # beside an engine
        ((0.1, 0.1, 0.0, 0.1), 0.6, "unknown"),
        ((0.1, 0.1, 0.0, 0.1), 0.59, "nothing"),
        ((0.1, 0.1, 0.0, 0.1), None, "unknown"),  # the bundle cannot tell
    ],
)
def test_outcomes(scores: tuple[float, ...], animal: float | None, outcome: Outcome) -> None:
    assert SURE.outcome(window(*scores, animal=animal)) == outcome
    without = dataclasses.replace(SURE, animal_threshold=None)
    p = window(*scores, animal=animal, decision=without)
    assert without.outcome(p) == ("unknown" if outcome == "nothing" else outcome)


def events(*windows: Prediction, decision: Decision = SURE) -> list[tuple[str | None, int, int]]:
    tracker = Tracker(decision=decision, identity="test")
    found = [event for p in windows for event in tracker.push(p)] + list(tracker.flush())
    return [(d.label, d.start_sample, d.peak_sample) for d in found if d.state == "end"]


def test_nothing_makes_no_event_and_an_unknown_peaks_where_it_is_most_an_animal() -> None:
    low, some, high = (
        window(0.1, 0.1, 0, 0, animal=animal, start=500 * i)
        for i, animal in enumerate((0.2, 0.7, 0.9))
    )
    assert events(low) == []
    assert events(low, some, high) == [(None, 500, 1000)]
    named = window(0.9, 0.1, 0, 0, animal=0.9)
    assert events(named, dataclasses.replace(some, stands_out=False)) == [("ant", 0, 0)]


def test_an_animal_that_a_site_withholds_is_an_unknown_one_however_surely_it_stands_out() -> None:
    here = site(SURE, "ant", "engine", off_list="unknown")
    withheld = here(window(0.1, 0.9, 0, 0, animal=0.1))
    assert (withheld.label, SURE.outcome(withheld)) == (None, "unknown")
    without_engines = site(SURE, "ant", off_list="unknown")
    for animal, outcome in ((0.1, "nothing"), (0.9, "unknown")):
        engine = without_engines(window(0.1, 0.1, 0, 0.9, animal=animal))
        assert (engine.label, SURE.outcome(engine)) == (None, outcome)
    # With a margin, a list can only change what a window without a label is nearest to.
    weighing = dataclasses.replace(SEVERAL, animal_threshold=0.6)
    listed = site(weighing, "ant", off_list="unknown")
    quiet = listed(window(0.1, 0.4, 0, 0, animal=0.1, decision=weighing))
    assert weighing.outcome(quiet) == "nothing"
    outdone = listed(window(0.6, 0.99, 0, 0, animal=0.1, decision=weighing))
    assert weighing.outcome(outdone) == "unknown"


def test_the_mean_of_what_is_not_known_is_not_known() -> None:
    assert weighted([(0.2, 1.0), (0.8, 3.0)]) == pytest.approx(0.65)
    assert weighted([(0.2, 1.0), (None, 3.0)]) is None
    assert weighted([]) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=8))
def test_neighbours_are_averaged_like_scores(animals: list[float]) -> None:
    windows = [
        window(animal, 0.1, 0, 0, animal=animal, start=250 * i) for i, animal in enumerate(animals)
    ]
    sliding = SlidingAverage(
        decision=SURE, config=SmoothingConfig(slide_s=2.5), sample_rate_hz=RATE_HZ
    )
    out = [p for q in windows for p in sliding.push(q)] + list(sliding.flush())
    assert len(out) == len(windows)
    for p in out:
        assert p.animal == pytest.approx(float(p.scores[0]), abs=1e-6)
        assert p.stands_out == (p.animal is not None and p.animal >= 0.6)


def sound() -> Array:
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(3 * SPEC.sample_rate_hz)).astype(np.float32)
    parts: list[Array] = [noise, tone(300, 3.0), tone(1000, 3.0), noise, tone(3000, 3.0)]
    return np.concatenate(parts)


@pytest.fixture
def choir(tmp_path: Path) -> Bundle:
    """It hears an engine, knows the whistler, and never names the peeper: its threshold is 1."""
    thresholds = {"high_peeper": 1.0}
    return choir_bundle(tmp_path / "choir", labels=ENGINE, animal=RULE, label_thresholds=thresholds)


@pytest.mark.parametrize("block_s", [0.13, 1.0, 20.0])
def test_a_replay_tells_all_four_apart(choir: Bundle, tmp_path: Path, block_s: float) -> None:
    file = write_audio(tmp_path / "20240501_053000.wav", sound())
    settings = ReplaySettings(bundle=choir.path, hop_s=1.0, block_s=block_s)
    replayer = Replayer(settings)
    result = replayer.replay(file)
    assert [(d.label, round(d.start_s), round(d.end_s)) for d in result.detections] == [
        ("low_hummer", 3, 6),
        ("mid_whistler", 6, 9),
        (None, 12, 15),
    ]
    unknown = result.detections[-1]
    assert unknown.nearest == "high_peeper"
    assert unknown.animal is not None
    assert unknown.animal > 0.9


def test_every_format_says_which(choir: Bundle, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "20240501_053000.wav", sound())
    replayer = Replayer(ReplaySettings(bundle=choir.path, hop_s=1.0, spool=True))
    result = replayer.replay(file, spool=tmp_path / "spool")
    lines = _written("windows", result, replayer, tmp_path)
    found = [json.loads(line)["outcome"] for line in lines]
    wanted = ["nothing", "other", "label", "nothing", "unknown"]
    assert found == [outcome for outcome in wanted for _ in range(3)]
    header, *rows = _written("csv", result, replayer, tmp_path)
    column = header.split(",").index("outcome")
    assert [row.split(",")[column] for row in rows] == ["other", "label", "unknown"]
    assert all(row.split(",")[column + 1] for row in rows)
    lines = _written("jsonl", result, replayer, tmp_path)
    assert [json.loads(line)["outcome"] for line in lines] == ["other", "label", "unknown"]


def _written(form: str, result: object, replayer: Replayer, folder: Path) -> list[str]:
    file = folder / form
    with file.open("w", encoding="utf-8") as stream:
        writer = open_format(form, stream, replayer.provenance, several=False)  # type: ignore[arg-type]
        writer.write(result)  # type: ignore[arg-type]
        writer.close()
    return file.read_text(encoding="utf-8").splitlines()


def test_an_ensemble_can_tell_where_all_its_members_can(choir: Bundle, tmp_path: Path) -> None:
    rule = dataclasses.replace(RULE, bias=-1.0, threshold=0.7)
    other = choir_bundle(tmp_path / "other", labels=ENGINE, animal=rule)
    plain = choir_bundle(tmp_path / "plain", labels=ENGINE)
    samples = tone(3000, 1.0)
    asked = Window(start_sample=0, end_sample=8000, samples=samples, sample_rate_hz=8000)
    both = load_models([choir, other], backend="cpu")
    assert both.decision.animal_threshold == pytest.approx(0.6)
    each = [load_models([b], backend="cpu").predict(asked).animal for b in (choir, other)]
    assert both.predict(asked).animal == pytest.approx(np.mean([float(a or 0) for a in each]))
    one_cannot = load_models([choir, plain], backend="cpu")
    assert one_cannot.decision.animal_threshold is None
    assert one_cannot.predict(asked).animal is None


def test_a_gated_window_has_no_such_score() -> None:
    gated = prediction(0, ".")
    assert gated.scores is NOTHING
    assert gated.animal is None
