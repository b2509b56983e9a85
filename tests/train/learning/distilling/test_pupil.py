"""A pupil learns from its teacher, goes on after a kill, and its frames serve the next window."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import edge.cli
from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, load_bundle
from edge.bundle.local import LocalFrames
from edge.detect.engines import load_model
from edge.detect.model import Model
from edge.detect.streamed import Streamed
from edge.errors import BackendError, SpecError
from edge.types import Array, Window
from tests.support.teachers import teacher_bundle
from tests.train.command_line import assert_done, edge_train, write_recipe
from tests.train.tones import RATE_HZ, SPECIES, song, write_collection
from train.learning.checkpoint import load_torch
from train.recipe.load import parse_recipe

HOP_S = 0.25  # of the frames
PUPIL: dict[str, Any] = {
    "name": "pupil",
    "frontend": {
        "sample_rate_hz": RATE_HZ,
        "window_s": 3.0,
        "n_fft": 512,
        "hop_length": 250,
        "n_mels": 32,
        "fmin_hz": 50.0,
        "fmax_hz": 7500.0,
        "centred": False,
        "channels": [{"component": "mel", "level": {"kind": "fixed"}}],
    },
    "network": {
        "kind": "local",
        "options": {"width": 16, "embedding": 8, "teacher_embedding": 12, "teacher_labels": 4},
    },
    "objective": {"kind": "distil", "batch": 12, "average": 0.5, "licence": "as its teacher's"},
    "learning_rate": 0.003,
    "steps": 12,
    "steps_per_epoch": 4,
    "augment": {"noise_share": 0.3, "equaliser_db": 3, "masks": 1},
    "withheld": ["triller"],
    "split": {"test_share": 0.25, "folds": 3},
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pupil")
    teacher_bundle(folder / "teacher", (*SPECIES, "growler"), rate_hz=RATE_HZ)
    write_collection(folder / "collection")
    return folder


@pytest.fixture(scope="module")
def recipe(work: Path) -> Path:
    objective = {**PUPIL["objective"], "teacher": str(work / "teacher")}
    return write_recipe(work, {**PUPIL, "objective": objective})


@pytest.fixture(scope="module")
def bundle(work: Path, recipe: Path) -> Bundle:
    """`build`, killed on its way: the checkpoint of an earlier epoch is what it goes on from."""
    options = ("--data", work / "collection/manifest.csv", "--work", work / "work")
    out = work / "bundle"
    built = edge_train("build", "--recipe", recipe, *options, "--out", out)
    assert_done(built)
    return load_bundle(out)


def test_what_is_built_knows_its_species_its_licence_and_its_frames(
    bundle: Bundle, work: Path
) -> None:
    manifest = bundle.manifest
    assert [label.label for label in bundle.labels] == ["hummer", "peeper"]
    assert manifest.licence == "as its teacher's"
    assert manifest.local == LocalFrames(span=49, hop=16)
    assert manifest.frame_threshold is not None
    assert manifest.format_version == 5
    said = CliRunner().invoke(edge.cli.main, ["info", "--bundle", str(bundle.path)])
    assert "multiples of 0.25 s share the network's, too" in said.stdout
    # What it says to its teacher is no part of it.
    state = load_torch(work / "work/run/model.pt")
    assert not [name for name in state if name.startswith("teacher_")]
    history = (work / "work/run/member-0/history.csv").read_text().splitlines()
    assert {"loss", "species", "embedding", "scores", "frames"} <= set(history[0].split(","))
    assert len(history) == 4


def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    bundle: Bundle, work: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.learning.trainer import Trainer

    def killed(self: Trainer) -> dict[str, float]:
        if self.step == 8:
            raise KeyboardInterrupt
        return epoch(self)

    corpus, again = work / "work/corpus", work / "again"
    command = ("fit", "--recipe", recipe, "--corpus", corpus, "--out", again)
    epoch = Trainer._epoch
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_epoch", killed)
        assert edge_train(*command, "--cache", work / "cache").exit_code != 0
    assert_done(edge_train(*command, "--cache", work / "cache"))
    whole, resumed = (load_torch(f / "model.pt") for f in (work / "work/run", again))
    for name, weights in whole.items():
        torch.testing.assert_close(resumed[name], weights, rtol=1e-4, atol=1e-5)


def windows_of(samples: Array, bundle: Bundle, hop_s: float) -> list[Window]:
    length, rate_hz = bundle.frontend.window_samples, bundle.frontend.sample_rate_hz
    starts = range(0, len(samples) - length + 1, round(hop_s * rate_hz))
    return [
        Window(
            start_sample=start,
            end_sample=start + length,
            samples=samples[start : start + length].copy(),
            sample_rate_hz=rate_hz,
        )
        for start in starts
    ]


class Counting:
    """The backend, and how many frames of features it was given."""

    def __init__(self, backend: OnnxBackend) -> None:
        self._backend = backend
        self.frames: list[int] = []

    def infer(self, features: Array) -> tuple[Array, Array]:
        return self._backend.infer(features)

    def infer_named(self, features: Array, names: Any) -> tuple[Array, ...]:
        self.frames.append(features.shape[3])
        return self._backend.infer_named(features, names)

    def infer_after(self, features: Array, before: Array, names: Any) -> tuple[Array, ...]:
        self.frames.append(features.shape[3])
        return self._backend.infer_after(features, before, names)


@pytest.mark.parametrize("hop_s", [0.25, 0.5, 1.0, 2.5, 0.3, 3.0])
def test_a_window_is_judged_as_it_would_be_alone(bundle: Bundle, hop_s: float) -> None:
    backend = Counting(OnnxBackend(bundle.path / "model.onnx"))
    model, alone = Model(bundle, backend), load_model(bundle, backend="cpu")
    samples = song("peeper", 8, seed=3)
    backend.frames.clear()
    for window in windows_of(samples, bundle, hop_s):
        got = model.predict(window)
        fresh = dataclasses.replace(window, start_sample=10**9, end_sample=2 * 10**9)
        wanted = alone.predict(fresh)
        np.testing.assert_allclose(got.embedding, wanted.embedding, atol=1e-5)
        np.testing.assert_allclose(got.scores, wanted.scores, atol=1e-5)
        assert got.frames is not None
        assert wanted.frames is not None
    whole = bundle.frontend.shape[2]
    shares = hop_s < bundle.frontend.window_s - 0.5 and hop_s % HOP_S == 0
    assert backend.frames[0] == whole
    assert all((frames < whole) == shares for frames in backend.frames[1:])


def test_lost_sound_begins_anew(bundle: Bundle) -> None:
    backend = Counting(OnnxBackend(bundle.path / "model.onnx"))
    model = Model(bundle, backend)
    first, second, third = windows_of(song("hummer", 5, seed=1), bundle, 1.0)[:3]
    other = windows_of(song("triller", 5, seed=2), bundle, 1.0)[1]
    backend.frames.clear()
    for window in (first, second, other, third):
        model.predict(window)
    whole = bundle.frontend.shape[2]
    assert [frames == whole for frames in backend.frames] == [True, False, True, True]


def test_an_engine_that_takes_no_frames_computes_the_whole(bundle: Bundle) -> None:
    class Plain:
        def infer(self, features: Array) -> tuple[Array, Array]:
            return backend.infer(features)

    backend = OnnxBackend(bundle.path / "model.onnx")
    streamed = Streamed(Plain(), bundle)
    features = np.random.default_rng(0).random((1, *bundle.frontend.shape), np.float32)
    for shift in (0, 4000):
        embedding, logits = streamed.outputs(features, ("embedding", "logits"), shift_samples=shift)
        np.testing.assert_array_equal(embedding, backend.infer(features)[0])
        np.testing.assert_array_equal(logits, backend.infer(features)[1])
    with pytest.raises(BackendError, match="cannot run a network with the output frames"):
        streamed.outputs(features, ("embedding", "logits", "frames"))


def test_local_frames_that_cannot_be_are_refused() -> None:
    for span, hop in ((0, 0), (3, 4), (4, 0), (True, 1)):
        with pytest.raises(SpecError, match="need 0 < hop <= span"):
            LocalFrames(span=span, hop=hop)
    assert LocalFrames(span=49, hop=16).count(318) == 17


def test_recipes_that_cannot_be_are_refused() -> None:
    for change, words in (
        ({"network": {"kind": "compact"}}, "network local and objective distil need each other"),
        (
            {"objective": {"kind": "distil", "outlier_share": 0}},
            "outlier_share: 0 is outside 0",
        ),
    ):
        with pytest.raises(SpecError, match=words):
            parse_recipe({**PUPIL, **change}, where="pupil.yaml")
