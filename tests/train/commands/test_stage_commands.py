"""System S5 from marked recordings to a bundle that replays: the stages train, segment, shift."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import soundfile
import torch
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

import edge.cli
from edge.backends.onnx import OnnxBackend
from edge.bundle import load_bundle
from edge.bundle.heads import GaussianDensity
from edge.detect.model import Model
from edge.types import Window
from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tones import RATE_HZ, SPECIES, song, write_collection
from train.corpus.corpus import Corpus, read_corpus
from train.judging.calibration import Calibration
from train.judging.nocall_f1 import DECIDES, micro_f1, rows_of
from train.windows.audio import loop_to, read_audio
from train.windows.outputs import WindowOutputs

SIZE = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "cardinality": 1, "base_width": 64}
TRAIN: dict[str, Any] = {
    "name": "train",
    "frontend": {
        "sample_rate_hz": 16_000,
        "fmax_hz": 8000.0,
        "n_mels": 32,
        "channels": [{"component": "mel", "level": {"kind": "max"}}],
    },
    "network": {
        "kind": "segmentation",
        "pretrained": False,
        "options": {"width": 16, "heads": 2, "size": SIZE},
    },
    "objective": {
        "kind": "focal",
        "batch": 12,
        "outlier_share": 0.2,
        "minimum_weight": 0.1,
        "secondary": 0.995,
    },
    "learning_rate": 0.003,
    "head_rate": 3,
    "schedule": "constant",
    "steps": 24,
    "steps_per_epoch": 12,
    "augment": {"mixup_share": 0.2, "mixup_alpha": 4.5},
}
SEGMENT = {
    **TRAIN,
    "name": "segment",
    "objective": {**TRAIN["objective"], "frame_weight": 0.5},
    "pseudo": {"present": 0.4, "absent": 0.15},
    "steps": 12,
    "steps_per_epoch": 4,
}
SHIFT = {
    **SEGMENT,
    "name": "shift",
    "steps": 4,
    "augment": {"coloured_share": 0.5, "noise_share": 0.5, "animals_share": 0.5},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an annotated corpus, the recipes, and a run of the first stage."""
    folder = tmp_path_factory.mktemp("s5")
    manifest = write_collection(folder / "collection")
    ranges = folder / "ranges.csv"
    lines = ('hummer/hummer_0.flac,0,1,"[[0, 1.5]]"', 'peeper/peeper_1.flac,1,0,"[[2, 99]]"')
    ranges.write_text("\n".join(("row_id,human_voice,nocall,t_range", *lines)), encoding="utf-8")
    for recipe in (TRAIN, SEGMENT, SHIFT):
        write_recipe(folder, recipe)
    assert_done(
        edge_train(
            "prepare", manifest, "--out", folder / "corpus", "--folds", 3, "--annotations", ranges
        )
    )
    assert_done(
        edge_train(
            "fit", "--recipe", folder / "train.yaml", *options(folder), "--out", folder / "run1"
        )
    )
    return folder


def options(place: Path) -> list[object]:
    return ["--corpus", place / "corpus", "--cache", place / "cache", "--workers", 1]


def command_of(stage: str, place: Path, earlier: str, out: str) -> list[str]:
    places = ["--from", place / earlier, *options(place), "--out", place / out]
    return [stage, "--recipe", *map(str, [place / f"{stage}.yaml", *places])]


def kill_after_the_first_epoch(command: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "train.commands.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as killed:
        assert killed.stderr is not None
        said = next((line for line in killed.stderr if "step 4/12" in line), "")
        killed.send_signal(signal.SIGKILL)
        assert said


@pytest.fixture(scope="module")
def segmented(place: Path) -> Path:
    """A run of the second stage, killed once and resumed."""
    run, command = place / "run2", command_of("segment", place, "run1", "run2")
    kill_after_the_first_epoch(command)
    assert not (run / "model.pt").exists()
    corpus = read_corpus(place / "corpus")
    expected = [r for r in corpus.of(split="dev", role="known") if r.fold != 0]
    files = sorted((run / "labels").glob("*.csv"))
    assert len(files) == len(expected)
    written = {file: file.stat().st_mtime_ns for file in files[1:]}
    text = files[0].read_text(encoding="utf-8")
    files[0].unlink()  # as if it had been killed before
    assert_done(edge_train(*command))
    assert files[0].read_text(encoding="utf-8") == text
    assert {file: file.stat().st_mtime_ns for file in files[1:]} == written, (
        "what is there is not made again"
    )
    return run


def test_a_killed_stage_comes_to_the_same_result(place: Path, segmented: Path) -> None:
    assert_done(edge_train(*command_of("segment", place, "run1", "whole")))
    first, second = (
        torch.load(run / "model.pt", weights_only=True) for run in (segmented, place / "whole")
    )
    assert all(torch.equal(first[key], second[key]) for key in second)


def test_pseudo_labels_are_files_that_a_person_can_read(segmented: Path) -> None:
    readme = (segmented / "labels" / "README.md").read_text(encoding="utf-8")
    assert "What is not listed is absent." in readme
    with min((segmented / "labels").glob("*.csv")).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["state"] for row in rows} <= {"present", "absent", "unsure"}
    assert all(0 <= float(row["start_s"]) < float(row["end_s"]) for row in rows)
    with (segmented / "member-0" / "history.csv").open(encoding="utf-8") as file:
        assert all(float(row["loss_of_steps"]) > 0 for row in csv.DictReader(file))


