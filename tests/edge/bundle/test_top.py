"""A head on another bundle's network: what its top computes, and how a folder with one is read."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, Label, Manifest, load_bundle
from edge.bundle.digest import sha256_of
from edge.bundle.rules import Column, MaxLogit
from edge.bundle.top import Layer, Top, rounded, top_of
from edge.bundle.writing import write_head
from edge.detect.engines import load_model
from edge.detect.ensemble import Ensemble
from edge.detect.privacy import Privacy, PrivacyConfig
from edge.errors import BundleError, SpecError
from edge.info import describe
from edge.types import Window
from tests.support.bundles import choir_bundle, tiny_bundle, tone
from tests.support.strangers import npz, resealed

LABELS = (
    Label(label="hummer", common_name="Hummer", scientific_name="Bombus gravis"),
    Label(label="growler", common_name="Growler"),
)


def top_on(trunk: Bundle, **changes: Any) -> Top:
    """The trunk's first label as it is, and one that it lacks, which any sound is a little."""
    dimensions = len(trunk.golden.embedding)
    weights = np.zeros((dimensions, 2), np.float32)
    weights[:, 1] = 0.5
    values = {
        "weights": weights,
        "bias": np.array([0.0, -2.0], np.float32),
        "gain": 1.0,
        "own": np.array([0, -1]),
        "others": np.array([1, 2]),
    }
    return Top(**{**values, **changes})


def head_manifest(below: Bundle, **changes: Any) -> Manifest:
    values = {
        "name": "study",
        "labels": LABELS,
        "frontend": below.frontend,
        "activation": "softmax_other",
        "rule": "max_logit",
        "threshold": 0.0,
        "scale": 1.0,
        "training_data": "0" * 64,
        "code": "0" * 64,
        "metrics": {},
    }
    return Manifest(**{**values, **changes})


@pytest.fixture
def trunk(tmp_path: Path) -> Bundle:
    return choir_bundle(tmp_path / "choir")


@pytest.fixture
def head(trunk: Bundle, tmp_path: Path) -> Bundle:
    return write_head(
        tmp_path / "study",
        head_manifest(trunk),
        trunk=trunk,
        top=top_on(trunk),
        rule=MaxLogit(),
        card="# Study\n",
    )


