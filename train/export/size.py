"""How much a network computes, and how long that takes here."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["machine", "multiply_adds", "onnx_ms", "parameters"]

CALLS = 10  # measured as one


def parameters(network: nn.Module) -> int:
    """Return how many numbers the network has learnt or would learn."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of convolutions and matrix products for one window.

    A window has the `shape` (channels, n_mels, frames).
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, *shape))
    return int(counter.get_total_flops() // 2)


def onnx_ms(model: Path, features: NDArray[np.float32], *, runs: int) -> float:
    """Return the CPU milliseconds of ONNX Runtime with one thread for features (B, C, F, T).

    It is the median of `runs`, of ten calls each.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    outputs = ["embedding", "logits"]
    times = []
    session.run(outputs, {"features": features})  # the first call sets up
    for _ in range(runs):
        started = time.process_time()
        for _ in range(CALLS):
            session.run(outputs, {"features": features})
        times.append(time.process_time() - started)
    return 1000 * statistics.median(times) / CALLS


def machine() -> str:
    """Return what this is measured on, e.g. '2 cores of Intel(R) Xeon(R) Processor (x86_64)'."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    named = re.search(r"^(?:model name|Model)\s*: (.+)$", text, re.MULTILINE)
    processor = named[1] if named else platform.processor()
    return f"{os.cpu_count()} cores of {processor} ({platform.machine()})"
