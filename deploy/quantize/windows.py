"""Windows to measure a network on, as `edge-train windows` writes them: read, and checked to be
those of the bundle.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import UserError

__all__ = ["KNOWN", "LEFT_OUT", "QUIET", "UNKNOWN", "Split", "Windows", "read_windows"]

FORMAT = 1
# The words for what a window is, as the training side writes them.
KNOWN, UNKNOWN, LEFT_OUT, QUIET = (
    "known species",
    "unknown species",
    "species left out",
    "quiet windows",
)
COLUMNS = ("features", "recording", "species", "kind", "origin")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Every window of a split: features (n, C, F, T) float32, a number per recording (n,), position
    of the species among the labels (n,; -1 is none of them), what the window is (n,) and what its
    recording is (n,), in words.
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


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of recordings trained on (N, C, F, T), to calibrate with, and two splits that
    training never heard.
    """

    calibration: NDArray[np.float32]
    validation: Split
    test: Split


def read_windows(path: Path, bundle: Bundle) -> Windows:
    """Read `path`; `UserError` when it is no such file, or its windows are not those of the
    bundle's own run.
    """
    arrays = _arrays(path)
    try:
        windows = _windows(path, arrays, bundle)
    except KeyError as exc:
        raise UserError(
            f"{path}: {exc.args[0]} is missing; write it with 'edge-train windows'"
        ) from exc
    for name, split in (("validation", windows.validation), ("test", windows.test)):
        if not split.known.any():
            raise UserError(
                f"{path}: no known species is heard in its {name} windows; nothing can be measured "
                "on them"
            )
    return windows


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
            return dict(npz)
    except FileNotFoundError as exc:
        raise UserError(f"{path}: no such file; 'edge-train windows' writes it") from exc
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as exc:
        raise UserError(
            f"{path}: cannot be read as windows ({exc}); write it again with 'edge-train windows'"
        ) from exc


def _windows(path: Path, arrays: dict[str, NDArray[Any]], bundle: Bundle) -> Windows:
    manifest = bundle.manifest
    if int(arrays["format"]) != FORMAT:
        raise UserError(
            f"{path}: format {arrays['format']}, this program reads {FORMAT}; write it again with "
            "'edge-train windows'"
        )
    claims = {
        "labels": (tuple(arrays["labels"].tolist()), tuple(label.label for label in bundle.labels)),
        "front end": (str(arrays["frontend"]), bundle.frontend.digest),
        "training recordings": (str(arrays["training_data"]), manifest.training_data),
    }
    for what, (ours, theirs) in claims.items():
        if ours != theirs:
            raise UserError(
                f"{path}: its {what} are not those of {bundle.path}; write it from the run that "
                "made this bundle"
            )
    splits = {
        name: Split(**{column: arrays[f"{name}_{column}"] for column in COLUMNS})
        for name in ("validation", "test")
    }
    shape = bundle.frontend.shape
    for features in (arrays["train_features"], *(split.features for split in splits.values())):
        if features.shape[1:] != shape or not len(features):
            raise UserError(
                f"{path}: has windows of shape {features.shape}, the bundle takes (n, "
                f"{', '.join(map(str, shape))})"
            )
    return Windows(calibration=arrays["train_features"], **splits)
