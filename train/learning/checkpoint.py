"""Files of a training that survive a kill: weights and states, and the curve."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge.files import replacing, write_whole

__all__ = ["CHECKPOINT", "load_trained", "save_torch", "write_history"]

CHECKPOINT = "checkpoint.pt"


def save_torch(file: Path, state: Any) -> None:
    """Write `state` whole or not at all, through to the disk; raises OSError.

    torch's own writer hides a full disk behind a RuntimeError.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(file, buffer.getvalue(), durable=True)


def load_trained(network: nn.Module, *, folder: Path) -> nn.Module:
    """Give `network` the weights that a finished training in `folder` would return."""
    state = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    network.load_state_dict(state["average"])
    return network.eval()


def write_history(file: Path, rows: list[dict[str, float]]) -> None:
    """Write the numbers of every epoch as CSV; raises OSError."""
    with replacing(file) as staged, staged.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
