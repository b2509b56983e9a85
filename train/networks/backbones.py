"""Convolutional trunks from timm, with the weights that were published for them.

A network holds its trunk as a `Backbone`; `load_published` fills every one in it. Weights are
fetched (`train.networks.published`) when a training starts, never when a finished run is read.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edge.errors import SpecError
from train.networks.published import state_in, state_published

__all__ = ["Backbone", "Widen", "import_timm", "load_published", "widen_first_layer"]

log = logging.getLogger(__name__)

Widen = Literal["repeat", "average"]
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library object


def import_timm() -> ModuleType:
    """Import timm where torchvision's compiled part cannot be loaded.

    timm imports torchvision, whose common wheel is linked against CUDA and does not load beside a
    CPU build of torch; its import then fails for two operators (of box detection, which nothing
    here calls) that it describes without having them. Their schemas are enough. Where the compiled
    part loads it brings the operators itself, and they must not be declared twice.
    """
    if not _declared and not _torchvision_loads():
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
    import timm

    module: ModuleType = timm
    return module


def _torchvision_loads() -> bool:
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return False
    try:
        for library in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")


class Backbone(nn.Module):
    """A timm model without its classifier: (B, inputs, F, T) -> feature maps (B, width, F', T').

    `widen` says how published weights of three colours become those of `inputs` channels; `size`
    goes to timm and makes a network that no published weights fit.
    """

    def __init__(
        self, name: str, *, inputs: int, widen: Widen = "repeat", size: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        if widen not in ("repeat", "average"):
            raise SpecError(f"network option widen: '{widen}' is none of repeat, average")
        self.name = name
        self.widen = widen
        self.published_size = not size
        self.model: Any = import_timm().create_model(
            name, in_chans=inputs, num_classes=0, **(size or {})
        )
        self.width: int = self.model.num_features

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.model.forward_features(x)
        return maps


def load_published(network: nn.Module, *, file: Path | None = None) -> None:
    """Give every `Backbone` in `network` its published ImageNet weights, or those in `file`.

    Raises `UserError` when they cannot be had, `SpecError` where none fit.
    """
    backbones = [part for part in network.modules() if isinstance(part, Backbone)]
    if file is not None and not backbones:
        raise SpecError(
            f"{file}: the network has no trunk that could start from it; leave --pretrained out "
            "(network.weights)"
        )
    for backbone in backbones:
        if not backbone.published_size:
            raise SpecError(
                f"network {backbone.name}: the published weights fit its full size only; leave "
                "its size options out, or train without them (--from-scratch, or "
                "network.pretrained: false)"
            )
        import_timm()
        if file is None:
            state = state_published(backbone.name, backbone.model)
        else:
            state = state_in(file, backbone.name, backbone.model)
        own = backbone.model.state_dict()
        # The first convolution sees the channels.
        first = next(name for name, value in own.items() if value.dim() == 4)
        state[first] = widen_first_layer(state[first], own[first].shape[1], backbone.widen)
        backbone.model.load_state_dict({name: state[name] for name in own})
        log.info("%s starts from %s", backbone.name, file or "the published weights")


def widen_first_layer(weight: Tensor, channels: int, how: Widen) -> Tensor:
    """Return weights (O, 3, k, k) of three colours as (O, channels, k, k).

    The colours are repeated in turn, or all channels get their mean. Weights are scaled by 3 /
    channels, so that an input which is the same in all channels gives what it gave before; the
    slides of system S3 are silent on this.
    """
    colours = weight.shape[1]
    if how == "repeat":
        wide = weight[:, torch.arange(channels) % colours]
    else:
        wide = weight.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    scaled: Tensor = wide * (colours / channels)
    return scaled