@pytest.fixture(scope="module")
def bundle(place: Path, segmented: Path) -> Path:
    """The bundle of the third stage, calibrated and evaluated."""
    run, bundle = place / "run3", place / "bundle"
    assert_done(edge_train(*command_of("shift", place, segmented.name, run.name)))
    judged = ("--corpus", place / "corpus", "--run", run)
    assert_done(edge_train("calibrate", *judged))
    assert_done(edge_train("evaluate", *judged, "--resamples", 10))
    assert_done(edge_train("export", *judged, "--out", bundle))
    return bundle


def test_a_recorder_decides_with_what_the_report_was_made_with(place: Path, bundle: Path) -> None:
    """Window by window of the test, by the recorder's own code."""
    exported = load_bundle(bundle)
    thresholds = exported.manifest.label_thresholds
    assert set(thresholds) == set(SPECIES)
    assert exported.manifest.frame_threshold == min(thresholds.values())
    corpus = read_corpus(place / "corpus")
    test = WindowOutputs.load(place / "run3" / "outputs-test.npz")
    head = Calibration.load(place / "run3" / "calibration.npz").head
    assert head.label_thresholds == tuple(thresholds[label] for label in test.labels)
    expected = head.given(head(test.embedding, test.logits))
    model = Model(exported, OnnxBackend(exported.model_path))
    found = given_by(model, corpus, test)
    assert (found == expected).all()
    assert 0 < expected.any(1).sum() < len(test)
    rows = rows_of(corpus, test, found.astype(float))
    report = json.loads((place / "run3" / "report" / "report.json").read_text())
    (decided,) = (row for row in report["rows"]["variants"] if row["post_processing"] == DECIDES)
    f1 = micro_f1(rows, 0.5, np.ones((1, len(rows))))[0]
    assert decided["micro_f1"]["value"] == pytest.approx(f1, abs=1e-4)


def test_the_papers_own_rule_can_be_shipped(place: Path, bundle: Path, tmp_path: Path) -> None:
    """Rejected is what has a density below a half (Thakur et al. 2019, II.C)."""
    run = shutil.copytree(place / "run3", tmp_path / "run")
    judged = ("--corpus", place / "corpus", "--run", run)
    assert_done(edge_train("calibrate", *judged, "--rule", "gaussian_density"))
    early = edge_train("export", *judged, "--out", tmp_path / "bundle")
    assert early.exit_code == 1
    assert "report.json: is of another calibration than calibration.npz; run" in early.output
    assert_done(edge_train("evaluate", *judged, "--resamples", 10))
    assert_done(edge_train("export", *judged, "--out", tmp_path / "bundle"))
    head = load_bundle(tmp_path / "bundle").head
    rule = head.rule
    assert isinstance(rule, GaussianDensity)
    test = WindowOutputs.load(run / "outputs-test.npz")
    predicted = test.logits.argmax(1)
    distance = np.linalg.norm(test.embedding - rule.means[predicted], axis=1)
    density = scipy.stats.norm.pdf(distance, rule.mu[predicted], rule.sigma[predicted])
    assert (head(test.embedding, test.logits).accepted == (density >= 0.5)).all()
    assert "rule `gaussian_density`, its own threshold" in (run / "report/report.md").read_text()
    refused = edge_train("calibrate", *judged, "--rule", "gaussian")
    assert refused.exit_code == 1
    assert "error: rule 'gaussian': is none of those of this run: gaussian_d" in refused.output


def given_by(model: Model, corpus: Corpus, windows: WindowOutputs) -> NDArray[np.bool_]:
    """The labels (W, K) that a recorder gives the windows of recordings."""
    spec, given = model.bundle.frontend, np.zeros(windows.logits.shape, bool)
    for w, i in enumerate(windows.recording):
        samples = read_audio(corpus.recordings[i].path, spec.sample_rate_hz)
        samples = loop_to(samples, spec.window_samples)
        start = round(windows.start_s[w] * spec.sample_rate_hz)
        end = start + spec.window_samples
        heard = model.predict(
            Window(
                start_sample=start,
                end_sample=end,
                samples=samples[start:end],
                sample_rate_hz=spec.sample_rate_hz,
            )
        )
        for score in heard.accepted:
            given[w, windows.labels.index(score.label)] = True
    return given


