"""A bundle is calibrated by recordings and at a site, and keeps a precision, by the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from edge.bundle import Bundle, load_bundle
from edge.bundle.signing import sign_bundle
from edge.cli import main as edge
from edge.errors import UserError
from tests.support.audio import noise
from tests.support.bundles import SPEC, choir_bundle, tiny_bundle, tone
from tests.support.keys import key_pair
from train.commands.cli import main
from train.judging.calibrate_bundle import calibrated_by_recordings

RATE_HZ = SPEC.sample_rate_hz
SUNG = {"low_hummer": 300.0, "mid_whistler": 1000.0, "high_peeper": 3000.0}
CURVE = 0.8  # of the detections with a score above it, all are right at the site


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def sung(hz: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    call = tone(hz * rng.uniform(0.98, 1.02), 2, level=rng.uniform(0.05, 0.4))
    hiss = noise(2, level=rng.uniform(1e-4, 0.02), seed=seed)
    return np.concatenate([hiss, call + hiss, hiss]).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per species; some of the recordings have the wrong name."""
    return write_data(tmp_path_factory.mktemp("data"))


def write_data(root: Path, *, each: int = 20) -> Path:
    names = list(SUNG)
    root.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        (root / name).mkdir()
        for i in range(each):
            heard = names[(k + 1) % 3] if i % 4 == 0 else name
            samples = sung(SUNG[heard], 100 * k + i)
            soundfile.write(root / name / f"{name}{i}.wav", samples, RATE_HZ)
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("plain") / "tiny")


@pytest.fixture(scope="module")
def calibrated(plain: Bundle, data: Path) -> Bundle:
    out = plain.path.with_name("calibrated")
    result = run(
        *("calibrate", "--bundle", str(plain.path), "--data", str(data), "--out", str(out)),
        *("--workers", "1", "--hop-s", "0.5"),
    )
    assert result.exit_code == 0, result.output
    assert "Expected calibration error" in result.output
    return load_bundle(out)


def test_a_bundle_is_calibrated_by_recordings(plain: Bundle, calibrated: Bundle) -> None:
    calibration = calibrated.calibration
    assert calibration is not None
    assert calibrated.digest != plain.digest
    (basis,) = calibration.basis
    assert 0.6 < basis.right < 0.9
    assert len(calibration.evidence.label) == basis.events
    card = (calibrated.path / "MODEL_CARD.md").read_text()
    assert card.startswith("# Tiny\n")
    assert "## Calibrated later" in card
    assert "Expected calibration error" in card
    picture = calibrated.path.with_name("calibrated.report") / "reliability.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_with_a_list_a_bundle_learns_how_far_others_may_outdo_it(
    tmp_path: Path,
) -> None:
    plain, out, names = choir_bundle(tmp_path / "choir"), tmp_path / "out", tmp_path / "site.yaml"
    data = write_data(tmp_path / "data", each=40)
    names.write_text("[low_hummer, mid_whistler]\n")
    command = ("calibrate", "--bundle", str(plain.path), "--data", str(data), "--workers", "1")
    result = run(*command, "--species", str(names), "--hop-s", "1", "--out", str(out))
    assert result.exit_code == 0, result.output
    margin = load_bundle(out).manifest.list_margin
    assert margin is not None
    # A quarter of the recordings is of another species than its name.
    assert margin.threshold == 0
    assert f"logits (spread {margin.scale:g})" in (out / "MODEL_CARD.md").read_text()
    again = run(*command, "--hop-s", "1", "--out", str(tmp_path / "again"), "--bundle", str(out))
    assert again.exit_code == 0, again.output
    found = load_bundle(tmp_path / "again")
    assert found.manifest.list_margin == margin
    assert found.calibration == load_bundle(out).calibration  # the list changes no probability


def test_with_a_list_each_recording_is_heard_once(tmp_path: Path) -> None:
    bundle, data = choir_bundle(tmp_path / "choir"), write_data(tmp_path / "data", each=4)
    names = tmp_path / "site.yaml"
    names.write_text("[low_hummer, mid_whistler]\n")
    heard: list[int] = []

    def watch(answers: Iterator[Any], count: int) -> Iterator[Any]:
        for answer in answers:
            heard.append(count)
            yield answer

    with pytest.raises(UserError, match="probabilities need"):  # of twelve recordings
        calibrated_by_recordings(bundle, data, species=str(names), hop_s=1, workers=1, watch=watch)
    assert heard == [12] * 12


def test_a_bundle_of_one_label_a_window_has_no_margin(
    plain: Bundle, data: Path, tmp_path: Path
) -> None:
    result = run(
        *("calibrate", "--bundle", str(plain.path), "--data", str(data), "--species", "data"),
        *("--workers", "1", "--out", str(tmp_path / "out")),
    )
    assert result.exit_code == 1
    assert "says nothing of a margin over the list" in result.output
    assert not (tmp_path / "out").exists()


