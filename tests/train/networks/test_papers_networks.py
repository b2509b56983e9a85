"""The networks of systems S2 to S5: sizes beside the papers', gradients, weights and ONNX."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge.errors import SpecError, UserError
from tests.train.graphs import graph_of
from tests.train.tiny_networks import NETWORKS, S2, S3, S4, S5, Shape, tiny_network
from train.export.export import OPSET, verify_onnx
from train.networks import build_network
from train.networks.backbones import Backbone, import_timm, load_published, widen_first_layer
from train.networks.segmentation import Segmentation, log_mean_exp
from train.networks.soundception import Soundception

EXPORTED = {
    "cnn1",
    "mobilenet",
    "soundception",
    "resnest50",
    "segmentation",
}  # in test_systems, as whole systems


def parameters(kind: str, shape: Shape, classes: int | None) -> int:
    return sum(
        p.numel() for p in build_network(kind, {}, shape=shape, classes=classes).parameters()
    )


@pytest.mark.parametrize(
    ("kind", "shape", "classes", "count"),
    [
        ("cnn1", S2, None, 773_312),
        ("cnn2", S2, None, 1_429_504),
        ("mobilenet", S3, 6, 279_270),  # the whole MobileNetV2 has 3.5 million
        ("resnet18", S3, 6, 11_201_542),
        ("resnest50", S5, 397, 26_247_117),
        ("segmentation", S5, 397, 29_473_357),
        ("soundception", S4, 1500, 45_228_506),  # Inception-v4 without its classifier: 41,142,816
    ],
)
def test_the_full_networks_have_the_parameters_of_our_reading(
    kind: str, shape: Shape, classes: int | None, count: int
) -> None:
    assert parameters(kind, shape, classes) == count, (
        "the papers state none; the readings are in the networks' files"
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_are_unit_vectors_and_gradients_reach_every_weight(name: str) -> None:
    network, shape = tiny_network(name)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        # residual blocks start at nothing: their first step moves the last norm only
        nn.init.ones_(norm.weight)
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    embedding, *logits = network.train()(x)
    assert embedding.norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    targets = torch.arange(3)
    loss = (
        sum(nn.functional.cross_entropy(part, targets) for part in logits)
        + (embedding[0] - embedding[1]).square().sum()
    )
    torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
    still = [
        key
        for key, value in network.named_parameters()
        if value.grad is None or not value.grad.abs().sum() > 0
    ]
    assert still == []


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - EXPORTED))
def test_torch_equals_onnx_for_any_batch(name: str) -> None:
    network, shape = tiny_network(name)
    model = graph_of(network, shape)
    assert {o.domain: o.version for o in onnx.load_from_string(model).opset_import}[""] == OPSET
    # one that only embeds gives its embedding before normalisation
    width = 128 if name == "cnn2" else 5
    for batch in (1, 3):
        x = np.random.default_rng(batch).random((batch, *shape), dtype=np.float32)
        answers = verify_onnx(model, network, x)
        assert tuple(answers) == ("embedding", "logits", *getattr(network, "extra_outputs", ()))
        embedding, logits = answers["embedding"], answers["logits"]
        assert logits.shape == (batch, width)
        assert np.linalg.norm(embedding, axis=1) == pytest.approx(np.ones(batch), abs=1e-5)


def test_soundception_takes_any_length_and_its_attention_adds_up() -> None:
    network, (channels, bands, frames) = tiny_network("soundception")
    assert isinstance(network, Soundception)
    network.eval()
    for length in (frames, 2 * frames + 7):
        embedding, logits = network(torch.randn(2, channels, bands, length))
        assert (embedding.shape, logits.shape) == ((2, 1536), (2, 5))
    attention = network.attention(torch.randn(2, 1536, 3, 9))
    assert attention.shape == (2, 1, 3, 9)
    assert attention.sum(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])


def test_segmentation_gives_a_sequence_whose_soft_maximum_is_its_verdict() -> None:
    network, (channels, bands, _) = tiny_network("segmentation")
    assert isinstance(network, Segmentation)
    x = torch.randn(2, channels, bands, 320)
    frames = network.eval().frame_logits(x)
    assert frames.shape == (2, 10, 5), "a step is 32 frames"
    _, logits = network(x)
    assert ((frames.mean(dim=1) <= logits) & (logits <= frames.amax(dim=1))).all()
    _, logits, minimum = network.train()(x)
    assert (minimum <= logits).all()


def test_log_mean_exp_is_a_soft_maximum_and_a_soft_minimum() -> None:
    x = torch.tensor([[0.0, 1.0, 4.0]])
    assert float(log_mean_exp(x, 50)) == pytest.approx(4, abs=0.05)
    assert float(log_mean_exp(x, -50)) == pytest.approx(0, abs=0.05)
    assert log_mean_exp(torch.full((1, 7), 2.5), 5).tolist() == pytest.approx([2.5])
    assert float(log_mean_exp(x, 5)) == pytest.approx(
        math.log((1 + math.exp(5) + math.exp(20)) / 3) / 5, abs=1e-5
    )


def test_soundception_in_training_also_says_what_its_auxiliary_branch_thinks() -> None:
    network, shape = tiny_network("soundception")
    assert [part.shape[1] for part in network.train()(torch.randn(2, *shape))] == [1536, 5, 5]
    assert [part.shape[1] for part in network.eval()(torch.randn(2, *shape))] == [1536, 5]


def test_a_first_layer_is_widened_as_the_slides_say() -> None:
    colours = torch.randn(4, 3, 7, 7)
    repeated, averaged = (widen_first_layer(colours, 10, how) for how in ("repeat", "average"))
    assert torch.equal(repeated[:, 3], repeated[:, 0])
    assert torch.equal(repeated[:, 1], colours[:, 1] * 0.3)
    assert torch.allclose(averaged[:, 9], colours.mean(dim=1) * 0.3)
    grey = torch.randn(1, 1, 20, 20)
    before = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), colours)
    after = nn.functional.conv2d(grey.expand(-1, 10, -1, -1), averaged)
    assert torch.allclose(before, after, atol=1e-3), (
        "an input equal in all channels gives what it gave"
    )


@pytest.fixture
def weights_of_resnet18(tmp_path: Path) -> Path:
    """The library's cache as a download leaves it, with weights of our own."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    repository = tmp_path / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(import_timm().create_model("resnet18").state_dict(), snapshot / "model.safetensors")
    return tmp_path


