"""Probabilities in a bundle: what they are, whose digest they change, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import Bundle, load_bundle
from edge.bundle.precision import LeastScores
from edge.bundle.probability import Curve, calibration_of
from edge.bundle.signing import sign_bundle
from edge.bundle.writing import calibrated_bundle
from edge.errors import BundleError, SpecError
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.calibrations import IDENTITY, calibrated, least
from tests.support.keys import key_pair

NAMES = [label.label for label in LABELS]
Content = dict[str, Any]


@given(
    low=st.floats(0, 50),
    high=st.floats(0.01, 50),
    offset=st.floats(-20, 20),
    scores=st.lists(st.floats(0, 1), min_size=2),
)
def test_a_better_score_is_never_less_likely(
    low: float, high: float, offset: float, scores: list[float]
) -> None:
    curve = Curve(low=low, high=high, offset=offset)
    found = [curve(score) for score in sorted(scores)]
    assert found == sorted(found)
    assert all(0 <= p <= 1 for p in found)


@pytest.mark.parametrize("score", [0.01, 0.5, 0.9])
def test_the_plain_curve_is_the_score(score: float) -> None:
    assert IDENTITY(score) == pytest.approx(score)


def test_a_label_has_its_own_curve_or_the_shared_one_or_none() -> None:
    sure = Curve(low=1.0, high=1.0, offset=3.0)
    both = calibrated(own={"low_hummer": sure})
    assert both.probability("high_peeper", 0.5) == pytest.approx(0.5)
    assert both.probability("low_hummer", 0.5) == pytest.approx(0.9526, abs=1e-4)
    assert calibrated(shared=None, own={"low_hummer": sure}).probability("high_peeper", 0.5) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    wanted = calibrated(
        own={"low_hummer": Curve(low=0.5, high=2.0, offset=-1.0)},
        precisions={
            "0.9": LeastScores(
                own={"low_hummer": least(0.7)}, together=least(0.8), not_kept=("mid_whistler",)
            )
        },
    )
    bundle = tiny_bundle(tmp_path / "tiny", calibration=wanted)
    assert bundle.calibration == wanted
    assert bundle.manifest.format_version == 5
    scores = wanted.precisions["0.9"]
    assert [scores.least(name) for name in NAMES] == [0.7, None, 0.8]


def test_a_bundle_without_one_is_as_it_was(tmp_path: Path, bundle: Bundle) -> None:
    assert bundle.calibration is None
    assert bundle.manifest.format_version == 1
    assert "probability" not in json.loads((bundle.path / "manifest.json").read_text())


def test_calibrating_changes_the_bundle_and_not_what_it_says(tmp_path: Path) -> None:
    plain = tiny_bundle(tmp_path / "tiny", variant_errors={"int8": 0.0})
    sign_bundle(plain.path, key_pair(tmp_path).private)
    first = calibrated_bundle(load_bundle(plain.path), tmp_path / "first", calibrated())
    assert first.digest != plain.digest
    assert first.trunk_digest == plain.trunk_digest
    assert first.golden.logits.tolist() == plain.golden.logits.tolist()
    assert set(first.manifest.variants) == {"int8"}
    # In its own place, with other numbers; a signature was of another content.
    sign_bundle(first.path, key_pair(tmp_path, "second").private)
    other = calibrated(own={"low_hummer": Curve(low=1.0, high=1.0, offset=1.0)})
    again = calibrated_bundle(load_bundle(first.path), first.path, other, card="# Another\n")
    assert len({plain.digest, first.digest, again.digest}) == 3
    assert first.calibration is not None
    assert first.calibration.digest != other.digest
    assert load_bundle(first.path).signature is None
    assert (first.path / "MODEL_CARD.md").read_text() == "# Another\n"


def test_thresholds_are_no_part_of_the_calibrations_name() -> None:
    assert calibrated().digest == calibrated(precisions={"0.8": LeastScores()}).digest
    assert calibrated().digest != calibrated(shared=None).digest


def test_an_edited_calibration_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", calibration=calibrated())
    file = bundle.path / "probability.json"
    file.write_text(file.read_text().replace("0.9", "0.8"))
    with pytest.raises(BundleError, match=r"probability\.json: is damaged or was edited"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"shared": {"low": -1, "high": 1, "offset": 0}}, "need two slopes from 0"),
        ({"shared": {"low": 0, "high": 0, "offset": 0}}, "one of them above 0"),
        ({"shared": 3}, "must be a mapping"),
        ({"own": {"owl": {"low": 1, "high": 1, "offset": 0}}}, "'owl' is no label of the bundle"),
        ({"own": []}, "own: has the wrong type"),
        ({"basis": [{"recordings": "x"}]}, "basis: key 'method' is missing"),
        ({"evidence": {}}, "evidence: labels: has the wrong type"),
        ({"precisions": {"0.9": {"own": {"owl": 1}}}}, "must be a mapping"),
        ({"precisions": {"0.9": {"not_kept": ["owl"]}}}, "'owl' is no label of the bundle"),
        ({"precisions": {"0.9": {"not_kept": [1]}}}, "not_kept"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_strangers_calibration_is_refused_in_one_line(spoil: Content, reason: str) -> None:
    plain = {**calibrated().as_mapping(), **spoil}
    with pytest.raises(SpecError) as caught:
        calibration_of(Path("b/probability.json"), json.dumps(plain).encode(), NAMES)
    assert str(caught.value).startswith("b/probability.json: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        {"label": [0, 0, 1, 2]},
        {"label": [0, 0, 1]},
        {"score": [0.9, 0.4, 0.8, 1.5]},
        {"right": [1, 0, 1, 2]},
        {"right": [1, 0, 1, True]},
        {"labels": ["owl", "low_hummer"]},
        {"labels": [1, "low_hummer"]},
    ],
)
def test_evidence_that_cannot_be_is_refused(spoil: Content) -> None:
    plain = calibrated().as_mapping()
    plain["evidence"] = {**plain["evidence"], **spoil}
    with pytest.raises(SpecError, match=r"evidence|owl"):
        calibration_of(Path("probability.json"), json.dumps(plain).encode(), NAMES)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"shared": 1, "shared": 1}', b"\xff"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(SpecError, match=r"^probability\.json: "):
        calibration_of(Path("probability.json"), content, NAMES)
