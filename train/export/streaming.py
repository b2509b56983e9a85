"""A network of local frames as ONNX: one graph for whole windows and for what follows known frames.

Its input `before` has a default of no frames, so that who gives `features` alone gets what there is
of a window (`edge.bundle.local`).
"""

from __future__ import annotations

import warnings
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from edge.bundle.local import BEFORE, LOCAL, LocalFrames
from edge.bundle.spec import FrontendSpec

__all__ = ["local_frames_of", "streaming_proto"]

KNOWN = 3  # frames in the example that the exporter follows; any number does


class _Following(nn.Module):
    """Takes features and the frames before them; gives all outputs, and the frames."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, ...]:
        new = self.network.local_frames(x)
        local = torch.cat([before.expand(x.shape[0], -1, -1), new], dim=2)
        return (*self.network.of_local_frames(local), local)


def local_frames_of(network: nn.Module) -> LocalFrames | None:
    """Return the local frames of a network, None of one that has none."""
    sharing: LocalFrames | None = getattr(network, "sharing", None)
    return sharing


def streaming_proto(network: nn.Module, spec: FrontendSpec, *, opset: int) -> onnx.ModelProto:
    """Return the graph; raises what the exporter does."""
    following = _Following(network).eval()
    example = torch.zeros(2, *spec.shape)
    with torch.no_grad():
        width = following.network.local_frames(example).shape[1]
    dim, local = torch.export.Dim, local_frames_of(network)
    assert local is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            following,
            (example, torch.zeros(1, width, KNOWN)),
            input_names=["features", BEFORE],
            output_names=["embedding", "logits", "frames", LOCAL],
            dynamic_shapes=(
                {0: dim("batch", min=1), 3: dim("time", min=local.span)},
                {2: dim("known", min=0)},
            ),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    proto.graph.initializer.append(helper.make_tensor(BEFORE, TensorProto.FLOAT, [1, width, 0], []))
    return proto
