"""What cannot become a bundle of a waveform: one clear line, and nothing half-written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, external_data_helper, helper

from deploy.cli import main
from deploy.importing.waveform import WaveformImport, import_waveform
from edge.errors import UserError
from tests.support.classifiers import Classifier, write_labels
from tests.support.damage import CHANGES, KEPT, Changes, damaged

PLAIN = Classifier()
WHOLE = PLAIN.model().SerializeToString()


def refused(folder: Path, *options: str, file: str = "theirs.onnx") -> str:
    """Import and return the line that says why not."""
    labels = folder / "labels.csv"
    if not labels.exists():
        write_labels(labels)
    out = folder / "out"
    rate = [] if "--rate-hz" in options else ["--rate-hz", "8000"]
    arguments = ["--labels", str(labels), *rate, "--window-s", "1", "--out", str(out), *options]
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(main, ["import", "onnx", str(folder / file), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("edge-deploy: ")
    assert sorted(folder.iterdir()) == before
    return result.stderr


@pytest.mark.parametrize(
    ("classifier", "options", "reason"),
    [
        (PLAIN, ["--rate-hz", "16000"], "takes 8000 samples, and 1 s at 16000 Hz are 16000"),
        (PLAIN, ["--rate-hz", "10"], "--rate-hz and --window-s: sample_rate_hz: 10 is outside"),
        (
            PLAIN,
            ["--window-s", "nan"],
            "Invalid value for '--window-s': nan is not a finite number",
        ),
        (replace(PLAIN, rank=4), [], "takes (any, 1, 1, 8000), no waveforms of one channel"),
        (
            replace(PLAIN, input_type=TensorProto.INT16),
            [],
            "takes samples as int16, not as float32",
        ),
        (replace(PLAIN, labels=5), [], "no output has 3 columns, one for each label; it has "),
        (PLAIN, ["--logits", "embedding"], "the output embedding has not 3 columns"),
        (PLAIN, ["--logits", "nothing"], "has no output 'nothing', but embedding, label"),
        (PLAIN, ["--embedding", "spectrogram"], "spectrogram has not one row for a window"),
        (PLAIN, ["--input", "sound"], "has no input 'sound', but inputs"),
        (replace(PLAIN, outputs=("mean", "shares", "label")), [], "--embedding must name"),
        (replace(PLAIN, outputs=("scores",)), ["--activation", "softmax"], "makes its scores with"),
        (replace(PLAIN, wrong=float("nan")), [], "label is NaN or infinite"),
        (replace(PLAIN, opset=8), [], "has opset 8, and 9 is the oldest"),
        (replace(PLAIN, domain="com.example"), [], "ONNX Runtime cannot load it"),
        (PLAIN, ["--licence", "x" * 300], "--licence: 'xxx"),
        (PLAIN, ["--source", "a\nb"], "--source: 'a\\nb' has characters"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, classifier: Classifier, options: list[str], reason: str
) -> None:
    classifier.write(tmp_path / "theirs.onnx")
    assert reason in refused(tmp_path, *options)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "theirs.onnx: cannot be read (No such file or directory)"),
        (b"", "is no ONNX file"),
        (b"Dear diary, " * 100, "is no ONNX file"),
        (b"\x08\x07", "is no ONNX file"),
    ],
)
def test_what_is_no_onnx_file_is_one_line(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "theirs.onnx").write_bytes(content)
    assert reason in refused(tmp_path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path, share: float) -> None:
    whole = PLAIN.write(tmp_path / "theirs.onnx").read_bytes()
    (tmp_path / "theirs.onnx").write_bytes(whole[: int(share * len(whole))])
    assert "theirs.onnx: " in refused(tmp_path)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, kept=KEPT, near=st.booleans())
def test_a_damaged_file_becomes_a_bundle_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, changes: Changes, kept: float, near: bool
) -> None:
    """Most of a file is weights; `near` its beginning are its nodes."""
    folder = tmp_path_factory.mktemp("damaged")
    described = [(place * 0.1, byte) for place, byte in changes]
    content = damaged(WHOLE, described if near else changes, kept)
    (folder / "theirs.onnx").write_bytes(content)
    labels = write_labels(folder / "labels.csv")
    asked = WaveformImport(file=folder / "theirs.onnx", labels=labels, rate_hz=8_000, window_s=1.0)
    with suppress(UserError):
        import_waveform(asked, folder / "out")
        assert (folder / "out").exists()
        return
    assert not (folder / "out").exists()


def changed(folder: Path, classifier: Classifier, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    model = classifier.model()
    model.graph.node.extend(nodes)
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    return model


def test_several_inputs_are_listed(tmp_path: Path) -> None:
    place = helper.make_tensor_value_info("place", TensorProto.FLOAT, ["batch", 3])
    model = replace(PLAIN, outputs=("placed",)).model()
    model.graph.node.append(helper.make_node("Add", ["label", "place"], ["placed"]))
    model.graph.input.append(place)
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    assert "has the inputs inputs, place; --input names that" in refused(tmp_path)
    said = refused(tmp_path, "--input", "inputs")
    assert "needs the inputs place beside the waveform" in said
    said = refused(tmp_path, "--input", "inputs", "--logits", "placed")
    assert "its output placed also needs the input place" in said


def test_two_channels_are_no_waveform(tmp_path: Path) -> None:
    model = PLAIN.model()
    shape = model.graph.input[0].type.tensor_type.shape
    shape.CopyFrom(helper.make_tensor_type_proto(1, ["b", 2, 8_000]).tensor_type.shape)
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    assert "takes (any, 2, 8000), no waveforms of one channel" in refused(tmp_path)


def test_a_loop_is_refused(tmp_path: Path) -> None:
    body = helper.make_graph([], "body", [], [])
    loop = helper.make_node("Loop", ["", "", "label"], ["looped"], body=body)
    changed(tmp_path, replace(PLAIN, outputs=("embedding", "looped")), loop)
    assert "it has the operator Loop" in refused(tmp_path)


def test_a_network_of_one_window_at_a_time_is_refused(tmp_path: Path) -> None:
    """Its batch is in a shape that is computed, where it cannot be changed."""
    nodes = [
        helper.make_node("Shape", ["label"], ["size"]),
        helper.make_node("Min", ["size", "few"], ["at_most"]),
        helper.make_node("Slice", ["label", "none", "at_most"], ["first"]),
    ]
    model = replace(PLAIN, outputs=("embedding", "first"), opset=13).model()
    model.graph.node.extend(nodes)
    for name, values in (("few", [1, 3]), ("none", [0, 0])):
        stored = helper.make_tensor(name, TensorProto.INT64, [2], values)
        model.graph.initializer.append(stored)
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    assert "does not take any number of windows at a time" in refused(tmp_path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "missing"])
def test_weights_that_are_not_beside_it_are_one_line(tmp_path: Path, location: str) -> None:
    model = PLAIN.model()
    external_data_helper.convert_model_to_external_data(model, location="x", size_threshold=0)
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(100_000))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    assert f"weights in {location!r}" in refused(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its first line must name the columns common_name and scientific_name"),
        ("label,common_name\na,A\n", "its first line must name the columns"),
        ("common_name,scientific_name,common_name\nA,B,C\n", "each once"),
        ("common_name,scientific_name\n", "has 0 labels, and a bundle has 1 to"),
        ("common_name,scientific_name\nA\n", "line 2 has more or fewer cells"),
        ("common_name,scientific_name\nA,B,C\n", "line 2 has more or fewer cells"),
        ("common_name,scientific_name\n,\n", "line 2 has no name"),
        ("common_name,scientific_name,kind\nA,B,bird\n", "line 2: the kind 'bird' is none of"),
        ("common_name,scientific_name\nA,B\nA,B\n", "line 3: the label b is there twice"),
        ("label,common_name,scientific_name\nx,A,B\nx,C,D\n", "line 3: the label x is there twice"),
        ("label,common_name,scientific_name\nX Y,A,B\n", "line 2: the label 'X Y' has the char"),
        ("common_name,scientific_name\nUnknown,B\n", "is kept for what has none"),
        (b"common_name,scientific_name\n\xff,B\n", "is no table of labels"),
        ('common_name,scientific_name\n"A,B\n', "is no table of labels"),
    ],
)
def test_what_is_no_table_of_labels_is_one_line(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    PLAIN.write(tmp_path / "theirs.onnx")
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(tmp_path)
    assert said.startswith(f"edge-deploy: {tmp_path / 'labels.csv'}: ")
    assert reason in said