START = """
from train.networks import build_network
from train.networks.backbones import load_published
network = build_network("resnet18", {"widen": "average"}, shape=(10, 64, 64), classes=6)
load_published(network)
model = network.trunk.model
print(model.conv1.weight.sum().item(), model.layer4[1].conv2.weight.sum().item())
"""


def start(cache: Path) -> subprocess.CompletedProcess[str]:
    # an address that answers nobody, whatever net this machine has
    environment = {
        **os.environ,
        "HF_HUB_CACHE": str(cache),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "0",
    }
    return subprocess.run(
        [sys.executable, "-c", START],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def test_published_weights_fill_the_trunk_with_its_first_layer_widened(
    weights_of_resnet18: Path,
) -> None:
    torch.manual_seed(5)
    published = import_timm().create_model("resnet18")
    done = start(weights_of_resnet18)
    assert done.returncode == 0, done.stderr
    first, last = map(float, done.stdout.split())
    assert first == pytest.approx(published.conv1.weight.sum().item(), abs=1e-2)
    assert last == pytest.approx(published.layer4[1].conv2.weight.sum().item(), abs=1e-2)


def test_without_a_net_the_missing_weights_are_one_line_at_once(tmp_path: Path) -> None:
    done = start(tmp_path)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "network resnet18: its published weights are neither in" in line
    assert "--from-scratch" in line
    assert "Retry" not in done.stderr, (
        "the library by itself tries for most of a minute, and says so"
    )


def test_published_weights_do_not_fit_a_smaller_network() -> None:
    with pytest.raises(
        SpecError, match=r"published weights fit its full size only.*--from-scratch"
    ):
        load_published(tiny_network("resnet18")[0])
    with pytest.raises(UserError, match="full size only"):
        load_published(tiny_network("soundception")[0])


@pytest.mark.parametrize(
    ("kind", "options", "shape", "classes", "reason"),
    [
        ("cnn1", {}, S2, 4, "network cnn1 only embeds: add a classifier section"),
        ("resnet18", {}, S3, None, "network resnet18 has logits of its own"),
        ("resnet18", {"widen": "stretch"}, S3, 4, "widen: 'stretch' is none of repeat, average"),
        ("mobilenet", {"rows": 3}, S3, 4, "network mobilenet: .*rows"),
        ("segmentation", {}, (1, 40, 216), 4, "multiple of 32 mel bands, the frontend has 40"),
        (
            "soundception",
            {},
            (3, 64, 997),
            4,
            "at least 75 bands and frames, the frontend has 64 and 997",
        ),
        ("soundception", {"blocks": [1, 2]}, S4, 4, "blocks must be three numbers up to"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(
    kind: str, options: dict[str, object], shape: Shape, classes: int | None, reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        build_network(kind, options, shape=shape, classes=classes)


def test_the_trunks_of_the_papers_are_what_timm_has() -> None:
    assert Backbone("resnet18", inputs=3).width == 512
    assert Backbone("inception_v4", inputs=3).width == 1536