def test_its_probabilities_and_thresholds_are_judged(
    calibrated: Bundle, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "precise"
    found = run("thresholds", str(calibrated.path), "--precision", "0.6", "--out", str(out))
    assert found.exit_code == 0, found.output
    assert "least score" in found.output
    assert load_bundle(calibrated.path).digest == calibrated.digest
    result = run(
        *("evaluate", "--bundle", str(out), "--data", str(data), "--workers", "1"),
        *("--resamples", "10", "--out", str(tmp_path / "report")),
    )
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["probability"]["expected_calibration_error"] < 0.15
    assert [row["precision"] for row in report["probability"]["precisions"]] == ["0.6"]
    assert (tmp_path / "report" / "reliability.png").exists()
    assert "From the least scores on that keep a precision" in result.output
    info = CliRunner().invoke(edge, ["info", "--bundle", str(out)]).output
    assert "probable   by the calibration" in info
    assert "precision  0.6: " in info
    assert ", precision 0.6 from " in info


def test_thresholds_go_into_the_bundle_itself(calibrated: Bundle, tmp_path: Path) -> None:
    out = str(tmp_path / "own")
    assert run("thresholds", str(calibrated.path), "--out", out).exit_code == 0
    again = run("thresholds", out, "--precision", "0.95")
    assert again.exit_code == 0
    written = load_bundle(out).calibration
    assert written is not None
    assert set(written.precisions) == {"0.9", "0.95"}
    assert calibrated.calibration is not None
    assert written.digest == calibrated.calibration.digest


def test_thresholds_need_a_calibrated_bundle(plain: Bundle) -> None:
    result = run("thresholds", str(plain.path))
    assert result.exit_code == 1
    assert "is not calibrated" in result.output
    assert "edge-train calibrate --bundle" in result.output


def reviews(file: Path, *, low: int, high: int) -> Path:
    """Reviewed detections of a site at which low hummers are right from a score of `CURVE` on."""
    rng = np.random.default_rng(0)
    lines = ["file,start_s,label,score,answer"]
    for label, count in (("low_hummer", low), ("high_peeper", high)):
        for i, score in enumerate(rng.uniform(0.3, 1, count)):
            lines.append(f"a.wav,{i},{label},{score:.4f},{'right' if score > CURVE else 'noise'}")
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("known", [True, False])
def test_a_site_calibrates_again(
    plain: Bundle, calibrated: Bundle, tmp_path: Path, known: bool
) -> None:
    bundle = calibrated if known else plain
    file = reviews(tmp_path / "reviewed.csv", low=200, high=20)
    out = tmp_path / "site"
    arguments = ("--bundle", str(bundle.path), "--on", str(file), "--out", str(out))
    result = run("calibrate", *arguments)
    assert result.exit_code == 0, result.output
    assert "fewer than 50 reviewed detections, so as before: high_peeper 20" in result.stderr
    found, before = load_bundle(out).calibration, bundle.calibration
    assert found is not None
    assert found.basis[-1].events == 200
    sure, unsure = found.probability("low_hummer", 0.98), found.probability("low_hummer", 0.5)
    assert sure is not None
    assert unsure is not None
    assert unsure < 0.2
    assert sure > 0.8
    if before is None:
        assert found.probability("high_peeper", 0.9) is None
    else:
        assert found.probability("high_peeper", 0.9) == before.probability("high_peeper", 0.9)
        assert found.digest != before.digest
    # The evidence of the label is the site's own now, and thresholds follow it.
    assert run("thresholds", str(out), "--precision", "0.9").exit_code == 0
    written = load_bundle(out).calibration
    assert written is not None
    assert written.precisions["0.9"].own["low_hummer"].score == pytest.approx(CURVE, abs=0.05)


def test_fewer_than_50_are_refused_and_nothing_is_written(plain: Bundle, tmp_path: Path) -> None:
    file = reviews(tmp_path / "reviewed.csv", low=49, high=3)
    out = tmp_path / "site"
    result = run("calibrate", "--bundle", str(plain.path), "--on", str(file), "--out", str(out))
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert (
        "has 49 reviewed detections of low_hummer, the most of any label; 50 are" in result.output
    )
    assert not out.exists()


def test_a_signature_is_gone_and_that_is_said(plain: Bundle, tmp_path: Path) -> None:
    signed = tiny_bundle(tmp_path / "signed")
    sign_bundle(signed.path, key_pair(tmp_path).private)
    file = reviews(tmp_path / "reviewed.csv", low=60, high=0)
    at = ("--bundle", str(signed.path), "--on", str(file), "--out", str(signed.path))
    result = run("calibrate", *at)
    assert result.exit_code == 0
    assert "is not signed any more" in result.stderr
    assert load_bundle(signed.path).calibration is not None


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--bundle", "x", "--out", "y"),
        ("--bundle", "x", "--on", "a.csv"),
        ("--bundle", "x", "--on", "a.csv", "--data", "d", "--out", "y"),
        ("--corpus", "c", "--run", "r", "--on", "a.csv"),
    ],
)
def test_calibrate_wants_one_thing_at_a_time(arguments: tuple[str, ...]) -> None:
    result = run("calibrate", *arguments)
    assert result.exit_code == 1
    assert "calibrate needs --run with --corpus, or --bundle and --out" in result.output
