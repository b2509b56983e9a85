"""NVIDIA's own parser and builder (TensorRT for RTX), which need no GPU.

They take the default and some networks in every precision that is made for TensorRT. The systems as
they are trained, the variants of `edge-deploy quantize` and BirdNET have this beside their other
tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deploy.compile.build_engine import BuildRequest
from deploy.compile.builder import run_builder
from deploy.quantize.convert import KINDS, convert
from edge.backends.enginecache import BuildOptions
from edge.bundle import Bundle, load_bundle
from edge.errors import BackendError
from tests.support.bundles import SPEC, choir_bundle
from tests.support.networks import GRAPHS, NamedGraph
from tests.support.real_tensorrt import built

pytestmark = pytest.mark.rtx

PRECISIONS = {kind.name: kind for kind in KINDS if "tensorrt" in kind.runs_on}


@pytest.fixture(scope="module")
def default(root: Path) -> Bundle:
    return load_bundle(root / "edge" / "models" / "default")


@pytest.fixture(scope="module", params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> NamedGraph:
    """A network of each kind, with the shape of its features and its extra outputs."""
    return GRAPHS[request.param]()


def test_it_builds_every_kind_of_network(graph: NamedGraph) -> None:
    assert len(built(graph.model, graph.shape)) > len(graph.model) / 2


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_builds_every_kind_of_network_in_every_precision(
    graph: NamedGraph, precision: str
) -> None:
    windows = np.random.default_rng(1).random((4, *graph.shape), np.float32)
    converted = convert(graph.model, PRECISIONS[precision], windows, graph.extra_outputs)
    assert built(converted.model, graph.shape)


def test_it_builds_the_default_in_every_precision(default: Bundle) -> None:
    model, shape = default.model_path.read_bytes(), default.frontend.shape
    windows = np.random.default_rng(1).random((4, *shape), np.float32)
    sizes = {"fp32": len(built(model, shape, options=BuildOptions(largest_batch=64)))}
    for name, kind in PRECISIONS.items():
        sizes[name] = len(built(convert(model, kind, windows, ()).model, shape))
    assert sizes["fp16"] < sizes["fp32"]
    assert sizes["int8"] < sizes["fp32"]


def test_it_builds_extra_outputs(tmp_path: Path) -> None:
    bundle = choir_bundle(tmp_path / "choir", frame_threshold=0.5, attention=True)
    assert built(bundle.model_path, SPEC.shape)


def test_the_child_process_reports_progress_and_writes_the_plan(
    default: Bundle, tmp_path: Path
) -> None:
    phases: list[tuple[float, str]] = []
    said: list[str] = []
    request = BuildRequest(
        onnx=default.model_path,
        plan=tmp_path / "engine.plan",
        shape=default.frontend.shape,
        timing_cache=tmp_path / "timing.cache",
        options=BuildOptions(),
    )
    run_builder(
        request,
        tmp_path / "request.json",
        progress=lambda done, since_s, phase: phases.append((done, phase)),
        say=said.append,
        timeout_s=120,
    )
    assert request.plan.stat().st_size > 1_000_000
    assert phases
    shares = [done for done, _ in phases]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert said == []


def refused(graph: bytes | Path, shape: tuple[int, ...], **options: int) -> str:
    """The one line of the error."""
    with pytest.raises(BackendError) as error:
        built(graph, shape, options=BuildOptions(**options))
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_broken_graph_is_one_line(default: Bundle) -> None:
    whole = default.model_path.read_bytes()
    for broken in (b"garbage", whole[: len(whole) // 2]):
        assert "TensorRT cannot read model.onnx: " in refused(broken, default.frontend.shape)
    assert "has 0 inputs, not one" in refused(b"", default.frontend.shape)


def test_an_operator_that_there_is_not_is_named(default: Bundle) -> None:
    model = onnx.load(str(default.model_path))
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type, node.domain = "Whistle", ""
    assert "Whistle" in refused(model.SerializeToString(), default.frontend.shape)


def test_windows_of_another_shape_are_one_line_that_says_which(default: Bundle) -> None:
    channels, bands, frames = default.frontend.shape
    line = refused(default.model_path, (channels, bands, frames - 16))
    assert line.startswith("TensorRT could not build the engine (")
    assert f"{frames - 16}" in line
    assert f"{frames}" in line
    assert "4 dimensions but profile 0 has 3" in refused(default.model_path, (bands, frames))


def test_too_little_memory_for_the_builder_says_which_option_to_raise(default: Bundle) -> None:
    line = refused(default.model_path, default.frontend.shape, workspace_mib=0)
    assert line.startswith("the engine needs more memory than its builder may use; raise --work")


def test_an_impossible_profile_is_one_line(default: Bundle) -> None:
    """The largest batch is smaller than the one that the engine is tuned for."""
    line = refused(default.model_path, default.frontend.shape, live_batch=4, largest_batch=2)
    assert "TensorRT" in line


def test_two_inputs_are_not_for_it() -> None:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "ab"]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    nodes = [helper.make_node("Add", ["a", "b"], ["logits"])]
    made = helper.make_graph(nodes, "two", inputs, [output])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    assert "has 2 inputs, not one" in refused(model.SerializeToString(), (4,))


def test_the_8_bits_of_a_processor_are_not_for_it(default: Bundle) -> None:
    """Which is why a bundle says of each variant what runs it."""
    shape = default.frontend.shape
    (kind,) = (kind for kind in KINDS if kind.name == "int8-cpu")
    windows = np.random.default_rng(1).random((4, *shape), np.float32)
    converted = convert(default.model_path.read_bytes(), kind, windows, ())
    assert "TensorRT cannot read model.onnx: " in refused(converted.model, shape)


def warnings(bundle: Bundle, **options: int) -> list[str]:
    said: list[Mapping[str, Any]] = []
    shape = bundle.frontend.shape
    built(bundle.model_path, shape, options=BuildOptions(**options), report=said.append)
    return [message["warning"] for message in said if "warning" in message]


def test_a_limit_that_it_does_not_take_is_a_warning(default: Bundle) -> None:
    """This pool has to be a power of two; TensorRT ignores another limit."""
    assert warnings(default) == []
    (warning,) = warnings(default, tactic_mib=200)
    assert "limits TACTIC_DRAM to " in warning
    assert "not to the 200 MiB that were asked for" in warning
