"""Which labels privacy is about, and from which score on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest

from edge.backends.onnx import OnnxBackend
from edge.bundle import Label
from edge.detect.ensemble import Ensemble
from edge.detect.model import Model, unjudged
from edge.detect.privacy import Privacy, PrivacyConfig
from edge.detect.signal_health import HealthConfig
from edge.errors import ConfigError
from edge.types import Prediction, Score, Window
from tests.support.bundles import LABELS, SPEC, tiny_bundle, tone

KNOWN = (
    Label(label="great_tit", common_name="Great Tit", scientific_name="Parus major"),
    Label(label="human_vocal", common_name="Human vocal", kind="human"),
    Label(label="dog", common_name="Dog"),
    Label(label="siren", common_name="Siren", kind="machine"),
)


def window(seconds: float = 1.0) -> Window:
    samples = tone(300, seconds)
    return Window(
        start_sample=0, end_sample=len(samples), samples=samples, sample_rate_hz=SPEC.sample_rate_hz
    )


def scored(*scores: float, **more: Any) -> Prediction:
    p = unjudged(window(), HealthConfig())
    return dataclasses.replace(p, scores=np.array(scores, np.float32), **more)


def privacy(*bundles: tuple[Label, ...], **config: Any) -> Privacy:
    return Privacy(PrivacyConfig(**config), bundles or [KNOWN])


def label_of(found: Score | None) -> str | None:
    return None if found is None else found.label


def test_by_default_no_clip_has_people_in_it() -> None:
    usual = privacy()
    assert usual.on
    found = usual.found(scored(0.9, 0.1, 0.8, 0.8))
    assert found == Score(label="human_vocal", score=float(np.float32(0.1)))
    assert not usual.drops(scored(0.9, 0.9, 0.9, 0.9))
    assert usual.found(scored(0.9, 0.02, 0.9, 0.9)) is None


@pytest.mark.parametrize(
    ("config", "found", "dropped"),
    [
        ({"speech": "keep"}, None, False),
        ({"speech": "drop_window"}, "human_vocal", True),
        ({"speech": "keep", "dog": "drop_clip"}, "dog", False),
        ({"dog": "drop_window"}, "human_vocal", False),
        ({"labels": ["siren"]}, "siren", False),
        ({"labels": ["Siren"]}, "siren", False),
        # The stricter of two counts.
        ({"labels": ["dog"], "dog": "drop_window"}, "human_vocal", False),
        ({"speech": "drop_window", "labels": ["dog"]}, "human_vocal", True),
        ({"speech": "keep", "labels": ["dog", "siren"], "dog": "keep"}, None, False),
    ],
)
def test_each_policy_is_for_its_labels(
    config: dict[str, Any], found: str | None, dropped: bool
) -> None:
    chosen = privacy(threshold=0.5, **config)
    p = scored(0.1, 0.6, 0.55 if "dog" in config else 0.0, 0.7)
    if config.get("dog") == "drop_window":
        assert chosen.drops(scored(0.0, 0.0, 0.5, 0.0))
        assert chosen.found(scored(0.0, 0.0, 0.5, 0.0)) is not None
        p = scored(0.1, 0.6, 0.0, 0.0)
    assert label_of(chosen.found(p)) == found
    assert chosen.drops(p) is dropped


@pytest.mark.parametrize(("threshold", "passes"), [(0.0, True), (0.25, True), (0.26, False)])
def test_a_score_at_the_threshold_passes(threshold: float, passes: bool) -> None:
    assert (privacy(threshold=threshold).found(scored(0.9, 0.25, 0, 0)) is not None) is passes
    assert privacy(threshold=1.0).found(scored(0.9, 1.0, 0, 0)) is not None


def test_a_gated_window_has_nobody_in_it() -> None:
    silent = dataclasses.replace(
        scored(0.0, 0.9, 0.0, 0.0),
        health=unjudged(
            Window(
                start_sample=0,
                end_sample=8000,
                samples=np.zeros(8000, np.float32),
                sample_rate_hz=8000,
            ),
            HealthConfig(),
        ).health,
    )
    assert privacy(threshold=0.0).found(silent) is None


def test_of_several_models_one_that_hears_people_is_enough(tmp_path: Path) -> None:
    human = (dataclasses.replace(LABELS[0], kind="human"), *LABELS[1:])
    bundles = [
        tiny_bundle(tmp_path / "one"),
        tiny_bundle(tmp_path / "other", labels=human, order=(2, 0, 1)),
    ]
    chosen = Privacy(PrivacyConfig(), [bundle.labels for bundle in bundles])
    assert chosen.on
    members = [Model(bundle, OnnxBackend(bundle.model_path)) for bundle in bundles]
    p = Ensemble(members).predict(window())
    assert label_of(chosen.found(p)) == "low_hummer"
    alone = members[0].predict(window()), members[1].predict(window())
    expected = {score.label: score.score for score in alone[0].top}
    for score in alone[1].top:
        expected[score.label] = max(expected[score.label], score.score)
    named = dict(zip([label.label for label in LABELS], p.highest_scores, strict=True))
    assert named == pytest.approx(expected)
    # What one of them hears is not lost in the mean of all.
    faint = dataclasses.replace(p, scores=np.zeros(3, np.float32))
    assert chosen.found(faint) is not None


def test_labels_that_the_model_does_not_have_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"human_vocl.*did you mean human_vocal") as caught:
        privacy(labels=["human_vocl"])
    assert caught.value.fault.key == "privacy.labels"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config", [{"speech": "drop"}, {"threshold": 1.5}, {"threshold": -0.1}, {"labels": [""]}]
)
def test_values_that_cannot_be_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        PrivacyConfig(**config)


def test_what_was_asked_for_in_vain_is_a_warning() -> None:
    deaf = KNOWN[:1]
    assert privacy(deaf).warnings == []  # nobody asked
    assert not privacy(deaf).on
    assert privacy(deaf).summary == ""
    (warning,) = privacy(deaf, speech="drop_clip").warnings
    assert (
        warning == "privacy.speech = drop_clip withholds nothing: the model has no label of people"
    )
    (warning,) = privacy(deaf, dog="drop_window").warnings
    assert warning == "privacy.dog = drop_window withholds nothing: the model has no label of dogs"
    assert privacy(deaf, speech="keep", dog="keep").warnings == []
    assert privacy(deaf, speech="drop_clip", labels=["great_tit"]).warnings == []
    assert privacy(speech="drop_window", dog="drop_clip").warnings == []
    assert privacy(speech="drop_window", dog="drop_clip").summary == (
        "no clip with dog; neither event nor clip of windows with human_vocal, from a score of 0.03"
    )
