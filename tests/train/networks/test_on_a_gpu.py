"""The networks on a GPU answer as their ONNX graphs do on the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from tests.support.gpu.timing import computing_in
from tests.train.graphs import graph_of
from tests.train.tiny_networks import NETWORKS, tiny_network

TOLERANCE = (
    1e-4  # of fp32: with TF32 convolutions, which PyTorch allows, it is a hundred times that
)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_on_a_gpu_equals_onnx_on_the_cpu(name: str) -> None:
    network, shape = tiny_network(name)
    session = onnxruntime.InferenceSession(
        graph_of(network, shape), providers=["CPUExecutionProvider"]
    )
    windows = np.random.default_rng(0).random((3, *shape), np.float32)
    expected = session.run(["embedding", "logits"], {"features": windows})
    with torch.no_grad(), computing_in("fp32"):
        answers = network.cuda().eval()(torch.from_numpy(windows).cuda())
    for ours, theirs in zip(answers, expected, strict=True):
        off = np.linalg.norm(ours.cpu().numpy() - theirs) / np.linalg.norm(theirs)
        assert off <= TOLERANCE
