"""`edge-deploy quantize`: variants are measured before they are kept, and the same every time."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from deploy.cli import main
from deploy.quantize.graphs import load_onnx, run_as_recorded, run_to_the_letter
from edge.bundle import Bundle, Frontend, load_bundle, write_bundle
from edge.detect.engines import load_model
from tests.support.convolutions import convolutional_bundle, write_windows_file
from tests.support.real_tensorrt import built
from tests.support.strangers import resealed

EVERYTHING = ("fp16", "int8", "int8+fp16", "int8-cpu")


def quantize(bundle: Path, windows: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(
        main, ["quantize", str(bundle), "--windows", str(windows), *arguments]
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    *progress, line = result.stderr.splitlines()
    assert line.startswith("edge-deploy: ")
    assert not [other for other in progress if other.startswith("edge-deploy")]
    return line


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle without variants, and its windows."""
    folder = tmp_path_factory.mktemp("plain")
    bundle = convolutional_bundle(folder / "small")
    return bundle.path, write_windows_file(folder / "windows.npz", bundle)


@pytest.fixture(scope="module")
def full(plain: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with every variant."""
    path, windows = tmp_path_factory.mktemp("full") / "small", plain[1]
    shutil.copytree(plain[0], path)
    for precision in ("int8", "fp16", "int8+fp16"):
        result = quantize(path, windows, "--precision", precision)
        assert result.exit_code == 0, result.output
    return load_bundle(path)


@pytest.fixture
def small(plain: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A copy to write to."""
    shutil.copytree(plain[0], tmp_path / "small")
    return tmp_path / "small", plain[1]


def graph(bundle: Bundle, name: str) -> onnx.ModelProto:
    return onnx.load(str(bundle.networks[name].path))


def test_every_variant_stands_in_the_bundle_beside_an_unchanged_fp32(
    full: Bundle, plain: tuple[Path, Path]
) -> None:
    before = load_bundle(plain[0])
    assert tuple(full.manifest.variants) == EVERYTHING
    assert full.manifest.files["model.onnx"] == before.manifest.files["model.onnx"]
    assert full.manifest.files["golden.npz"] == before.manifest.files["golden.npz"]
    assert full.digest != before.digest
    assert {name: v.runs_on for name, v in full.manifest.variants.items()} == {
        name: ("onnx",) if name == "int8-cpu" else ("tensorrt",) for name in EVERYTHING
    }


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_manifest_has_its_accuracy_beside_that_of_fp32(full: Bundle, name: str) -> None:
    metrics = full.manifest.variants[name].metrics
    assert metrics["split"] == "test"
    for key in ("macro_f1_per_recording", "top1_per_recording"):
        assert metrics["fp32"][key] == 1.0
        assert metrics[key] >= 0.995
    for sort, value in metrics["fp32"]["auroc"].items():
        assert 0.8 < value <= 1
        assert value - metrics["auroc"][sort] <= 0.005
    assert (
        0.99
        < metrics["embedding_cosine"]["least"]
        <= metrics["embedding_cosine"]["mean"]
        <= 1.00001
    )
    acceptance = metrics["validation_acceptance"]
    assert 0 < acceptance["fp32"] < 1
    assert acceptance["with its own"] == acceptance["fp32"]


@pytest.mark.rtx
def test_the_real_tensorrt_builds_every_network_that_is_made_for_it(full: Bundle) -> None:
    networks = full.networks_for("tensorrt")
    assert {network.name for network in networks} == {"fp32", "fp16", "int8", "int8+fp16"}
    for network in networks:
        assert built(network.path, full.frontend.shape)


def test_a_variants_threshold_is_its_own(full: Bundle) -> None:
    thresholds = {network.head.threshold for network in full.networks.values()}
    assert len(thresholds) == len(full.networks)
    assert max(thresholds) - min(thresholds) < 1


def test_the_card_has_a_row_for_each_and_nothing_twice(full: Bundle) -> None:
    card = (full.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)", card, re.MULTILINE) == ["Precisions", "Recordings"]
    rows = {
        row[0]: row
        for row in (
            line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| `")
        )
    }
    assert set(rows) == {"`fp32`", *(f"`{name}`" for name in EVERYTHING)}
    for name, variant in full.manifest.variants.items():
        row = rows[f"`{name}`"]
        assert row[1] == {"onnx": "CPU", "tensorrt": "TensorRT"}[variant.runs_on[0]]
        assert row[3] == f"{variant.metrics['macro_f1_per_recording']:.4f}"
        assert row[5] == f"{variant.metrics['auroc']['unknown species']:.4f}"
        assert f"- `{name}`: {variant.note}; " in card
    assert card.startswith("# Small\n\nFor tests.\n")
    assert card.endswith("## Recordings\n\nNone.\n")


def test_a_recorder_runs_the_one_for_its_processor(full: Bundle) -> None:
    model = load_model(full)
    assert model.network.name == "int8-cpu"
    assert model.engine.passed_over == 0


@pytest.mark.parametrize("name", ["int8", "int8+fp16"])
def test_for_tensorrt_every_zero_point_is_zero(full: Bundle, name: str) -> None:
    model = graph(full, name)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [
        node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ]
    assert len(pairs) >= 4
    for node in pairs:
        assert constants[node.input[2]].dtype == np.int8
        assert not constants[node.input[2]].any()
    weights = [
        node for node in pairs if node.op_type == "QuantizeLinear" and node.input[0] in constants
    ]
    # A weight goes in as it is and is quantised in the graph, with a scale for each channel.
    assert weights
    assert all(constants[node.input[1]].ndim == 1 for node in weights)


def test_for_a_processor_activations_are_unsigned_and_weights_have_seven_bits(full: Bundle) -> None:
    model = graph(full, "int8-cpu")
    kinds = {tensor.data_type for tensor in model.graph.initializer if "zero_point" in tensor.name}
    assert TensorProto.UINT8 in kinds
    weights = [
        numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == TensorProto.INT8 and len(t.dims) == 4
    ]
    assert weights
    assert all(np.abs(w.astype(int)).max() in (63, 64) for w in weights)


def test_a_convolution_over_one_channel_stays_as_it_is(full: Bundle) -> None:
    convolutions = [node for node in graph(full, "int8-cpu").graph.node if node.op_type == "Conv"]
    assert [node.input[0] == "features" for node in convolutions] == [True, False]
    assert convolutions[0].input[1] == "first"


@pytest.mark.parametrize("name", ["fp16", "int8+fp16"])
def test_only_the_body_is_in_fp16(full: Bundle, name: str) -> None:
    model = onnx.shape_inference.infer_shapes(graph(full, name), strict_mode=True)
    outer = {
        value.name: value.type.tensor_type.elem_type
        for value in [*model.graph.input, *model.graph.output]
    }
    assert set(outer.values()) == {TensorProto.FLOAT}
    inner = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    halves = {makers[tensor] for tensor, kind in inner.items() if kind == TensorProto.FLOAT16}
    assert {"Conv", "Relu", "MaxPool"} <= halves
    assert not halves & {"ReduceMean", "Flatten", "MatMul", "ReduceL2", "Div"}
    opset = model.opset_import[0].version
    assert opset == (19 if name == "int8+fp16" else 18)
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 2


@pytest.mark.parametrize("name", ["fp16", "int8+fp16"])
def test_what_was_measured_is_what_the_graph_says(full: Bundle, name: str) -> None:
    """Accuracy is that of a simulation in fp32; ONNX's own reference computes in real fp16."""
    features = Frontend(full.frontend)(full.golden.samples)[None]
    outputs: Any = ReferenceEvaluator(graph(full, name)).run(
        ["embedding", "logits"], {"features": features}
    )
    embedding, logits = outputs
    golden = full.networks[name].golden
    assert float(np.abs(full.golden.logits - golden.logits).max()) > 1e-6
    assert np.abs(embedding[0] - golden.embedding).max() <= golden.tolerance
    assert np.abs(logits[0] - golden.logits).max() <= golden.tolerance


def test_a_right_engine_passes_the_golden_window_and_one_whose_sums_are_cut_off_does_not(
    full: Bundle,
) -> None:
    network = full.networks["int8-cpu"]
    features = Frontend(full.frontend)(full.golden.samples)[None]
    literal = run_to_the_letter(network.path.read_bytes(), features)[0]
    assert np.abs(literal.logits[0] - network.golden.logits).max() <= network.golden.tolerance
    # Sums that stop at 32767 are too small where weights are large; weights cut off at half their
    # size do the same here.
    model = load_onnx(network.path.read_bytes())
    overflowing = [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    for tensor in overflowing:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(np.clip(values, -32, 32), tensor.name))
    wrong = run_as_recorded(model.SerializeToString(), features)
    assert np.abs(wrong.logits[0] - network.golden.logits).max() > network.golden.tolerance


def test_the_same_inputs_give_the_same_bundle(full: Bundle, small: tuple[Path, Path]) -> None:
    for precision in ("int8+fp16", "fp16", "int8"):  # in another order
        assert quantize(*small, "--precision", precision).exit_code == 0
    assert load_bundle(small[0]).digest == full.digest


def test_one_backend_alone(small: tuple[Path, Path]) -> None:
    result = quantize(*small, "--precision", "int8", "--for", "onnx")
    assert result.exit_code == 0
    assert list(load_bundle(small[0]).manifest.variants) == ["int8-cpu"]
    assert "int8-cpu: macro F1 1.0000 -> 1.0000, AUROC" in result.stdout
    assert load_bundle(small[0]).digest[:12] in result.stdout


def _quietened(windows: Path, bundle: Path, path: Path) -> Path:
    """Write windows to calibrate on that are far too quiet: everything louder is cut off."""
    with np.load(windows) as arrays:
        quiet = arrays["train_features"] * np.float32(1e-4)
    return write_windows_file(path, load_bundle(bundle), train_features=quiet)


def test_a_variant_that_loses_too_much_is_refused_with_the_figures(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    before = {file.name: file.read_bytes() for file in small[0].iterdir()}
    windows = _quietened(small[1], small[0], tmp_path / "quiet.npz")
    line = refused(quantize(small[0], windows, "--precision", "int8"))
    assert re.search(
        r"int8(-cpu)?: (macro F1 per recording|AUROC, [a-z ,]+) [01]\.\d{4} -> 0\.\d{4}", line
    )
    assert "0.5 points" in line
    assert "--allow-loss" in line
    assert {file.name: file.read_bytes() for file in small[0].iterdir()} == before
    assert [entry.name for entry in small[0].parent.iterdir() if entry.name.startswith(".")] == []
    assert quantize(small[0], windows, "--precision", "int8", "--allow-loss").exit_code == 0
    assert list(load_bundle(small[0]).manifest.variants) == ["int8", "int8-cpu"]


def test_activations_too_large_for_fp16_are_refused(tmp_path: Path) -> None:
    bundle = convolutional_bundle(tmp_path / "loud", loudest=60_000.0)
    windows = write_windows_file(tmp_path / "windows.npz", bundle)
    line = refused(quantize(bundle.path, windows, "--precision", "fp16", "--allow-loss"))
    assert "65504" in line
    assert "int8" in line
    assert load_bundle(bundle.path).digest == bundle.digest


def test_weights_too_large_for_fp16_are_refused(tmp_path: Path) -> None:
    bundle = convolutional_bundle(tmp_path / "loud", loudest=3e6)
    windows = write_windows_file(tmp_path / "windows.npz", bundle)
    assert "which fp16 cannot hold" in refused(
        quantize(bundle.path, windows, "--precision", "fp16")
    )


def test_a_network_without_a_convolution_worth_it_is_refused(tmp_path: Path) -> None:
    bundle = convolutional_bundle(tmp_path / "shallow", deep=False)
    windows = write_windows_file(tmp_path / "windows.npz", bundle)
    assert "no convolution" in refused(quantize(bundle.path, windows, "--precision", "int8"))


@pytest.mark.parametrize("precision", ["fp16", "int8+fp16"])
def test_fp16_is_not_for_onnx_runtime(small: tuple[Path, Path], precision: str) -> None:
    assert "in fp32; use int8 there" in refused(
        quantize(*small, "--precision", precision, "--for", "onnx")
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.array(["a", "b", "c"])}, "its labels are not those of"),
        ({"frontend": np.array("f" * 64)}, "its front end are not those of"),
        ({"training_data": np.array("1" * 64)}, "its training recordings are not those of"),
        ({"format": np.array(2)}, "format 2, this program reads 1"),
        ({"test_kind": None}, "test_kind is missing"),
        ({"train_features": np.zeros((4, 1, 5, 5), np.float32)}, "windows of shape (4, 1, 5, 5)"),
        (
            {"validation_kind": np.array(["quiet windows"] * 108)},
            "no known species is heard in its validation windows",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_windows_are_refused_by_name(
    small: tuple[Path, Path], tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    windows = write_windows_file(tmp_path / "other.npz", load_bundle(small[0]), **changed)
    line = refused(quantize(small[0], windows, "--precision", "fp16"))
    assert said in line
    assert "other.npz" in line


def test_a_file_that_is_none_or_missing_is_one_line(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    assert "no such file; 'edge-train windows' writes it" in refused(
        quantize(small[0], tmp_path / "no", "--precision", "fp16")
    )
    (tmp_path / "text").write_text("not arrays")
    assert "cannot be read as windows" in refused(
        quantize(small[0], tmp_path / "text", "--precision", "fp16")
    )


def test_windows_on_which_the_bundle_is_not_what_it_claims(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest = json.loads((small[0] / "manifest.json").read_text())
    bundle = load_bundle(small[0])
    write_bundle(
        small[0],
        replace(bundle.manifest, metrics={"macro_f1_per_recording": 0.5}),
        model=bundle.model_path.read_bytes(),
        rule=bundle.head.rule,
        golden=bundle.golden,
        card="# Small\n",
    )
    assert manifest["metrics"] == {}
    assert "1.0000 on these windows, 0.5000 in manifest.json" in refused(
        quantize(*small, "--precision", "fp16")
    )


def test_help_reads_well() -> None:
    shown = CliRunner().invoke(main, ["quantize", "--help"]).output
    for word in (
        "fp16|int8|int8+fp16",
        "--windows",
        "edge-train windows",
        "--allow-loss",
        "0.5 points",
    ):
        assert word in shown


def test_a_strangers_metrics_are_one_line(
    full: Bundle, plain: tuple[Path, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(full.path, tmp_path / "small"))
    resealed(path, lambda m: m["variants"]["fp16"].update(metrics={"fp32": 3}))
    resealed(path, lambda m: m["metrics"].update(macro_f1_per_recording="much"))
    said = refused(quantize(path, plain[1], "--precision", "int8", "--for", "onnx"))
    assert "the metrics of its variants are not those that this command writes" in said
