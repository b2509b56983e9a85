"""Several labels at once: one window carries them all, each has its own event, and they overlap in
time.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle, load_bundle
from edge.bundle.heads import JointEnergy
from edge.cli import main
from edge.config.config import load_config
from edge.detect.decision import Decision
from edge.detect.engines import load_model
from edge.detect.model import Model
from edge.detect.species_list import parse_species
from edge.detect.tracker import Tracker
from edge.errors import BundleError
from edge.recorder.daemon import Daemon
from edge.types import Array, Detection, Prediction, Score
from tests.edge.detect.test_pipeline import played, run
from tests.edge.detect.test_tracker import LABELS, prediction
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import noise, write_audio
from tests.support.bundles import choir_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

RATE_HZ = 8000
Found = list[tuple[str | None, float, float]]


def choir() -> Array:
    """Hummer from 0 to 6 s, peeper from 2 to 8 s, both from 2 to 6 s; noise to 12 s; whistler and
    hummer to 15 s.
    """
    first = np.concatenate([tone(300, 6), np.zeros(2 * RATE_HZ, np.float32)])
    first[2 * RATE_HZ :] += tone(3000, 6)
    return np.concatenate([first, noise(4), tone(300, 3) + tone(1000, 3)])


CHOIR = choir()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "choir")


@pytest.fixture(scope="module")
def model(many: Bundle) -> Model:
    return load_model(many)


@pytest.fixture
def singing(tmp_path: Path) -> str:
    return write_audio(tmp_path / "20240501_053000.wav", CHOIR)


def replayed(bundle: Bundle, *args: str) -> str:
    result = CliRunner().invoke(
        main, ["replay", "--bundle", str(bundle.path), "--hop-s", "0.5", *args]
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ended(detections: list[Detection]) -> Found:
    return sorted(((d.label, d.start_s, d.end_s) for d in detections if d.state == "end"), key=str)


def decided(
    scores: list[float], *, novelty: float = 0.2, thresholds: list[float] | None = None
) -> Prediction:
    decision = Decision(labels=LABELS, thresholds=np.array(thresholds or [0.5] * 3, np.float32))
    blank = prediction(0, "a")
    return decision(
        blank, scores=np.array(scores, np.float32), novelty=novelty, accepted=novelty <= 0.5
    )


def test_every_label_that_reaches_its_threshold_is_given_best_first() -> None:
    p = decided([0.6, 0.5, 0.9])
    assert [s.label for s in p.accepted] == ["cat", "ant", "bee"]
    assert (p.label, p.nearest, round(p.score, 6), p.novelty) == ("cat", "cat", 0.9, 0.2)
    assert [s.label for s in decided([0.6, 0.5, 0.9], thresholds=[0.7, 0.4, 0.95]).accepted] == [
        "bee"
    ]
    # score and nearest are of the label given
    assert decided([0.6, 0.5, 0.9], thresholds=[0.7, 0.4, 0.95]).nearest == "bee"


def test_a_window_that_reaches_no_threshold_is_unknown_and_more_so_the_farther_it_is() -> None:
    near, far = decided([0.45, 0.1, 0.2]), decided([0.05, 0.1, 0.02])
    assert near.accepted == far.accepted == ()
    assert (near.label, near.nearest) == (None, "ant")
    assert 0.5 < near.novelty < far.novelty < 1


def test_a_rejected_window_carries_nothing() -> None:
    p = decided([0.9, 0.9, 0.9], novelty=0.7)
    assert (p.label, p.accepted, p.novelty, p.nearest) == (None, (), 0.7, "ant")


def test_two_tones_at_once_are_two_labels(model: Model) -> None:
    _, ledger = run(played(CHOIR, (1000,)), model)
    by_start = {p.start_s: [s.label for s in p.accepted] for p in ledger.predictions}
    assert by_start[0.5] == ["low_hummer"]
    assert sorted(by_start[3.5]) == ["high_peeper", "low_hummer"]
    assert by_start[6.5] == ["high_peeper"]
    assert by_start[9.0] == []
    assert sorted(by_start[13.0]) == ["low_hummer", "mid_whistler"]


def test_each_label_has_one_event_and_they_overlap(model: Model) -> None:
    detections, _ = run(played(CHOIR, (1000,)), model)
    found = [d for d in ended(detections) if d[0] is not None]
    expected = [
        ("high_peeper", 2, 8),
        ("low_hummer", 0, 6),
        ("low_hummer", 12, 15),
        ("mid_whistler", 12, 15),
    ]
    assert [label for label, *_ in found] == [label for label, *_ in expected]
    for (_, start, end), (_, true_start, true_end) in zip(found, expected, strict=True):
        assert start == pytest.approx(true_start, abs=0.6)
        assert end == pytest.approx(true_end, abs=0.6)
    assert [round(start) for label, start, _ in ended(detections) if label is None] == [8]
    assert len({d.id for d in detections}) == 5
    for d in detections:
        assert d.label in (None, d.nearest)
        assert d.label is None or d.score >= 0.5


@settings(max_examples=8)
@given(sizes=st.lists(st.integers(50, 40_000), min_size=1, max_size=4).map(tuple))
def test_any_partition_gives_the_same(model: Model, sizes: tuple[int, ...]) -> None:
    assert run(played(CHOIR, sizes), model)[0] == run(played(CHOIR, (len(CHOIR),)), model)[0]


def carrying(start_sample: int, scores: dict[str, float]) -> Prediction:
    p = prediction(start_sample, "a")
    full = np.array([scores.get(label, 0.1) for label in LABELS], np.float32)
    decision = Decision(labels=LABELS, thresholds=np.full(3, 0.5, np.float32))
    return decision(p, scores=full, novelty=0.1, accepted=True)


def track(story: list[dict[str, float]]) -> list[Detection]:
    """Windows that touch and do not overlap, so that nothing is smoothed."""
    tracker = Tracker(
        decision=Decision(labels=LABELS, thresholds=np.full(3, 0.5, np.float32)), identity="test"
    )
    found = [d for i, scores in enumerate(story) for d in tracker.push(carrying(500 * i, scores))]
    return found + list(tracker.flush())


def test_each_event_peaks_where_its_own_label_is_strongest() -> None:
    both = [{"ant": 0.9, "bee": 0.6}, {"ant": 0.7, "bee": 0.8}]
    peaks = {
        d.label: (d.peak_sample, round(d.score, 3), d.nearest, d.windows)
        for d in track(both)
        if d.state == "end"
    }
    assert peaks == {"ant": (0, 0.9, "ant", 2), "bee": (500, 0.8, "bee", 2)}


def test_an_unknown_stands_only_where_no_label_does() -> None:
    story = [{"ant": 0.9, "bee": 0.9}, {"bee": 0.9}, {}, {}, {"cat": 0.9}]
    found = [(d.label, d.start_sample, d.end_sample) for d in track(story) if d.state == "end"]
    assert sorted(found, key=str) == [
        ("ant", 0, 500),
        ("bee", 0, 1000),
        ("cat", 2000, 2500),
        (None, 1000, 2000),
    ]


def test_every_event_is_told_as_new_once_and_ended_once() -> None:
    states_of: dict[str, list[str]] = {}
    for d in track(
        [{"ant": 0.9, "bee": 0.8}, {"bee": 0.9, "cat": 0.6}, {"cat": 0.9, "ant": 0.7}, {}]
    ):
        states_of.setdefault(d.id, []).append(d.state)
    assert all(
        s[0] == "new" and s[-1] == "end" and s.count("new") == s.count("end") == 1
        for s in states_of.values()
    )


def test_a_site_withholds_some_of_the_labels_of_a_window() -> None:
    from tests.edge.detect.test_site import site

    p = carrying(0, {"ant": 0.9, "bee": 0.7, "cat": 0.6})
    left = site(["bee", "cat"])(p)
    assert left.accepted == (Score(label="bee", score=p.others[0].score), p.others[1])
    assert (left.label, left.nearest, left.novelty) == ("bee", "bee", p.novelty)
    assert site(["ant", "bee", "cat"])(p) is p
    assert parse_species(["ant"]).labels == ("ant",)
    none = site(["dog"])(p)
    assert (none.label, none.others, none.nearest) == (None, (), "ant")
    assert none.novelty > 0.5


def test_windows_name_all_labels_in_a_field_of_their_own(
    many: Bundle, bundle: Bundle, singing: str
) -> None:
    found = lines(replayed(many, "--format", "windows", singing))
    (both,) = (w for w in found if w["start_s"] == 3.5)
    assert both["label"] == both["labels"][0]["label"]
    assert sorted(s["label"] for s in both["labels"]) == ["high_peeper", "low_hummer"]
    assert all((w["label"] is None) == (w["labels"] == []) == (w["novelty"] > 0.5) for w in found)
    frozen = ["file", "start_s", "end_s", "label", "outcome", "nearest", "score", "novelty", "top"]
    assert list(found[0]) == [*frozen, "labels", "unjudged"]
    plain = lines(replayed(bundle, "--format", "windows", singing))
    assert list(plain[0]) == [*frozen, "unjudged"]


@pytest.mark.parametrize("form", ["table", "jsonl", "csv", "raven", "audacity"])
def test_every_format_has_a_row_for_each_of_two_at_once(
    many: Bundle, singing: str, form: str
) -> None:
    text = replayed(many, "--format", form, singing)
    names = {"table": ("Low Hummer", "High Peeper"), "audacity": ("Low Hummer", "High Peeper")}
    low, high = names.get(form, ("low_hummer", "high_peeper"))
    rows_of = [
        line
        for line in text.splitlines()
        if low in line.split('"top"')[0] or high in line.split('"top"')[0]
    ]
    assert len(rows_of) >= 3


def test_a_threshold_of_ones_own(tmp_path: Path, singing: str) -> None:
    strict = choir_bundle(tmp_path / "strict", label_thresholds={"high_peeper": 1.0})
    assert load_bundle(strict.path).manifest.format_version == 3
    assert "high_peeper" not in {
        d["label"] for d in lines(replayed(strict, "--format", "jsonl", singing))
    }


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"frog": 0.5}, "label_thresholds: have no meaning for the label 'frog'"),
        ({"low_hummer": 0.0}, "label_thresholds: low_hummer: 0.0 is not above 0 and at most 1"),
        ({"low_hummer": float("nan")}, "label_thresholds: low_hummer: nan is not"),
    ],
)
def test_thresholds_that_cannot_be_are_told(
    tmp_path: Path, thresholds: dict[str, float], message: str
) -> None:
    with pytest.raises((BundleError, ValueError), match=message):
        choir_bundle(tmp_path / "bad", label_thresholds=thresholds)


def test_thresholds_have_no_meaning_where_labels_exclude_each_other(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="with the activation softmax"):
        dataclasses.replace(bundle.manifest, label_thresholds={"low_hummer": 0.5})


def test_a_bundle_without_them_keeps_its_digest(many: Bundle, bundle: Bundle) -> None:
    for one in (many, bundle):
        assert "label_thresholds" not in one.manifest.as_mapping()
        assert one.manifest.format_version == 1


def test_joint_energy_adds_up_over_labels() -> None:
    logits = np.array([[5.0, -5.0], [5.0, 5.0], [-5.0, -5.0], [800.0, -800.0]], np.float32)
    novelty = JointEnergy().novelty(np.zeros((4, 1), np.float32), logits)
    assert novelty[1] < novelty[0] < novelty[2] < 0
    assert np.isfinite(novelty).all()
    np.testing.assert_allclose(
        novelty[0], -np.log((1 + np.exp(5.0)) * (1 + np.exp(-5.0))), rtol=1e-6
    )


def test_a_running_daemon_keeps_both_with_a_clip_each(tmp_path: Path, many: Bundle) -> None:
    both = tone(300, 3) + tone(3000, 3)
    audio = RealTimeAudio(both)
    config = write_config(tmp_path, many.path)
    daemon = Daemon(config, audio=audio, deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: {("low_hummer", "new"), ("high_peeper", "new")} <= set(states(tmp_path)))
    found = rows(
        tmp_path,
        (
            "SELECT json_extract(payload, '$.label'), json_extract(payload, '$.clip') FROM "
            "detections "
            "WHERE state = 'end'"
        ),
    )
    assert sorted(str(label) for label, _ in found) == ["high_peeper", "low_hummer"]
    clips = {str(clip) for _, clip in found}
    assert len(clips) == 2
    for clip in clips:
        assert soundfile.info(str(tmp_path / "clips" / clip)).frames > RATE_HZ
    assert load_config(config).digest


def test_the_daemon_withholds_what_a_site_does_not_expect(tmp_path: Path, many: Bundle) -> None:
    audio = RealTimeAudio(tone(300, 3) + tone(3000, 3))
    config = write_config(tmp_path, many.path, site={"species": {"low_hummer": None}})
    daemon = Daemon(config, audio=audio, deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: ("low_hummer", "new") in states(tmp_path))
        audio.samples = tone(3000, 3)
        until(lambda: (None, "new") in states(tmp_path))
    assert ("high_peeper", "new") not in states(tmp_path)
    nearest = rows(
        tmp_path,
        (
            "SELECT DISTINCT json_extract(payload, '$.nearest') FROM detections WHERE "
            "json_extract(payload, '$.label') IS NULL"
        ),
    )
    assert nearest == [("high_peeper",)]
