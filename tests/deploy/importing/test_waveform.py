"""Any classifier of waveforms, as somebody else has exported it, becomes a bundle that answers as
it did.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import external_data_helper

from deploy.cli import main
from deploy.importing.waveform import Imported, WaveformImport, import_waveform
from edge.backends.onnx import OnnxBackend
from edge.bundle import load_bundle
from tests.support.audio import noise
from tests.support.bundles import tone
from tests.support.classifiers import PERCH, Classifier, write_labels

PLAIN = Classifier()


def imported(folder: Path, classifier: Classifier, **options: Any) -> Imported:
    asked = WaveformImport(
        **{
            "file": classifier.write(folder / "theirs.onnx"),
            "labels": write_labels(folder / "labels.csv", count=classifier.labels),
            "rate_hz": classifier.rate_hz,
            "window_s": classifier.window_s,
            **options,
        }
    )
    return import_waveform(asked, folder / "bundle")


def answers(made: Imported, *windows: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    bundle = made.bundle
    frontend = bundle.new_frontend()
    return OnnxBackend(bundle.model_path).infer(np.stack([frontend(w) for w in windows]))


def test_what_has_the_signature_of_perch_becomes_a_bundle(tmp_path: Path) -> None:
    file = PERCH.write(tmp_path / "perch_v2.onnx")
    labels = write_labels(tmp_path / "labels.csv", count=14_795)
    arguments = ["import", "onnx", str(file), "--labels", str(labels), "--rate-hz", "32000"]
    options = ["--window-s", "5", "--licence", "Apache-2.0", "--source", "Perch v2, Google"]
    out = tmp_path / "perch"
    result = CliRunner().invoke(main, [*arguments, *options, "--out", str(out)])
    assert result.exit_code == 0, result.output
    bundle = load_bundle(out)
    assert bundle.frontend.shape == (1, 1, 160_000)
    assert bundle.manifest.format_version == 5
    assert (len(bundle.golden.embedding), len(bundle.golden.logits)) == (1_536, 14_795)
    assert bundle.manifest.name == "perch_v2"
    assert bundle.manifest.licence == "Apache-2.0"
    assert bundle.manifest.source.startswith("Perch v2, Google; sha256 ")
    assert "the logits are 'label', their scores made with sigmoid" in result.stderr
    assert "the embedding is 'embedding', 1536 numbers" in result.stderr
    samples = bundle.golden.samples
    np.testing.assert_allclose(bundle.golden.logits, PERCH.logits(samples), atol=1e-3)
    model = onnx.load(bundle.model_path)
    assert [value.name for value in model.graph.output] == ["embedding", "logits"]
    assert not any(node.op_type == "Tile" for node in model.graph.node), "of another output"


@pytest.mark.parametrize(
    "classifier",
    [
        PLAIN,
        dataclasses.replace(PLAIN, outputs=("label", "spectrogram", "embedding", "lengths")),
        dataclasses.replace(PLAIN, rank=3),
        dataclasses.replace(PLAIN, fixed=1),
        dataclasses.replace(PLAIN, fixed=4),
        dataclasses.replace(PLAIN, fixed=1, rank=3),
        dataclasses.replace(PLAIN, opset=13),
        dataclasses.replace(PLAIN, input="features"),
        dataclasses.replace(PLAIN, outputs=("scores", "embedding")),
        dataclasses.replace(PLAIN, outputs=("label", "embedding", "scores")),
        dataclasses.replace(PLAIN, rate_hz=48_000, window_s=3.0),
    ],
)
def test_it_answers_as_it_did(tmp_path: Path, classifier: Classifier) -> None:
    made = imported(tmp_path, classifier)
    rate_hz, window_s = classifier.rate_hz, classifier.window_s
    windows = [tone(1000, window_s, rate_hz), noise(window_s, rate_hz, seed=3)]
    embedding, logits = answers(made, *windows)
    expected = np.stack([classifier.logits(window) for window in windows])
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    assert logits[0].argmax() == 1
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    assert made.bundle.manifest.activation == "sigmoid"
    for alone, both in zip(windows, logits, strict=True):
        np.testing.assert_allclose(answers(made, alone)[1][0], both, atol=1e-4)


def test_of_a_softmax_the_scores_stay_and_half_is_where_unknown_ends(tmp_path: Path) -> None:
    made = imported(tmp_path, Classifier(tail="Softmax", outputs=("scores", "embedding")))
    samples = tone(300, 1.0)
    embedding, logits = answers(made, samples)
    plain = PLAIN.logits(samples)
    scores = np.exp(plain - plain.max()) / np.exp(plain - plain.max()).sum()
    verdicts = made.bundle.head(embedding, logits)
    np.testing.assert_allclose(verdicts.scores[0], scores, atol=1e-4)
    assert made.bundle.manifest.activation == "softmax"
    assert verdicts.accepted[0]
    assert not made.bundle.head(embedding, np.log(np.full((1, 3), 1 / 3, np.float32))).accepted[0]


def test_what_has_no_embedding_gets_what_its_last_layer_takes(tmp_path: Path) -> None:
    made = imported(tmp_path, Classifier(outputs=("label",)))
    assert len(made.bundle.golden.embedding) == PLAIN.dimensions
    assert any("no output for the embedding" in note for note in made.notes)
    named = import_waveform(
        WaveformImport(
            file=tmp_path / "theirs.onnx",
            labels=tmp_path / "labels.csv",
            rate_hz=8_000,
            window_s=1.0,
            embedding="mean",
        ),
        tmp_path / "named",
    )
    assert len(named.bundle.golden.embedding) == 40


def test_what_scores_nothing_linearly_has_its_logits_for_an_embedding(tmp_path: Path) -> None:
    model = Classifier(outputs=("loud",)).model()
    model.graph.node.append(onnx.helper.make_node("Tanh", ["label"], ["loud"]))
    file = tmp_path / "theirs.onnx"
    file.write_bytes(model.SerializeToString())
    labels = write_labels(tmp_path / "labels.csv")
    asked = WaveformImport(file=file, labels=labels, rate_hz=8_000, window_s=1.0)
    made = import_waveform(asked, tmp_path / "bundle")
    assert len(made.bundle.golden.embedding) == 3
    assert any("the logits stand for one" in note for note in made.notes)


def test_weights_in_another_file_are_taken_in(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = imported(tmp_path / "whole", PLAIN)
    model = PLAIN.model()
    external_data_helper.convert_model_to_external_data(
        model, location="theirs.data", size_threshold=0
    )
    onnx.save(model, str(tmp_path / "theirs.onnx"))
    labels = write_labels(tmp_path / "labels.csv")
    asked = WaveformImport(
        file=tmp_path / "theirs.onnx", labels=labels, rate_hz=8_000, window_s=1.0
    )
    made = import_waveform(asked, tmp_path / "bundle")
    np.testing.assert_array_equal(made.bundle.golden.logits, whole.bundle.golden.logits)
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == sorted(made.bundle.file_names)


def test_an_input_that_another_output_needs_is_left_away(tmp_path: Path) -> None:
    model = Classifier(outputs=("embedding", "label", "placed")).model()
    place = onnx.helper.make_tensor_value_info("place", onnx.TensorProto.FLOAT, ["batch", 3])
    model.graph.input.append(place)
    model.graph.node.append(onnx.helper.make_node("Add", ["label", "place"], ["placed"]))
    file = tmp_path / "theirs.onnx"
    file.write_bytes(model.SerializeToString())
    labels = write_labels(tmp_path / "labels.csv")
    asked = WaveformImport(file=file, labels=labels, rate_hz=8_000, window_s=1.0, input="inputs")
    made = import_waveform(asked, tmp_path / "bundle")
    assert [value.name for value in onnx.load(made.bundle.model_path).graph.input] == ["features"]


def test_it_is_the_same_bundle_each_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = imported(tmp_path, PLAIN), imported(tmp_path / "again", PLAIN)
    assert first.bundle.digest == again.bundle.digest
