"""The golden window of a bundle, and the outputs that each of its networks must give for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.arrays import NotArraysError, read_arrays
from edge.bundle.manifest import Manifest, Variant
from edge.errors import BundleError

__all__ = ["EXPORT_AGAIN", "Golden", "NewVariant", "load_arrays", "read_golden", "write_golden"]

Array = NDArray[np.float32]
EXPORT_AGAIN = "export the bundle again"
LARGEST_BYTES = 256_000_000  # of the arrays of one file; ours have a few


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One window with its expected outputs: samples (n,), embedding (D,), logits (K,).

    A network's outputs may differ from these by `tolerance`. `extra_outputs` are those of
    `Manifest.extra_outputs`: frames (T, K), attention (F', T'). A bundle of format 3 may lack its
    frames.
    """

    samples: Array
    embedding: Array
    logits: Array
    tolerance: float
    extra_outputs: Mapping[str, Array] = field(default_factory=dict)

    @property
    def expected(self) -> dict[str, Array]:
        """All outputs by name."""
        return {"embedding": self.embedding, "logits": self.logits, **self.extra_outputs}


@dataclass(frozen=True, kw_only=True)
class NewVariant:
    """A variant to be written: its graph, and its outputs for the golden window as in `Golden`."""

    variant: Variant
    model: bytes
    embedding: Array
    logits: Array
    tolerance: float
    extra_outputs: Mapping[str, Array] = field(default_factory=dict)


def write_golden(file: Path, golden: Golden | NewVariant, **samples: Array) -> None:
    """Write the outputs to `file`, with the window's `samples` where they belong into it."""
    arrays: dict[str, Any] = {
        **samples,
        "embedding": golden.embedding,
        "logits": golden.logits,
        "tolerance": np.float64(golden.tolerance),
        **golden.extra_outputs,
    }
    np.savez_compressed(file, **arrays)


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of an .npz; raises `BundleError`, which names a file that is not one."""
    try:
        return read_arrays(file, most_bytes=LARGEST_BYTES)
    except (FileNotFoundError, NotArraysError) as exc:
        raise BundleError(
            f"{file}: is not a file of named arrays ({exc})", suggestion=EXPORT_AGAIN
        ) from exc


def read_golden(file: Path, known: Mapping[str, Array], manifest: Manifest) -> Golden:
    """Read what `write_golden` wrote; `known` are arrays that another file holds.

    Raises `BundleError`, which names an array that is missing or misshapen.
    """
    arrays = {**load_arrays(file), **known}
    try:
        golden = Golden(
            samples=arrays["samples"],
            embedding=arrays["embedding"],
            logits=arrays["logits"],
            tolerance=float(arrays["tolerance"]),
            extra_outputs={
                name: arrays[name]
                for name in manifest.extra_outputs
                if name in arrays or name != "frames"
            },
        )
    except KeyError as exc:
        raise BundleError(f"{file}: array {exc} is missing", suggestion=EXPORT_AGAIN) from exc
    _check_shapes(file, golden, manifest)
    return golden


def _check_shapes(file: Path, golden: Golden, manifest: Manifest) -> None:
    for name, expected in golden.extra_outputs.items():
        if expected.ndim != 2 or (name == "frames" and expected.shape[1] != len(manifest.labels)):
            raise BundleError(
                f"{file}: {name} has shape {expected.shape}, which cannot be right",
                suggestion=EXPORT_AGAIN,
            )
