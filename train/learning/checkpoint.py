"""Files of a training that survive a kill: weights and states, and the curve."""

from __future__ import annotations

import csv
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge.errors import UserError, one_line
from edge.files import replacing, write_whole

__all__ = [
    "CHECKPOINT",
    "load_torch",
    "load_trained",
    "read_history",
    "save_torch",
    "write_history",
]

CHECKPOINT = "checkpoint.pt"
# What torch raises for bytes that are cut, flipped or of another program.
DAMAGE = (
    *(OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError),
    *(AttributeError, AssertionError, pickle.UnpicklingError),
)


def save_torch(file: Path, state: Any) -> None:
    """Write `state` whole or not at all, through to the disk; raises OSError.

    torch's own writer hides a full disk behind a RuntimeError.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(file, buffer.getvalue(), durable=True)


def load_torch(file: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return what `save_torch` wrote, tensors and plain values only; raises `UserError`."""
    try:
        with warnings.catch_warnings():
            # torch warns of damage, too, and asks for reports of it.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            state = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except DAMAGE as exc:
        why = (one_line(str(exc)) or type(exc).__name__)[:200]
        raise UserError(f"{file}: cannot be read ({why}); delete it and train again") from exc
    if not isinstance(state, dict):
        raise UserError(f"{file}: holds no weights; delete it and train again")
    return state


def load_trained(network: nn.Module, *, folder: Path) -> nn.Module:
    """Give `network` the weights that a finished training in `folder` would return."""
    state = load_torch(folder / CHECKPOINT)
    network.load_state_dict((state.get("kept") or {}).get("network", state["average"]))
    return network.eval()


def write_history(file: Path, rows: list[dict[str, float]]) -> None:
    """Write the numbers of every epoch as CSV; raises OSError."""
    with replacing(file) as staged, staged.open("w", newline="", encoding="utf-8") as stream:
        names = dict.fromkeys(name for row in (rows[-1], *rows) for name in row)
        writer = csv.DictWriter(stream, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(rows)


def read_history(file: Path) -> list[dict[str, float]]:
    """Return what `write_history` wrote: of each epoch the numbers that it has."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]
