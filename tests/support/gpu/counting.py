"""What a network has to do: its arithmetic, and the bytes that its layers read and write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from tests.support.gpu.timing import Ceilings, Precision

__all__ = ["Work", "flops_of", "work_of"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Operations and bytes of fp32 values, a window and a batch.

    Each layer by itself: all that it reads and all that it writes. An engine that fuses layers
    moves less.
    """

    flops: float
    window_bytes: float
    batch_bytes: float

    def floor_s(self, batch: int, ceilings: Ceilings, precision: Precision) -> tuple[float, str]:
        """Return the least time that a batch takes on the device, and what sets it."""
        smaller = 0.5 if precision == "fp16" else 1.0
        moved = smaller * (self.window_bytes * batch + self.batch_bytes)
        limits = {
            "arithmetic": self.flops * batch / ceilings.flops[precision],
            "memory": moved / ceilings.bytes_per_s,
        }
        name = max(limits, key=lambda limit: limits[limit])
        return limits[name], name


@torch.no_grad()
def work_of(network: nn.Module, windows: Tensor) -> Work:
    """Count the work of `network` on two windows (2, channels, bands, frames)."""
    flops = flops_of(lambda: network(windows[:1]))
    one, two = (_bytes_of(network, windows[:count]) for count in (1, 2))
    return Work(flops=flops, window_bytes=two - one, batch_bytes=2 * one - two)


def flops_of(run: Callable[[], object]) -> int:
    """Return the operations of products and convolutions in `run`; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def _bytes_of(network: nn.Module, windows: Tensor) -> int:
    with _Traffic() as traffic:
        network(windows)
    return int(traffic.bytes)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what every operation reads and writes; a view does neither."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        places = {tensor.untyped_storage().data_ptr() for tensor in given}
        is_view = any(tensor.untyped_storage().data_ptr() in places for tensor in made)
        if func._schema.is_mutable or not is_view:
            self.bytes += sum(t.numel() * t.element_size() for t in (*given, *made))
        return out
