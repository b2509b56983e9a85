from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from edge.bundle.heads import Head, KnnDistance, MaxLogit
from edge.errors import UserError
from tests.train.synthetic import corpus, outputs
from train.judging.calibrate import calibrate
from train.judging.calibration import Calibration
from train.judging.compare import compare
from train.judging.evaluate import evaluate
from train.judging.judged import judge_recordings, judge_windows
from train.judging.report import render_report
from train.judging.rules import PAPER
from train.judging.truth import QUIET, truth_of
from train.windows.outputs import WindowOutputs

CORPUS = corpus()
TEST = outputs(CORPUS, test=True)
CALIBRATION: Calibration = calibrate(
    CORPUS, outputs(CORPUS, train=True), outputs(CORPUS), activation="softmax"
)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return evaluate(CORPUS, TEST, CALIBRATION, resamples=100)


def test_window_numbers_are_scikit_learns(report: dict[str, Any]) -> None:
    truth = truth_of(CORPUS, TEST)
    known = truth.known
    predicted = TEST.logits.argmax(1)
    occurring = np.unique(truth.species[known])
    expected = f1_score(truth.species[known], predicted[known], labels=occurring, average="macro")
    assert report["windows"]["closed"]["macro_f1"]["value"] == pytest.approx(expected, abs=1e-4)
    assert report["windows"]["closed"]["top1"]["value"] == pytest.approx(
        np.mean(predicted[known] == truth.species[known]), abs=1e-4
    )
    judged = judge_windows(TEST, truth, CALIBRATION.head)
    chosen = known | truth.unknown
    area = roc_auc_score(~known[chosen], judged.novelty[chosen])
    assert report["windows"]["open"]["unknown species"]["auroc"]["value"] == pytest.approx(
        area, abs=1e-4
    )
    counted = chosen | truth.noise
    f1 = f1_score(
        truth.species[counted],
        judged.opened[counted],
        labels=occurring,
        average="macro",
        zero_division=0,
    )
    assert report["windows"]["macro_f1_with_rejection"]["value"] == pytest.approx(f1, abs=1e-4)


def test_acceptance_is_counted_kind_by_kind_and_quiet_windows_apart(report: dict[str, Any]) -> None:
    truth = truth_of(CORPUS, TEST)
    accepted = CALIBRATION.head(TEST.embedding, TEST.logits).accepted
    for kind in truth.kinds:
        share = report["windows"]["accepted"][kind]
        assert share["value"] == pytest.approx(accepted[truth.kind == kind].mean(), abs=1e-4)
        assert share["low"] <= share["value"] <= share["high"]
    assert QUIET in report["windows"]["accepted"]
    assert "noise and background" in report["windows"]["accepted"]


def test_a_recordings_label_is_its_accepted_windows_largest_sum() -> None:
    truth = truth_of(CORPUS, TEST)
    judged = judge_recordings(TEST, truth, CALIBRATION.head)
    verdicts = CALIBRATION.head(TEST.embedding, TEST.logits)
    for i, name in enumerate(judged.recording):
        heard = (TEST.recording == name) & (truth.kind != QUIET)
        assert judged.closed[i] == verdicts.scores[heard].mean(0).argmax()
        accepted = heard & verdicts.accepted
        assert judged.opened[i] == (
            verdicts.scores[accepted].sum(0).argmax() if accepted.any() else -1
        )
        assert judged.novelty[i] == pytest.approx(
            judge_windows(TEST, truth, CALIBRATION.head).novelty[heard].min()
        )


def test_a_recording_that_is_quiet_throughout_still_has_a_verdict() -> None:
    quiet = dataclasses.replace(TEST, active=np.zeros(len(TEST), bool))
    truth = truth_of(CORPUS, quiet)
    judged = judge_recordings(quiet, truth, CALIBRATION.head)
    assert set(judged.recording) == set(TEST.recording)
    assert judged.truth.known.sum() == sum(
        CORPUS.recordings[i].role == "known" for i in judged.recording
    )


def test_every_rule_is_judged_beside_the_papers(report: dict[str, Any]) -> None:
    assert [rule["rule"] for rule in report["rules"]] == list(CALIBRATION.heads)
    rows = {rule["rule"]: rule for rule in report["rules"]}
    difference = (
        rows[report["rule"]]["open"]["unknown species"]["auroc"]["value"]
        - rows[PAPER]["open"]["unknown species"]["auroc"]["value"]
    )
    assert report["against_paper"]["auroc, unknown species"]["value"] == pytest.approx(
        difference, abs=2e-4
    )


def test_the_species_table_has_a_row_per_label(report: dict[str, Any]) -> None:
    rows = report["by_species"]
    assert [row["label"] for row in rows] == list(TEST.labels)
    assert sum(row["recordings"] for row in rows) == sum(
        r.role == "known" for r in CORPUS.of(split="test")
    )
    assert np.mean([row["f1"] for row in rows if row["f1"] is not None]) == pytest.approx(
        report["recordings"]["closed"]["macro_f1"]["value"], abs=1e-3
    )


def test_the_files_say_what_the_report_says(tmp_path: Path) -> None:
    report = evaluate(CORPUS, TEST, CALIBRATION, out_dir=tmp_path, resamples=20)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    text = (tmp_path / "report.md").read_text()
    assert text == render_report(report)
    assert f"{report['recordings']['closed']['macro_f1']['value']:.3f}" in text
    for name in ("confusion", "roc", "novelty", "embeddings"):
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture[..., :3].std() > 0.01
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_same_windows_give_the_same_report(report: dict[str, Any]) -> None:
    assert evaluate(CORPUS, TEST, CALIBRATION, resamples=100) == report


