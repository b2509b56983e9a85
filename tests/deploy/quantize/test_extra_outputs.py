"""Frames and attention of the papers' networks: as they are exported, and in 8 bits."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from torch import Tensor, nn

from deploy.cli import main
from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, ChannelSpec, FrontendSpec, Label, load_bundle
from edge.bundle.heads import Activation, Head, MaxLogit
from edge.bundle.spec import MaxLevel
from edge.bundle.windows import KNOWN, UNKNOWN, Split, Windows, write
from edge.detect.engines import load_model
from edge.errors import UserError
from train.export.export import export_bundle, extra_outputs_of, verify_onnx
from train.judging.calibration import Calibration
from train.networks import build_network
from train.networks.segmentation import Segmentation
from train.networks.soundception import Soundception

SMALL_RESNEXT = {
    "layers": [1, 1, 1, 1],
    "channels": [8, 8, 16, 16],
    "cardinality": 1,
    "base_width": 64,
}
MEL = (ChannelSpec(component="mel", level=MaxLevel()),)
SPECS = {
    "segmentation": FrontendSpec(
        sample_rate_hz=8000,
        window_s=1.0,
        n_fft=256,
        hop_length=50,
        n_mels=32,
        fmax_hz=4000.0,
        channels=MEL,
    ),
    "soundception": FrontendSpec(
        sample_rate_hz=8000,
        window_s=1.0,
        n_fft=1024,
        hop_length=64,
        n_mels=76,
        fmax_hz=4000.0,
        channels=MEL,
    ),
}
OPTIONS: dict[str, dict[str, object]] = {
    "segmentation": {"width": 16, "heads": 4, "size": SMALL_RESNEXT},
    "soundception": {"blocks": [0, 0, 0]},
}
LABELS = ("hummer", "whistler", "peeper")
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "softmax", "softmax_other")
OUTPUTS = {"segmentation": ("frames",), "soundception": ("attention", "time_attention")}


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return build_network(kind, OPTIONS[kind], shape=SPECS[kind].shape, classes=len(LABELS)).eval()


def exported(folder: Path, kind: str, activation: Activation) -> Bundle:
    run = SimpleNamespace(
        recipe=SimpleNamespace(heard=SPECS[kind], objective=None),
        network=network(kind),
        labels=LABELS,
    )
    corpus = SimpleNamespace(
        labels=[Label(label=label, common_name=label.title()) for label in LABELS], digest="0" * 64
    )
    head = Head(activation=activation, rule=MaxLogit(), threshold=5.0, scale=1.0)
    chosen = Calibration(
        labels=LABELS,
        activation=activation,
        acceptance=0.95,
        chosen="max_logit",
        heads={"max_logit": head},
        table=[],
    )
    parts: tuple[Any, ...] = (run, chosen, corpus)
    return export_bundle(*parts, path=folder, name=kind, card="# Card\n", metrics={})


@pytest.fixture(scope="module", params=list(OUTPUTS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return exported(tmp_path_factory.mktemp("exported") / request.param, request.param, "sigmoid")


def test_the_bundle_has_the_output_and_its_golden_window_holds_it(bundle: Bundle) -> None:
    names = OUTPUTS[bundle.manifest.name]
    assert bundle.manifest.extra_outputs == names
    name = names[0]
    assert (bundle.manifest.frame_threshold, bundle.manifest.attention) == (
        (0.5, False) if name == "frames" else (None, True)
    )
    load_model(bundle)  # it checks the golden window
    if name == "attention":
        assert bundle.golden.extra_outputs[name].sum() == pytest.approx(1, abs=1e-4)
        assert (bundle.golden.extra_outputs[name] >= 0).all()
        in_time = bundle.golden.extra_outputs["time_attention"]
        assert ((in_time > 0) & (in_time < 1)).all()
    else:
        _, _, count = SPECS["segmentation"].shape
        assert bundle.golden.extra_outputs[name].shape == (-(-count // 32), len(LABELS))


def test_any_batch_gives_what_one_pass_of_torch_gives(bundle: Bundle) -> None:
    names, twin = OUTPUTS[bundle.manifest.name], network(bundle.manifest.name)
    assert isinstance(twin, Segmentation | Soundception)
    shape = onnx.load(str(bundle.model_path)).graph.input[0].type.tensor_type.shape
    assert shape.dim[0].dim_param
    for batch in (1, 3):
        x = np.random.default_rng(batch).random((batch, *bundle.frontend.shape), np.float32)
        answers = OnnxBackend(bundle.model_path).infer_named(x, ("embedding", "logits", *names))
        with torch.no_grad():
            expected = twin.with_extra_outputs(torch.from_numpy(x))
            for mine, theirs in zip(expected, twin(torch.from_numpy(x)), strict=False):
                assert torch.equal(mine, theirs)
        for got, wanted in zip(answers, expected, strict=True):
            np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


def test_frames_mean_something_where_all_labels_can_be_absent() -> None:
    heads = [Head(activation=a, rule=MaxLogit(), threshold=1.0, scale=1.0) for a in ACTIVATIONS]
    assert [extra_outputs_of(network("segmentation"), head) for head in heads] == [
        ("frames",),
        (),
        ("frames",),
    ]
    assert [extra_outputs_of(nn.Identity(), head) for head in heads] == [(), (), ()]


class Off(nn.Module):
    """The same network with another extra output."""

    def __init__(self, inner: nn.Module, extra_outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.inner, self.extra_outputs = inner, extra_outputs

    def with_extra_outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        assert isinstance(self.inner, Segmentation | Soundception)
        embedding, logits, *extra_outputs = self.inner.with_extra_outputs(x)
        return embedding, logits, *(output + 0.01 for output in extra_outputs)


def test_a_further_output_that_differs_is_refused(bundle: Bundle) -> None:
    names = OUTPUTS[bundle.manifest.name]
    off, x = (
        Off(network(bundle.manifest.name), names),
        np.ones((2, *bundle.frontend.shape), np.float32),
    )
    with pytest.raises(UserError, match=rf"ONNX Runtime and torch differ in {names[0]} by 0.01"):
        verify_onnx(bundle.model_path.read_bytes(), off, x)


def windows_file(path: Path, bundle: Bundle) -> Path:
    """Write windows as `edge-train windows` does: a pattern in noise for each sort of sound."""
    rng = np.random.default_rng(0)
    patterns = rng.random((5, *bundle.frontend.shape), np.float32)

    def windows(of: NDArray[np.int64]) -> NDArray[np.float32]:
        mixed: NDArray[np.float32] = 0.8 * patterns[of] + 0.2 * rng.random(
            (len(of), *bundle.frontend.shape), np.float32
        )
        return mixed

    of = np.repeat(np.arange(5), 4)
    kind = np.array([KNOWN] * 3 + [UNKNOWN, "noise: hiss"])[of]

    def split() -> Split:
        return Split(
            features=windows(of),
            recording=np.arange(len(of)),
            species=np.where(of < 3, of, -1),
            kind=kind,
            origin=kind,
        )

    file = Windows(
        frontend=bundle.frontend.digest,
        training_data=bundle.manifest.training_data,
        labels=LABELS,
        calibration=windows(of),
        validation=split(),
        test=split(),
    )
    write(path, file)
    return path


def quantize(bundle: Path, windows: Path, *arguments: str) -> Result:
    command = [
        "quantize",
        str(bundle),
        "--windows",
        str(windows),
        "--precision",
        "int8",
        "--for",
        "onnx",
        *arguments,
    ]
    return CliRunner().invoke(main, command)


def test_eight_bits_keep_what_the_network_answers_further(bundle: Bundle, tmp_path: Path) -> None:
    name = OUTPUTS[bundle.manifest.name][0]
    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    windows = windows_file(tmp_path / "windows.npz", bundle)
    result = quantize(copy, windows)
    if result.exit_code:  # an untrained network may well lose too much, which is said in one line
        assert (result.exit_code, type(result.exception)) == (2, SystemExit)
        assert result.stderr.splitlines()[-1].startswith("edge-deploy: refused: int8-cpu: ")
        result = quantize(copy, windows, "--allow-loss")
    assert result.exit_code == 0, result.output
    variant = load_bundle(copy).networks["int8-cpu"]
    # Loading has checked the golden window, this output included.
    assert load_model(load_bundle(copy)).engine.variant == "int8-cpu"
    ours, fp32 = variant.golden.extra_outputs[name], bundle.golden.extra_outputs[name]
    np.testing.assert_allclose(ours, fp32, atol=0.2 * np.abs(fp32).max())
    assert name == "frames" or ours.sum() == pytest.approx(1, abs=1e-4)
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(str(variant.path)).graph.node}
