"""The segmentation network, trained on 5 s, hears long audio: in evaluation and as a bundle."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import edge.cli
from edge.bundle import Frontend, load_bundle
from edge.errors import SpecError
from tests.train.command_line import assert_done, edge_train, prepared_tones, write_recipe
from tests.train.tiny import TINY
from tests.train.tones import RATE_HZ, song
from train.corpus.corpus import read_corpus
from train.learning.long_audio import in_whole_recordings
from train.learning.run import load_run
from train.learning.running import run_batches
from train.recipe.load import parse_recipe
from train.windows.outputs import WindowOutputs

MEL = {"component": "mel", "level": {"kind": "max"}}
SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "cardinality": 1, "base_width": 64}
LONG: dict[str, Any] = {
    "name": "long",
    # A time step of 0.32 s
    "frontend": {
        "sample_rate_hz": 16_000,
        "window_s": 2.56,
        "n_mels": 32,
        "n_fft": 512,
        "hop_length": 160,
        "fmax_hz": 8000.0,
        "channels": [MEL],
    },
    "network": {
        "kind": "segmentation",
        "pretrained": False,
        "options": {"width": 16, "heads": 4, "size": SMALL},
    },
    "objective": {"kind": "focal", "batch": 8},
    "learning_rate": 0.003,
    "steps": 4,
    "steps_per_epoch": 4,
    "heard_s": 12.8,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_tones(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def run(prepared: Path) -> Path:
    corpus, out = ("--corpus", prepared / "corpus"), prepared / "run"
    places = (*corpus, "--cache", prepared / "cache", "--workers", 1)
    recipe = write_recipe(prepared, LONG)
    assert_done(edge_train("fit", "--recipe", recipe, *places, "--out", out))
    assert_done(edge_train("calibrate", *corpus, "--run", out))
    assert_done(edge_train("evaluate", *corpus, "--run", out))
    return out


def test_a_row_is_heard_alone_and_in_its_whole_recording(run: Path, prepared: Path) -> None:
    options = ("--corpus", prepared / "corpus", "--cache", prepared / "cache", "--workers", 1)
    result = edge_train("rows", "--run", run, *options)
    assert_done(result)
    assert "| in its whole recording |" in result.output
    alone, whole = json.loads((run / "rows.json").read_text())
    assert alone["rows"] == whole["rows"] > 5
    assert all(0 <= row[name] <= 1 for row in (alone, whole) for name in ("validation", "test"))


def test_what_is_heard_at_once_is_one_window_of_the_bundle(
    run: Path, prepared: Path, tmp_path: Path
) -> None:
    corpus = ("--corpus", prepared / "corpus")
    assert_done(edge_train("export", *corpus, "--run", run, "--out", tmp_path / "bundle"))
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.frontend.window_s == 12.8
    assert bundle.golden.extra_outputs["frames"].shape[0] == 41  # 12.8 s of 0.32, and the padding
    pause = 0.002 * np.random.default_rng(0).standard_normal(10 * RATE_HZ).astype(np.float32)
    sounds = np.concatenate([pause, song("peeper", 6, seed=99), pause])
    soundfile.write(tmp_path / "long.wav", sounds, RATE_HZ)
    options = ["--hop-s", "6.4", "--format", "windows"]
    heard = CliRunner().invoke(
        edge.cli.main,
        ["replay", str(tmp_path / "long.wav"), "--bundle", str(bundle.path), *options],
    )
    assert heard.exit_code == 0, heard.output
    assert len(heard.stdout.splitlines()) >= 3


def test_a_recording_as_long_as_a_row_is_heard_as_the_row_alone(run: Path, prepared: Path) -> None:
    trained, corpus = load_run(run), read_corpus(prepared / "corpus")
    samples = song("peeper", 2.56, seed=3)
    soundfile.write(prepared / "row.wav", samples, RATE_HZ, subtype="FLOAT")
    one = dataclasses.replace(corpus.recordings[0], path=prepared / "row.wav")
    features = Frontend(trained.recipe.frontend)(samples)[np.newaxis]
    embedding, logits = run_batches(trained.network, features)
    row = WindowOutputs(
        recording=np.array([0]),
        start_s=np.array([0.0]),
        active=np.array([True]),
        embedding=embedding,
        logits=np.zeros_like(logits),
        labels=trained.labels,
    )
    whole = in_whole_recordings(trained, dataclasses.replace(corpus, recordings=(one,)), row)
    np.testing.assert_allclose(whole.logits, logits, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heard_s": 1.0}, r"heard_s: 1.0 is less than frontend.window_s 2.56"),
        ({"heard_s": 500.0}, r"heard_s: 500.0 is outside 0..120"),
        (
            {"network": {"kind": "resnest50"}},
            "heard_s: needs network .* not resnest50; leave it out",
        ),
    ],
)
def test_a_length_that_cannot_be_heard_is_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_recipe({**LONG, **change}, where="r")


def test_how_much_is_heard_does_not_decide_what_is_trained() -> None:
    assert (
        parse_recipe(LONG, where="").digest == parse_recipe({**LONG, "heard_s": 0}, where="").digest
    )


def test_a_network_without_time_steps_has_no_such_rows(prepared: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, {**TINY, "steps": 2, "steps_per_epoch": 2})
    places = ("--corpus", prepared / "corpus", "--cache", prepared / "cache", "--workers", 1)
    assert_done(edge_train("fit", "--recipe", recipe, *places, "--out", tmp_path / "run"))
    result = edge_train("rows", "--run", tmp_path / "run", *places)
    assert result.exit_code == 1
    assert "network compact has no time steps" in result.output
