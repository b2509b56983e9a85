"""Real windows in one file, on which a bundle's network is measured without the training code.

`edge-train windows` writes it and `edge-deploy quantize` reads it. It is one .npz, uncompressed:

format                    1
frontend                  digest of the spec that the features were made with
training_data             digest of the recordings trained on
labels                    (K,) in the order of the network's logits
train_features            windows of recordings trained on, one of each
validation_*, test_*      every window of these splits, in the columns of `Split`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.arrays import NotArraysError, read_arrays
from edge.errors import UserError, one_line
from edge.files import replacing

__all__ = [
    "BACKGROUND",
    "FORMAT",
    "KNOWN",
    "LEFT_OUT",
    "QUIET",
    "UNKNOWN",
    "Split",
    "Windows",
    "read",
    "write",
]

FORMAT = 1

# What a window is, in words. Every other word, such as "noise: rain", is a kind of noise.
KNOWN = "known species"
UNKNOWN = "unknown species"
BACKGROUND = "background"
# A species of the corpus that the network was not trained to name: an outlier, but one that
# training may have used.
LEFT_OUT = "species left out"
# A window of an animal's recording in which nothing stands out: neither the species nor an outlier.
QUIET = "quiet windows"

FEATURES = (4, np.float32)
COLUMNS: Mapping[str, tuple[int, type[np.generic]]] = {  # dimensions and type of each
    "features": FEATURES,
    "recording": (1, np.integer),
    "species": (1, np.integer),
    "kind": (1, np.str_),
    "origin": (1, np.str_),
}
AGAIN = "write it again with 'edge-train windows'"


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Every window of a split, n of them.

    features   (n, C, F, T) float32, as the network takes them: channels, mel bands, frames
    recording  (n,) a number for each recording
    species    (n,) position among the labels, -1 where no known species is heard
    kind       (n,) what the window is, in words
    origin     (n,) what its recording is, in words; differs from `kind` in quiet windows
    """

    features: NDArray[np.float32]
    recording: NDArray[np.int64]
    species: NDArray[np.int64]
    kind: NDArray[np.str_]
    origin: NDArray[np.str_]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Windows (n,) in which a known species is heard."""
        known: NDArray[np.bool_] = self.kind == KNOWN
        return known


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Windows to calibrate with (N, C, F, T) float32, and two splits that training did not use.

    `frontend` and `training_data` are digests, which a bundle names, too; `labels` are in the order
    of its logits.
    """

    frontend: str
    training_data: str
    labels: tuple[str, ...]
    calibration: NDArray[np.float32]
    validation: Split
    test: Split


def write(path: Path, windows: Windows) -> None:
    """Replace the file at `path`, whole; raises `UserError` when it cannot be written."""
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "frontend": np.array(windows.frontend),
        "training_data": np.array(windows.training_data),
        "labels": np.array(windows.labels, np.str_),
        "train_features": windows.calibration,
    }
    for name, split in (("validation", windows.validation), ("test", windows.test)):
        arrays |= {f"{name}_{column}": getattr(split, column) for column in COLUMNS}
    try:
        with replacing(path) as staged, staged.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as exc:
        raise UserError(f"{path}: cannot be written ({exc.strerror or exc})") from exc


def read(path: Path) -> Windows:
    """Return the windows in the file at `path`.

    Raises `UserError`, in one line, when the file is missing, damaged, another file altogether, of
    another format, or has an array of the wrong shape.
    """
    arrays = _arrays(path)
    try:
        _refuse_other_format(path, arrays["format"])
        return Windows(
            frontend=str(arrays["frontend"]),
            training_data=str(arrays["training_data"]),
            labels=tuple(arrays["labels"].tolist()),
            calibration=_checked(path, "train_features", arrays["train_features"], FEATURES),
            validation=_split(path, arrays, "validation"),
            test=_split(path, arrays, "test"),
        )
    except KeyError as exc:
        raise UserError(f"{path}: {exc.args[0]} is missing; {AGAIN}") from exc


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_arrays(path)
    except FileNotFoundError as exc:
        raise UserError(f"{path}: no such file; 'edge-train windows' writes it") from exc
    except NotArraysError as exc:
        raise UserError(f"{path}: cannot be read as windows ({exc}); {AGAIN}") from exc


def _refuse_other_format(path: Path, written: NDArray[Any]) -> None:
    if written.shape != () or written != FORMAT:
        shown = one_line(str(written))
        raise UserError(f"{path}: format {shown}, this program reads {FORMAT}; {AGAIN}")


def _split(path: Path, arrays: Mapping[str, NDArray[Any]], name: str) -> Split:
    columns = {
        column: _checked(path, f"{name}_{column}", arrays[f"{name}_{column}"], expected)
        for column, expected in COLUMNS.items()
    }
    if len({len(column) for column in columns.values()}) != 1:
        lengths = ", ".join(f"{column} {len(values)}" for column, values in columns.items())
        raise UserError(
            f"{path}: the columns of {name} have different lengths ({lengths}); {AGAIN}"
        )
    return Split(**columns)


def _checked(
    path: Path, name: str, array: NDArray[Any], expected: tuple[int, type[np.generic]]
) -> NDArray[Any]:
    """Return `array`, which has the expected number of dimensions and type."""
    dimensions, kind = expected
    if array.ndim != dimensions or not np.issubdtype(array.dtype, kind):
        raise UserError(
            f"{path}: {name} is an array of {array.dtype} with shape {array.shape}, not one of "
            f"{kind.__name__} with {dimensions} dimensions; {AGAIN}"
        )
    return array