def test_a_top_is_its_formula(trunk: Bundle) -> None:
    rng = np.random.default_rng(0)
    top = top_on(trunk, weights=rng.standard_normal((len(trunk.golden.embedding), 2), np.float32))
    embedding = rng.standard_normal((5, len(top.weights)), np.float32)
    logits = np.array([[1, 2, 3], [40, 2, 3], [-40, -1, 0], [0, 0, 0], [5, 1, 9]], np.float32)
    looked_at, result = top(embedding, logits)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    own = np.column_stack([np.clip(logits[:, 0], -12, 12), np.full(5, -6.0)])
    np.testing.assert_allclose(result, unit @ top.weights + top.bias + own, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(looked_at[:, :-2], unit, atol=1e-6)
    best = own.max(1)
    np.testing.assert_allclose(looked_at[:, -2], logits[:, 1:].max(1) - best, atol=1e-5)
    np.testing.assert_allclose(looked_at[:, -1], -best, atol=1e-5)


def test_a_top_survives_its_file_and_says_what_is_wrong_with_one(trunk: Bundle) -> None:
    top = top_on(trunk)
    sizes = {"labels": 2, "dimensions": len(top.weights), "trunk_labels": 3}
    arrays = top.as_arrays()
    again = top_of(arrays, **sizes)
    np.testing.assert_array_equal(again.weights, top.weights)
    alone = top_of({k: v for k, v in arrays.items() if k != "others"}, **sizes)
    assert len(alone.others) == 0
    faults: dict[str, tuple[NDArray[Any], str]] = {
        "weights": (arrays["weights"][:-1], "has shape"),
        "bias": (np.array([np.nan, 0]), "not of finite numbers"),
        "gain": (np.array(1e9), "not of finite numbers"),
        "own": (np.array([0, 3]), "positions among the trunk's 3 labels"),
        "others": (np.array([0]), "are the head's own"),
        "more": (np.zeros(1), "belongs to no head"),
    }
    for name, (value, reason) in faults.items():
        with pytest.raises(SpecError, match=reason):
            top_of({**arrays, name: value}, **sizes)
    with pytest.raises(SpecError, match="array 'bias' is missing"):
        top_of({k: v for k, v in arrays.items() if k != "bias"}, **sizes)


def test_what_a_top_may_have_beside_is_its_formula_and_is_checked(trunk: Bundle) -> None:
    rng = np.random.default_rng(0)
    dimensions = len(trunk.golden.embedding)

    def layer(inputs: int, outputs: int) -> Layer:
        return Layer.rounded(rng.standard_normal((inputs, outputs)), rng.standard_normal(outputs))

    metric, hidden = layer(dimensions, 4), layer(4 + 2, 3)
    weights = rounded(rng.standard_normal((3, 2)))
    context = np.array([0, 2])
    top = top_on(trunk, weights=weights, metric=metric, hidden=hidden, context=context)
    embedding = rng.standard_normal((5, dimensions), np.float32)
    logits = rng.uniform(-20, 20, (5, 3)).astype(np.float32)
    looked_at, result = top(embedding, logits)
    e = metric(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    clipped = np.clip(logits, -12, 12)
    features = np.maximum(hidden(np.column_stack([e, clipped[:, context]])), 0)
    own = np.column_stack([clipped[:, 0], np.full(5, -6.0)])
    np.testing.assert_allclose(result, features @ weights + top.bias + own, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(looked_at[:, :-2], e, atol=1e-5)
    sizes = {"labels": 2, "dimensions": dimensions, "trunk_labels": 3}
    arrays = top.as_arrays()
    assert arrays["hidden_weights"].dtype == np.float16
    np.testing.assert_array_equal(top_of(arrays, **sizes)(embedding, logits)[1], result)
    faults: dict[str, tuple[NDArray[Any], str]] = {
        "hidden_weights": (arrays["hidden_weights"][:-1], "has shape"),
        "hidden_bias": (arrays["hidden_bias"][:-1], "has shape"),
        "metric_bias": (np.full(4, np.inf, np.float16), "not of finite numbers"),
        "context": (np.array([0, 3]), "positions among the trunk's 3 labels"),
        "weights": (arrays["weights"][:-1], "has shape"),
    }
    for name, (value, reason) in faults.items():
        with pytest.raises(SpecError, match=reason):
            top_of({**arrays, name: value}, **sizes)
    with pytest.raises(SpecError, match="array 'hidden_bias' belongs to no head"):
        top_of({k: v for k, v in arrays.items() if k != "hidden_weights"}, **sizes)


def test_rules_may_look_at_how_far_other_sounds_outdo_animals(trunk: Bundle) -> None:
    top = top_on(trunk, others=np.array([1]), sounds=np.array([2]))
    dimensions = len(trunk.golden.embedding)
    embedding = np.tile(trunk.golden.embedding, (2, 1))
    logits = np.array([[1.0, 2.0, 5.0], [4.0, 2.0, -1.0]], np.float32)
    looked_at, _ = top(embedding, logits)
    assert looked_at.shape == (2, dimensions + top.extra) == (2, dimensions + 3)
    assert looked_at[:, dimensions:].tolist() == [[1.0, -1.0, 3.0], [-2.0, -4.0, -5.0]]
    shape = {"labels": 2, "dimensions": dimensions, "trunk_labels": 3}
    again = top_of(top.as_arrays(), **shape)
    assert again.sounds.tolist() == [2]
    for wrong in (np.array([1]), np.array([0]), np.array([3]), np.array([[2]])):
        with pytest.raises(SpecError, match="'sounds'"):
            top_of({**top.as_arrays(), "sounds": wrong}, **shape)


def test_a_head_is_small_and_is_read_like_any_bundle(head: Bundle, trunk: Bundle) -> None:
    assert sorted(file.name for file in head.path.iterdir()) == [
        "MODEL_CARD.md",
        "golden.npz",
        "head.npz",
        "manifest.json",
        "top.npz",
    ]
    again = load_bundle(head.path)
    assert again.digest == head.digest != trunk.digest
    assert again.model_path == trunk.model_path
    assert [label.label for label in again.labels] == ["hummer", "growler"]


def test_a_person_is_told_on_what_it_stands(head: Bundle, trunk: Bundle) -> None:
    said = list(describe(head))
    assert f"trunk      choir  {trunk.path}" in said
    assert any("logits 3, of which the head makes 2" in line for line in said)


def test_a_model_judges_with_the_head(head: Bundle, trunk: Bundle) -> None:
    model = load_model(head, backend="cpu")
    samples = tone(300, 1.0)
    window = Window(start_sample=0, end_sample=8000, samples=samples, sample_rate_hz=8000)
    prediction = model.predict(window)
    assert prediction.label == "hummer"
    assert [score.label for score in prediction.top] == ["hummer", "growler"]
    features = trunk.new_frontend()(samples)[None]
    embedding, logits = OnnxBackend(trunk.model_path).infer(features)
    expected = head.head(*top_on(trunk)(embedding, logits))
    np.testing.assert_allclose(prediction.scores, expected.scores[0], atol=1e-5)
    assert model.digest == head.digest


def test_a_head_hears_what_its_trunk_hears(tmp_path: Path, trunk: Bundle, head: Bundle) -> None:
    """So nobody who speaks is recorded because a study has no label for people."""
    people = dataclasses.replace(trunk.labels[1], kind="human")
    labels = [trunk.labels[0], people, trunk.labels[2]]
    samples = tone(300, 1.0) + tone(1000, 1.0)
    window = Window(start_sample=0, end_sample=8000, samples=samples, sample_rate_hz=8000)
    prediction = load_model(head, backend="cpu").predict(window)
    assert prediction.label == "hummer"
    assert [label.label for label in head.heard_labels] == [label.label for label in labels]
    found = Privacy(PrivacyConfig(), [labels]).found(prediction)
    assert found is not None
    assert found.label == people.label
    alone = load_model(trunk, backend="cpu").predict(window)
    np.testing.assert_allclose(prediction.highest_scores, alone.scores, atol=1e-6)


def test_heads_that_judge_together_need_one_trunk(tmp_path: Path, head: Bundle) -> None:
    other = choir_bundle(tmp_path / "other", label_thresholds={"low_hummer": 0.4})
    same = write_head(
        tmp_path / "same",
        head_manifest(other),
        trunk=other,
        top=top_on(other),
        rule=MaxLogit(),
        card="# Same\n",
    )
    Ensemble([load_model(head, backend="cpu"), load_model(same, backend="cpu")])
    (tmp_path / "apart").mkdir()
    labels = (*LABELS, Label(label="third", common_name="Third"))
    plain = tiny_bundle(tmp_path / "apart" / "plain", labels=labels)
    with pytest.raises(BundleError, match="stands on another network than"):
        Ensemble([load_model(head, backend="cpu"), load_model(plain, backend="cpu")])


def test_it_finds_its_trunk_by_digest_wherever_that_stands(
    head: Bundle, trunk: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "data" / "edge-monitor" / "bundles"
    installed.mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "away").mkdir()
    away = Path(shutil.move(head.path, tmp_path / "away" / "study"))
    tiny_bundle(installed / "another")
    (installed / "broken").mkdir()
    (installed / "broken" / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"is a head on the network .*, and no bundle in") as told:
        load_bundle(away)
    assert str(installed) in str(told.value)
    shutil.move(trunk.path, installed / "whatever")
    assert load_bundle(away).digest == head.digest


def test_other_names_and_rules_leave_a_trunk_the_same(trunk: Bundle, tmp_path: Path) -> None:
    other = dataclasses.replace(
        trunk.manifest,
        name="renamed",
        threshold=1.0,
        labels=tuple(dataclasses.replace(x, common_name="N") for x in trunk.manifest.labels),
    )
    assert other.trunk_digest == trunk.trunk_digest
    swapped = dataclasses.replace(trunk.manifest, labels=trunk.manifest.labels[::-1])
    assert swapped.trunk_digest != trunk.trunk_digest


def test_a_head_that_is_not_what_it_says_is_refused(head: Bundle, trunk: Bundle) -> None:
    wrong = top_on(trunk, bias=np.array([1.0, 0.0], np.float32)).as_arrays()
    original = (head.path / "top.npz").read_bytes()

    def sealed_with(content: bytes) -> Path:
        (head.path / "top.npz").write_bytes(content)
        return resealed(head.path, lambda m: m["files"].update({"top.npz": sha256_of(content)}))

    with pytest.raises(BundleError, match="the head gives other logits than these"):
        load_bundle(sealed_with(npz(wrong)))
    with pytest.raises(BundleError, match=r"top\.npz: array 'own' is not of positions"):
        load_bundle(sealed_with(npz({**wrong, "own": np.array([0, 7])})))
    load_bundle(sealed_with(original))
    with pytest.raises(BundleError, match="does not belong to"):
        load_bundle(resealed(head.path, lambda m: m["frontend"].update({"fmin_hz": 100.0})))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"trunk": "x"}, "is no digest"),
        ({"trunk": "0" * 64, "attention": True}, "a head has no network of its own"),
    ],
)
def test_a_manifest_of_a_head_has_nothing_of_a_network(
    trunk: Bundle, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        head_manifest(trunk, **change)


def test_a_rule_cannot_look_beyond_what_there_is(head: Bundle, trunk: Bundle) -> None:
    rule = Column(index=len(trunk.golden.embedding) + 2)
    with pytest.raises(BundleError, match="beyond the"):
        write_head(
            head.path.with_name("other"),
            head_manifest(trunk, rule="column"),
            trunk=trunk,
            top=top_on(trunk),
            rule=rule,
            card="# Other\n",
        )
    assert not head.path.with_name("other").exists()
    assert json.loads((head.path / "manifest.json").read_text())["format_version"] == 5