def test_without_outliers_only_the_closed_set_is_reported(tmp_path: Path) -> None:
    known = TEST.select(truth_of(CORPUS, TEST).known)
    report = evaluate(CORPUS, known, CALIBRATION, resamples=10, out_dir=tmp_path)
    assert report["windows"]["open"] == {}
    assert render_report(report)


def test_a_species_that_was_left_out_is_an_outlier_of_its_own_kind() -> None:
    said = {"train": outputs(CORPUS, train=True), "validation": outputs(CORPUS), "test": TEST}
    fewer = {
        name: dataclasses.replace(o, labels=o.labels[:4], logits=o.logits[:, :4])
        for name, o in said.items()
    }
    calibration = calibrate(CORPUS, fewer["train"], fewer["validation"], activation="softmax")
    report = evaluate(CORPUS, fewer["test"], calibration, resamples=10)
    assert report["species"] == 4
    assert "species left out" in report["windows"]["accepted"]


def test_other_labels_or_an_empty_split_are_one_clear_line() -> None:
    relabelled = dataclasses.replace(TEST, labels=tuple(f"{name}_x" for name in TEST.labels))
    with pytest.raises(UserError, match="no known windows"):
        evaluate(CORPUS, relabelled, CALIBRATION, resamples=1)
    with pytest.raises(UserError, match="no known windows"):
        evaluate(CORPUS, outputs(CORPUS), CALIBRATION, resamples=1)


def test_of_several_labels_only_those_given_have_a_say() -> None:
    position = next(i for i, r in enumerate(CORPUS.recordings) if r.role == "known")
    # Label 0 has the larger score in every window, and never reaches its threshold.
    windows = WindowOutputs(
        recording=np.full(3, position),
        start_s=np.arange(3.0),
        active=np.ones(3, bool),
        embedding=np.array([[1, 0]] * 3, np.float32),
        logits=np.array([[1, 0, -9], [1, 0, -9], [1, -5, -9]], np.float32),
        labels=TEST.labels[:3],
    )
    head = Head(
        activation="sigmoid",
        rule=MaxLogit(),
        threshold=0.0,
        scale=1.0,
        label_thresholds=(0.9, 0.4, 0.4),
    )
    truth = truth_of(CORPUS, windows)
    judged = judge_windows(windows, truth, head)
    assert judged.closed.tolist() == [0, 0, 0]
    assert judged.opened.tolist() == [1, 1, -1]
    assert judge_recordings(windows, truth, head).opened.tolist() == [1]


def test_the_background_counts_where_it_is_noted() -> None:
    """By hand: of each recording of one species another is noted, and one that nobody knows."""
    noted = [
        dataclasses.replace(r, secondary_labels=("known_1", "stranger"))
        if r.label == "known_0"
        else r
        for r in CORPUS.recordings
    ]
    corpus = dataclasses.replace(CORPUS, recordings=tuple(noted))
    closed = evaluate(corpus, TEST, CALIBRATION, resamples=10)["recordings"]["closed"]
    judged = judge_recordings(TEST, truth_of(CORPUS, TEST), CALIBRATION.head)
    expected = []
    for species, scores in zip(judged.truth.species, judged.scores, strict=True):
        wanted = {0, 1} if species == 0 else {species}
        places = sorted(int((scores > scores[k]).sum()) for k in wanted if k >= 0)
        precision = sum((i + 1) / (place + 1) for i, place in enumerate(places))
        expected += [precision / (3 if species == 0 else 1)] if species >= 0 else []
    assert closed["map_background"]["value"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert closed["map_background"]["value"] < closed["map"]["value"]
    report = evaluate(CORPUS, TEST, CALIBRATION, resamples=10)
    assert "map_background" not in report["recordings"]["closed"]


def test_claims_compare_runs_by_mean_and_deviation(report: dict[str, Any]) -> None:
    path = ("windows", "closed", "top1")
    other = json.loads(json.dumps(report))
    other["windows"]["closed"]["top1"]["value"] = 0.5
    rows = compare({"ours": [report, other], "theirs": [other]}, {"top-1": path})
    values = [report["windows"]["closed"]["top1"]["value"], 0.5]
    assert rows[0]["top-1"] == pytest.approx(np.mean(values), abs=1e-4)
    assert rows[0]["top-1 sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert rows[1] == {"system": "theirs", "runs": 1, "top-1": 0.5, "top-1 sd": None}


def test_a_rejected_window_has_no_say_in_its_recordings_label() -> None:
    position = next(i for i, r in enumerate(CORPUS.recordings) if r.role == "known")
    # two windows near the training point say class 1 softly, one far from it shouts class 0
    windows = WindowOutputs(
        recording=np.full(3, position),
        start_s=np.arange(3.0),
        active=np.ones(3, bool),
        embedding=np.array([[1, 0], [1, 0], [-1, 0]], np.float32),
        logits=np.array([[0, 0.5, 0], [0, 0.5, 0], [9, 0, 0]], np.float32),
        labels=TEST.labels[:3],
    )
    rule = KnnDistance(points=np.array([[1, 0]], np.float32), k=1)
    head = Head(activation="softmax", rule=rule, threshold=0.5, scale=1.0)
    judged = judge_recordings(windows, truth_of(CORPUS, windows), head)
    assert judged.closed.tolist() == [0]
    assert judged.opened.tolist() == [1]
    deaf = judge_recordings(
        windows, truth_of(CORPUS, windows), dataclasses.replace(head, threshold=-1.0)
    )
    assert deaf.opened.tolist() == [-1]
