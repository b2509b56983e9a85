"""What an exported network answers beside embedding and logits: frames of S5's segmentation, attention of Soundception."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, ChannelSpec, FrontendSpec, Label
from edge.bundle.heads import Activation, Head, MaxLogit
from edge.bundle.spec import MaxLevel
from edge.engines import load_model
from edge.errors import UserError
from train.export import export_bundle, to_onnx, verify_onnx
from train.networks import build_network
from train.networks.segmentation import Segmentation
from train.networks.soundception import Soundception

SMALL_RESNEXT = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "cardinality": 1, "base_width": 64}
SPECS = {
    "segmentation": FrontendSpec(sample_rate_hz=8000, window_s=1.0, n_fft=256, hop_length=50, n_mels=32, fmax_hz=4000.0,
                                 channels=(ChannelSpec(component="mel", level=MaxLevel()),)),
    "soundception": FrontendSpec(sample_rate_hz=8000, window_s=1.0, n_fft=1024, hop_length=64, n_mels=76, fmax_hz=4000.0,
                                 channels=(ChannelSpec(component="mel", level=MaxLevel()),)),
}  # fmt: skip
OPTIONS: dict[str, dict[str, object]] = {
    "segmentation": {"width": 16, "heads": 4, "size": SMALL_RESNEXT},
    "soundception": {"blocks": [0, 0, 0]},
}
LABELS = ("hummer", "whistler", "peeper")
OUTPUTS = {"segmentation": "frames", "soundception": "attention"}


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(kind, OPTIONS[kind], shape=SPECS[kind].shape, classes=len(LABELS)).eval()


def exported(folder: Any, kind: str, activation: Activation) -> Bundle:
    run = SimpleNamespace(recipe=SimpleNamespace(frontend=SPECS[kind]), network=network(kind), labels=LABELS)
    corpus = SimpleNamespace(labels=[Label(label=label, common_name=label.title()) for label in LABELS], digest="0" * 64)
    head = Head(activation=activation, rule=MaxLogit(), threshold=100.0, scale=1.0)
    return export_bundle(cast(Any, run), head, cast(Any, corpus), path=folder, name=kind, card="# Card\n", metrics={})


@pytest.fixture(scope="module", params=list(OUTPUTS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return exported(tmp_path_factory.mktemp("exported") / request.param, request.param, "sigmoid")


def test_the_bundle_has_the_output_and_its_golden_window_holds_it(bundle: Bundle) -> None:
    name = OUTPUTS[bundle.manifest.name]
    assert bundle.manifest.further == (name,)
    assert (bundle.manifest.frame_threshold, bundle.manifest.attention) == ((0.5, False) if name == "frames" else (None, True))
    load_model(bundle)  # which proves itself
    if name == "attention":
        assert bundle.golden.further[name].sum() == pytest.approx(1, abs=1e-4)
        assert (bundle.golden.further[name] >= 0).all()
    else:
        _, _, count = SPECS["segmentation"].shape
        assert bundle.golden.further[name].shape == (-(-count // 32), len(LABELS))


def test_any_batch_gives_what_one_pass_of_torch_gives(bundle: Bundle) -> None:
    name, twin = OUTPUTS[bundle.manifest.name], network(bundle.manifest.name)
    assert isinstance(twin, Segmentation | Soundception)
    shape = onnx.load(str(bundle.model_path)).graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param
    for batch in (1, 3):
        x = np.random.default_rng(batch).random((batch, *bundle.frontend.shape), np.float32)
        answers = OnnxBackend(bundle.model_path).infer_named(x, ("embedding", "logits", name))
        with torch.no_grad():
            expected = twin.with_further(torch.from_numpy(x))
            for mine, theirs in zip(expected, twin(torch.from_numpy(x)), strict=False):
                assert torch.equal(mine, theirs)
        for got, wanted in zip(answers, expected, strict=True):
            np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


def test_frames_of_a_softmax_head_mean_nothing_and_are_not_told(tmp_path: Any) -> None:
    assert exported(tmp_path / "softmax", "segmentation", "softmax").manifest.further == ()


class Forgetful(nn.Module):
    """Its further output is not the same twice."""

    further = ("frames",)

    def __init__(self) -> None:
        super().__init__()
        self.gain = 0.0

    def with_further(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.gain += 1.0
        mean = x.mean(dim=(1, 3))
        return mean, mean, self.gain * x.mean(dim=1).transpose(1, 2)


def test_a_further_output_that_differs_is_refused() -> None:
    spec, forgetful = SPECS["segmentation"], Forgetful()
    model = to_onnx(forgetful, spec)
    with pytest.raises(UserError, match=r"ONNX Runtime and torch differ in frames by"):
        verify_onnx(model, forgetful, np.ones((2, *spec.shape), np.float32))