def test_three_stages_go_from_marked_recordings_to_a_bundle_that_replays(
    place: Path, bundle: Path
) -> None:
    digest = read_corpus(place / "corpus").digest
    assert load_bundle(bundle).manifest.training_data == digest
    for species in SPECIES:
        soundfile.write(place / f"{species}.wav", song(species, 6, seed=99), RATE_HZ)
    files = [str(place / f"{species}.wav") for species in SPECIES]
    replay = ["replay", *files, "--bundle", str(bundle), "--format", "windows"]
    heard = CliRunner().invoke(edge.cli.main, replay)
    assert_done(heard)
    assert {Path(json.loads(line)["file"]).stem for line in heard.stdout.splitlines()} == set(
        SPECIES
    )


@pytest.mark.parametrize(
    ("command", "start", "recipe", "change", "said"),
    [
        (
            "segment",
            "run1",
            "train",
            {},
            "recipe train: has no pseudo section: train it with edge-train fit",
        ),
        ("segment", "none", "segment", {}, "none: not a finished run"),
        (
            "segment",
            "run1",
            "segment",
            {},
            "run1: is the run to start from; choose another folder for --out",
        ),
        (
            "segment",
            "run1",
            "segment",
            {"network": {"kind": "resnest50"}},
            "has no time steps to label: use network segmentation",
        ),
        (
            "segment",
            "run1",
            "segment",
            {"network": {"kind": "segmentation"}},
            "run1: its network.options are not those of recipe",
        ),
        (
            "segment",
            "run1",
            "segment",
            {"frontend": {"n_mels": 64, "channels": TRAIN["frontend"]["channels"]}},
            "do not fit",
        ),
        (
            "segment",
            "run1",
            "segment",
            {"species": ["hummer", "peeper"]},
            "'triller' is not in both",
        ),
        (
            "shift",
            "run1",
            "segment",
            {"augment": {"mixup_share": 0.5}},
            "recipe segment: nothing is mixed in: shift needs",
        ),
        (
            "fit",
            "",
            "segment",
            {},
            "recipe segment: its pseudo labels come from an earlier run: use edge-train segment",
        ),
        (
            "fit",
            "",
            "train",
            {"network": {"kind": "compact"}},
            "head_rate: network compact has no published trunk",
        ),
    ],
)
def test_stages_that_do_not_fit_are_one_line(
    command: str,
    start: str,
    recipe: str,
    change: dict[str, Any],
    said: str,
    place: Path,
    tmp_path: Path,
) -> None:
    path = write_recipe(
        tmp_path, {**yaml.safe_load((place / f"{recipe}.yaml").read_text()), **change}
    )
    earlier = ["--from", place / start] if start else []
    out = tmp_path / "out" if change or start != "run1" or recipe != "segment" else place / "run1"
    result = edge_train(command, "--recipe", path, *options(place), *earlier, "--out", out)
    assert result.exit_code == 1
    line = result.output.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line


def test_another_corpus_is_refused(place: Path, tmp_path: Path) -> None:
    assert_done(
        edge_train("prepare", place / "collection", "--out", tmp_path / "corpus", "--folds", 3)
    )
    given = ["--recipe", place / "segment.yaml", "--corpus", tmp_path / "corpus"]
    made = ["--out", tmp_path / "run", "--cache", place / "cache", "--workers", 1]
    result = edge_train("segment", *given, "--from", place / "run1", *made)
    assert result.exit_code == 1
    assert result.output.strip() == (
        f"error: {place / 'run1'}: was trained on another prepared corpus; give the one it was "
        "trained on"
    )


def test_labels_of_other_thresholds_are_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(
        json.dumps({"model": "another", "present": 0.4, "absent": 0.15})
    )
    given = ["--recipe", place / "segment.yaml", *options(place), "--from", place / "run1"]
    result = edge_train("segment", *given, "--out", tmp_path)
    assert result.exit_code == 1
    assert (
        "its labels are of another run or of other thresholds; choose another --out or delete it"
        in result.output
    )


def test_a_head_learns_so_many_times_faster_than_its_trunk(place: Path) -> None:
    state = torch.load(place / "run1" / "member-0" / "checkpoint.pt", weights_only=True)
    trunk, head = state["optimiser"]["param_groups"]
    assert (trunk["lr"], head["lr"]) == (pytest.approx(0.003), pytest.approx(0.009))
    named = [
        name for name in state["network"] if "running" not in name and "num_batches" not in name
    ]
    assert len(trunk["params"]) == sum(name.startswith("trunk.") for name in named)
    assert len(trunk["params"]) + len(head["params"]) == len(named)
