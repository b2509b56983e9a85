"""Heads side by side: each label is as likely as the one who decides on it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edge.bundle import Bundle, Label
from edge.bundle.precision import LeastScores
from edge.bundle.probability import Curve
from edge.detect.engines import load_models
from edge.detect.joint_calibration import NO_EVENTS, Calibrated, joint_calibration
from edge.detect.precision import least_scores
from edge.errors import ConfigError
from tests.support.bundles import choir_bundle
from tests.support.calibrations import IDENTITY, calibrated, least
from tests.support.heads import tiny_head

SURE = Curve(low=0.5, high=0.5, offset=2.0)
HUMMER = Label(label="hummer", common_name="Hummer", scientific_name="bombus GRAVIS")


def test_each_label_keeps_the_curve_of_who_decides_on_it() -> None:
    head = Calibrated(
        calibration=calibrated(own={"a": SURE}), labels=["a", "b"], names=["ant", "bee"]
    )
    trunk = Calibrated(calibration=calibrated(shared=None), labels=["c"], names=["cat"])
    joint = joint_calibration([head, trunk])
    assert joint is not None
    assert joint.probability("ant", 0.3) == SURE(0.3)
    assert joint.probability("bee", 0.3) == IDENTITY(0.3)
    assert joint.probability("cat", 0.3) is None
    assert len(joint.basis) == 2
    alone = joint_calibration([head])
    assert alone is not None
    assert alone.digest != joint.digest


def test_least_scores_are_those_of_each_and_there_where_all_have_them() -> None:
    strict = {"0.9": LeastScores(own={"a": least(0.7)}, not_kept=("b",)), "0.8": LeastScores()}
    one = Calibrated(calibration=calibrated(precisions=strict), labels=["a", "b"], names=["a", "b"])
    other = Calibrated(calibration=calibrated(), labels=["c", "d"], names=["c", "dog"])
    joint = joint_calibration([one, other])
    assert joint is not None
    assert set(joint.precisions) == {"0.9"}
    found = joint.precisions["0.9"]
    assert [found.least(name) for name in ("a", "b", "c", "dog")] == [0.7, None, 0.5, 0.5]
    without = Calibrated(calibration=None, labels=["e"], names=["e"])
    lacking = joint_calibration([one, without])
    assert lacking is not None
    assert not lacking.precisions
    # Of whom no label is left, nothing is asked.
    assert joint_calibration([one, Calibrated(calibration=None, labels=[], names=[])]) is not None
    assert joint_calibration([without]) is None


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("joint") / "choir")


def test_a_head_beside_its_trunk_says_how_likely_its_own_labels_are(
    choir: Bundle, tmp_path: Path
) -> None:
    head = tiny_head(
        choir.path.with_name("head"),
        choir,
        {HUMMER: 0},
        calibration=dataclasses.replace(calibrated(own={"hummer": SURE}), evidence=NO_EVENTS),
    )
    both = load_models([choir, head], backend="cpu")
    calibration = both.decision.calibration
    assert calibration is not None
    assert calibration.probability("hummer", 0.4) == SURE(0.4)
    assert calibration.probability("high_peeper", 0.4) is None
    with pytest.raises(ConfigError, match="no least scores for this precision"):
        least_scores(both, 0.9)
