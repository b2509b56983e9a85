"""Times on a device, and what the device can do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

__all__ = ["WARM_UP", "Ceilings", "Precision", "computing_in", "device_s", "host_s", "measure"]

Precision = Literal["fp32", "TF32", "fp16"]
Run = Callable[[int], object]  # told the how manieth it is, to take another input
WARM_UP = 5
FEWEST, MOST = 3, 400


def device_s(run: Run, device: torch.device, seconds: float, *, warm_up: int = WARM_UP) -> float:
    """Return the median time between the ends of two runs, by the device's own clock.

    They are queued without waiting, as in a stream of work. On the CPU it is `host_s`.
    """
    if device.type == "cpu":
        return host_s(run, device, seconds, warm_up=warm_up)
    count = _count(run, device, seconds, warm_up)
    event: Any = torch.cuda.Event
    ends = [event(enable_timing=True) for _ in range(count + 1)]
    ends[0].record()
    for i in range(count):
        run(i)
        ends[i + 1].record()
    torch.cuda.synchronize()
    return float(np.median([a.elapsed_time(b) for a, b in pairwise(ends)])) / 1000


def host_s(run: Run, device: torch.device, seconds: float, *, warm_up: int = WARM_UP) -> float:
    """Return the median time of a run from its call until its answer is there."""
    times_s = []
    for i in range(_count(run, device, seconds, warm_up)):
        began_s = time.perf_counter()
        run(i)
        _wait(device)
        times_s.append(time.perf_counter() - began_s)
    return float(np.median(times_s))


def _count(run: Run, device: torch.device, seconds: float, warm_up: int) -> int:
    """Warm up, for no longer than the measurement itself, and return how often to run."""
    ends_s, once_s = time.perf_counter() + seconds, seconds
    for i in range(warm_up + 1):
        began_s = time.perf_counter()
        run(i)
        _wait(device)
        once_s = time.perf_counter() - began_s
        if i and time.perf_counter() > ends_s:
            break
    return min(MOST, max(FEWEST, int(seconds / max(once_s, 1e-6))))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Let products and convolutions use TF32 within the block, or keep them from it."""
    way = "tf32" if precision == "TF32" else "ieee"
    backends: Any = torch.backends
    products, convolutions = backends.cuda.matmul, backends.cudnn.conv
    before = products.fp32_precision, convolutions.fp32_precision
    products.fp32_precision = convolutions.fp32_precision = way
    try:
        yield
    finally:
        products.fp32_precision, convolutions.fp32_precision = before


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the device was seen to do: operations a second by precision, and bytes a second."""

    flops: dict[Precision, float]
    bytes_per_s: float


def measure(device: torch.device, *, matrix: int, copied: int, seconds: float) -> Ceilings:
    """Measure a large product of random matrices, and a large copy: bytes read plus written."""
    precisions: tuple[Precision, ...] = ("fp32", "TF32", "fp16") if _is_gpu(device) else ("fp32",)
    flops = {p: 2 * matrix**3 / _product_s(device, matrix, p, seconds) for p in precisions}
    sources = [torch.rand(copied // 4, device=device) for _ in range(2)]
    target = torch.empty_like(sources[0])
    copy_s = device_s(lambda i: target.copy_(sources[i % 2]), device, seconds)
    return Ceilings(flops=flops, bytes_per_s=2 * copied / copy_s)


def _product_s(device: torch.device, edge: int, precision: Precision, seconds: float) -> float:
    kind = torch.float16 if precision == "fp16" else torch.float32
    first, second = (torch.randn(edge, edge, device=device).to(kind) for _ in range(2))
    out = torch.empty_like(first)
    with computing_in(precision):
        return device_s(lambda i: torch.mm(first, second, out=out), device, seconds)


def _is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"
