"""What a network says of many windows: what training, calibration and evaluation exchange."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.arrays import read_arrays
from edge.errors import UserError
from edge.files import replacing

__all__ = ["COLUMNS", "HOP_S", "WindowOutputs"]

HOP_S = 2.5  # from one window of a recording to the next

COLUMNS = ("recording", "start_s", "active", "embedding", "logits")


@dataclass(frozen=True, kw_only=True)
class WindowOutputs:
    """W windows of a corpus.

    It holds the position of their recording in `Corpus.recordings` (W,), start in it in seconds
    (W,), whether something is heard in them (W,) bool, embedding (W, D) and logits (W, K) float32
    in the order of `labels`. A window that is not active is taken as nothing, not as the species
    its file is labelled with.
    """

    recording: NDArray[np.int64]
    start_s: NDArray[np.float64]
    active: NDArray[np.bool_]
    embedding: NDArray[np.float32]
    logits: NDArray[np.float32]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if (
            len(set(lengths.values())) != 1
            or self.embedding.ndim != 2
            or self.logits.shape[1:] != (len(self.labels),)
        ):
            raise ValueError(
                f"outputs do not fit together: {lengths}, logits {self.logits.shape}, "
                f"{len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.recording)

    def select(self, mask: NDArray[Any]) -> WindowOutputs:
        """Return the windows of a boolean mask (W,) or of positions."""
        return dataclasses.replace(self, **{name: getattr(self, name)[mask] for name in COLUMNS})

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all; raises OSError."""
        arrays = {name: getattr(self, name) for name in COLUMNS}
        with replacing(Path(path)) as staged, staged.open("wb") as file:
            np.savez_compressed(file, labels=np.array(self.labels, dtype=np.str_), **arrays)

    @staticmethod
    def load(path: Path) -> WindowOutputs:
        """Read what `save` wrote; raises `UserError`."""
        try:
            arrays = read_arrays(Path(path))
            columns = {name: arrays[name] for name in COLUMNS}
            return WindowOutputs(**columns, labels=tuple(str(label) for label in arrays["labels"]))
        except FileNotFoundError as exc:
            raise UserError(f"{path}: no such file; 'edge-train fit' writes it") from exc
        except (ValueError, TypeError, KeyError) as exc:
            raise UserError(f"{path}: cannot be read as window outputs ({exc})") from exc
