"""Events that keep a precision, and what becomes of the others."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edge.bundle import Bundle
from edge.bundle.precision import LeastScores
from edge.bundle.probability import Curve
from edge.config.config import load_config
from edge.detect.decision import Decision
from edge.detect.precision import PrecisionFilter, describe
from edge.detect.smoothing import SmoothingConfig
from edge.detect.tracker import Tracker
from edge.errors import ConfigError, UserError
from edge.recorder.daemon import Daemon
from edge.recorder.plan import make_plan
from edge.replay.formats import Format, open_format
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Detection
from tests.edge.detect.test_tracker import LABELS, WINDOW, prediction
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import write_audio
from tests.support.bundles import tiny_bundle, tone
from tests.support.calibrations import calibrated, least
from tests.support.daemons import RealTimeAudio, running, until, write_config

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "config" / "detection.v1.schema.json").read_text()
)


def tracked(
    scores: LeastScores, story: list[tuple[str, float]]
) -> tuple[list[Detection], list[str]]:
    left_out: list[str] = []
    keeps = PrecisionFilter(scores=scores, left_out=left_out.append)
    tracker = Tracker(decision=Decision(labels=LABELS), identity="test", precision=keeps)
    found: list[Detection] = []
    for i, (what, score) in enumerate(story):
        found += tracker.push(prediction(i * WINDOW, what, score=score))
    return [*found, *tracker.flush()], left_out


def test_an_event_is_given_out_once_its_best_window_is_good_enough() -> None:
    story = [("a", 0.6), ("a", 0.95), ("a", 0.7)]
    found, left_out = tracked(LeastScores(own={"ant": least(0.9)}), story)
    assert [d.state for d in found] == ["new", "end"]
    assert (found[-1].start_sample, found[-1].end_sample) == (0, 3 * WINDOW)
    assert found[0].score == pytest.approx(0.95)
    assert not left_out


def test_what_is_below_is_no_event_and_is_counted() -> None:
    scores = LeastScores(own={"ant": least(0.9)}, together=least(0.7), not_kept=("cat",))
    story = [("a", 0.8), ("b", 0.8), ("c", 0.99), ("A", 0.8)]
    found, left_out = tracked(scores, story)
    # An unknown sound is as it is without.
    assert [d.label for d in found if d.state == "end"] == ["bee", None]
    assert sorted(left_out) == ["ant", "cat"]


def test_labels_without_evidence_and_without_others_give_nothing() -> None:
    assert tracked(LeastScores(), [("a", 1.0)]) == ([], ["ant"])


def test_it_is_said_what_becomes_of_each_label() -> None:
    scores = LeastScores(own={"ant": least(0.9)}, together=least(0.7), not_kept=("cat",))
    assert describe(scores, LABELS) == (
        "1 labels have a least score of their own; 1 with too little evidence one together, 0.7; "
        "1 never keep it and give no events: cat"
    )


SURE = {"low_hummer": Curve(low=1.0, high=1.0, offset=1.0)}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that gives no low hummer at a precision of 0.9, and all else."""
    scores = LeastScores(together=least(0.0), not_kept=("low_hummer",))
    return tiny_bundle(
        tmp_path_factory.mktemp("strict") / "tiny",
        calibration=calibrated(own=SURE, precisions={"0.9": scores}),
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    calls = np.concatenate([tone(300, 3), np.zeros(32_000, np.float32), tone(3000, 3)])
    return write_audio(tmp_path_factory.mktemp("sound") / "calls.wav", calls, subtype="FLOAT")


def output(replayer: Replayer, sound: str, form: Format) -> str:
    stream = io.StringIO()
    writer = open_format(form, stream, replayer.provenance, several=False)
    writer.write(replayer.replay(sound))
    writer.close()
    return stream.getvalue()


def test_a_replay_has_probabilities_in_every_form(strict: Bundle, sound: str) -> None:
    replayer = Replayer(ReplaySettings(bundle=strict.path))
    calibration = strict.calibration
    assert calibration is not None
    lines = [json.loads(line) for line in output(replayer, sound, "jsonl").splitlines()]
    assert {line["label"] for line in lines} == {"low_hummer", "high_peeper"}
    for line in lines:
        jsonschema.validate(line, SCHEMA)
        found = calibration.probability(line["label"], line["score"])
        assert line["probability"] == pytest.approx(found, abs=1e-5)
        assert line["calibration"] == calibration.digest
    for form, delimiter in (("csv", ","), ("raven", "\t")):
        table = csv.DictReader(io.StringIO(output(replayer, sound, form)), delimiter=delimiter)  # type: ignore[arg-type]
        for row, line in zip(table, lines, strict=True):
            assert float(row["probability"]) == pytest.approx(line["probability"], abs=1e-4)
            assert row["calibration"] == calibration.digest
    heading, *rows = output(replayer, sound, "table").splitlines()[1:]
    assert heading.split()[-3:] == ["score", "right", "novelty"]
    shown = [row.split()[-2] for row in rows[: len(lines)]]
    wanted = [line["probability"] for line in lines]
    assert all(s in (">99%", f"{w:.0%}") for s, w in zip(shown, wanted, strict=True))


def test_a_bundle_without_a_calibration_has_none(bundle: Bundle, sound: str) -> None:
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    for line in output(replayer, sound, "jsonl").splitlines():
        assert not {"probability", "calibration"} & json.loads(line).keys()
    rows = csv.DictReader(io.StringIO(output(replayer, sound, "csv")))
    assert {row["probability"] for row in rows} == {""}
    assert "right" not in output(replayer, sound, "table")


def test_smoothed_scores_have_none(strict: Bundle, sound: str) -> None:
    smoothing = SmoothingConfig(slide_s=1.0)
    replayer = Replayer(ReplaySettings(bundle=strict.path, smoothing=smoothing))
    assert "probability" not in json.loads(output(replayer, sound, "jsonl").splitlines()[0])


def test_several_bundles_together_have_none(strict: Bundle, bundle: Bundle, sound: str) -> None:
    both = ReplaySettings(bundle=strict.path, more_bundles=(bundle.path,))
    assert Replayer(both).provenance.calibration is None
    with pytest.raises(ConfigError, match="judge together have no least scores"):
        Replayer(dataclasses.replace(both, precision=0.9))


def test_a_replay_leaves_out_what_is_below(strict: Bundle, sound: str) -> None:
    plain = Replayer(ReplaySettings(bundle=strict.path))
    precise = Replayer(ReplaySettings(bundle=strict.path, precision=0.9))
    result = precise.replay(sound)
    assert [d.label for d in result.detections] == ["high_peeper"]
    assert result.effort.below_precision == 1
    assert "1 event left out: below the precision" in output(precise, sound, "table")
    assert plain.provenance.config != precise.provenance.config
    assert "left out" not in output(plain, sound, "table")


@pytest.mark.parametrize(("precision", "others"), [(0.8, ", only for 0.9"), (0.8, "")])
def test_a_precision_that_the_bundle_lacks_is_refused(
    strict: Bundle, bundle: Bundle, precision: float, others: str
) -> None:
    path = strict.path if others else bundle.path
    with pytest.raises(ConfigError) as caught:
        Replayer(ReplaySettings(bundle=path, precision=precision))
    fault = caught.value.fault
    assert fault.key == "--precision"
    assert fault.reason.endswith(f"has no least scores for this precision{others}")
    first = "" if others else "edge-train calibrate, then "
    assert fault.suggestion == f"{first}edge-train thresholds {path} --precision 0.8"


def test_precision_and_smoothing_exclude_each_other(strict: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--precision"):
        ReplaySettings(bundle=strict.path, precision=0.9, smoothing=SmoothingConfig(boost=2.0))
    file = write_config(tmp_path, strict.path, model=model_of(strict, boost=2.0))
    with pytest.raises(UserError, match="precision does not go with slide_s or boost"):
        load_config(file)


def test_a_recorder_refuses_a_bundle_without_thresholds(bundle: Bundle, tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, bundle.path, model=model_of(bundle)))
    with pytest.raises(ConfigError) as caught:
        make_plan(config)
    assert caught.value.fault.key == "model.precision"


def model_of(bundle: Bundle, **more: Any) -> dict[str, Any]:
    return {"bundle": str(bundle.path), "hop_s": 0.5, "precision": 0.9, **more}


@pytest.fixture
def calls() -> RealTimeAudio:
    silent = np.zeros(8000, np.float32)
    return RealTimeAudio(np.concatenate([tone(300, 2), silent, tone(3000, 2), silent]))


def test_run_and_replay_agree(tmp_path: Path, strict: Bundle, calls: RealTimeAudio) -> None:
    """What is below the precision is no event of a recorder either, and its ledger counts it."""
    brief = {"cooldown_s": 0.5}
    file = write_config(tmp_path, strict.path, model=model_of(strict), tracker=brief)
    daemon = Daemon(file, audio=calls, deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: ("high_peeper", "end") in states(tmp_path), 60)
        counted = daemon._metrics.registry.get_sample_value("edge_events_left_out_total")
        assert counted
    assert not {state for state in states(tmp_path) if state[0] == "low_hummer"}
    ledger = rows(tmp_path, "SELECT sum(below_precision) FROM effort")[0][0]
    assert int(str(ledger)) >= counted
    found = rows(tmp_path, "SELECT payload FROM detections WHERE state = 'end'")[0][0]
    payload = json.loads(str(found))
    calibration = strict.calibration
    assert calibration is not None
    assert payload["calibration"] == calibration.digest
    probability = calibration.probability("high_peeper", payload["score"])
    assert payload["probability"] == pytest.approx(probability, abs=1e-5)
    settings = ReplaySettings(
        bundle=strict.path, hop_s=0.5, precision=0.9, tracker=load_config(file).tracker
    )
    played = write_audio(tmp_path / "played.wav", calls.samples, subtype="FLOAT")
    first = Replayer(settings).replay(played).detections[0]
    assert first.label == "high_peeper"
    assert first.score == pytest.approx(payload["score"], abs=1e-4)
