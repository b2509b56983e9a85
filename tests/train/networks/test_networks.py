"""Networks: shapes, unit embeddings, sizes, and that torch and ONNX Runtime agree on each."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
import torch

from edge.bundle import Frontend, FrontendSpec
from edge.errors import SpecError, UserError
from train.export.export import OPSET, golden_samples, to_onnx, verify_onnx
from train.learning.classifier import EmbedThenClassify, build_classifier
from train.networks import build_network
from train.networks.ensemble import NetworkEnsemble
from train.networks.mscnn import MsCnn

S1 = FrontendSpec()
MEL64 = dataclasses.replace(S1, n_mels=64, fmin_hz=50.0, channels=S1.channels[:1])
SMALL_MSCNN: dict[str, object] = {"width": 8, "time_pool": 4}


def small_networks() -> list[tuple[str, torch.nn.Module, FrontendSpec]]:
    torch.manual_seed(0)
    compact = [
        build_network("compact", {"width": 8}, shape=MEL64.shape, classes=5) for _ in range(2)
    ]
    embedder = build_network("mscnn", SMALL_MSCNN, shape=S1.shape, classes=None)
    return [
        ("compact", compact[0], MEL64),
        ("ensemble", NetworkEnsemble(compact), MEL64),
        ("mscnn cross-entropy", build_network("mscnn", SMALL_MSCNN, shape=S1.shape, classes=5), S1),
        ("mscnn triplet and MLP", EmbedThenClassify(embedder, build_classifier(128, 5, 16)), S1),
    ]


def test_the_papers_network_has_the_parameters_of_our_reading() -> None:
    count = sum(p.numel() for p in MsCnn(3).parameters())
    assert count == 1_380_224, (
        "the paper states 1,286,410; the reading is in train/networks/mscnn.py"
    )


def test_the_mel_axis_is_down_to_one_band_before_pooling() -> None:
    network = MsCnn(3, width=8)
    seen: list[torch.Size] = []
    network.bottlenecks[-1].register_forward_hook(
        lambda module, inputs, output: seen.append(output.shape)
    )
    network(torch.zeros(1, *S1.shape))
    assert seen == [torch.Size([1, 8, 1, S1.shape[2]])]


@pytest.mark.parametrize(
    ("name", "network", "spec"), small_networks(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_torch_equals_onnx_for_any_batch(
    name: str, network: torch.nn.Module, spec: FrontendSpec
) -> None:
    model = to_onnx(network, spec)
    proto = onnx.load_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    assert {o.domain: o.version for o in proto.opset_import}[""] == OPSET
    assert b".py" not in model, "where the code lay when it was exported is nobody's business"
    assert [o.name for o in proto.graph.output] == ["embedding", "logits"]
    golden = Frontend(spec)(golden_samples(spec))
    for batch in (1, 3):
        embedding, logits = verify_onnx(model, network, np.stack([golden] * batch)).values()
        assert logits.shape == (batch, 5)
        assert np.linalg.norm(embedding, axis=1) == pytest.approx(np.ones(batch), abs=1e-5)


def test_export_is_refused_when_the_graph_says_something_else() -> None:
    network = build_network("compact", {"width": 8}, shape=MEL64.shape, classes=3)
    model = to_onnx(network, MEL64)
    state = network.state_dict()
    network.load_state_dict({**state, "directions.bias": state["directions.bias"] + 0.01})
    with pytest.raises(UserError, match=r"export refused: .* differ in logits by 0\.01"):
        verify_onnx(model, network, Frontend(MEL64)(golden_samples(MEL64))[None])


def test_golden_samples_exercise_every_band_and_repeat() -> None:
    first, second = golden_samples(S1), golden_samples(S1)
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    assert (Frontend(S1)(first).std(axis=2) > 0).all()


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("resnet", {}, "none of mscnn, compact, cnn1, cnn2"),
        ("mscnn", {"depth": 3}, "network mscnn: .*depth"),
        ("compact", {}, "multiple of 16 mel bands, the frontend has 40"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(
    kind: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        build_network(kind, options, shape=S1.shape, classes=4)
