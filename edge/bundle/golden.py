"""The golden window of a bundle, and the outputs that each of its networks must give for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.arrays import NotArraysError, small_arrays
from edge.bundle.manifest import Manifest, Variant
from edge.errors import BundleError, shown

__all__ = [
    "EXPORT_AGAIN",
    "LARGEST_BYTES",
    "Golden",
    "NewVariant",
    "arrays_of",
    "golden_of",
    "write_golden",
]

Array = NDArray[np.float32]
EXPORT_AGAIN = "export the bundle again"
# Of the arrays of one file; ours have half a megabyte with samples, and a few kB without.
LARGEST_BYTES = 64_000_000
LARGEST_VARIANT_BYTES = 8_000_000
MOST_DIMENSIONS = 16_384  # of an embedding
MOST_TOLERANCE = 100.0  # logits are that large; a test that allows more is none


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One window with its expected outputs: samples (n,), embedding (D,), logits (K,).

    A network's outputs may differ from these by `tolerance`. `extra_outputs` are those of
    `Manifest.extra_outputs`: frames (T, K), attention (F', T'), time_attention (T',). A bundle of
    format 3 may lack its frames.
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


def arrays_of(
    file: Path, content: bytes, *, most_bytes: int = LARGEST_BYTES
) -> dict[str, NDArray[Any]]:
    """Return the arrays in the `content` of `file`; raises `BundleError`, which names the file."""
    try:
        return small_arrays(content, most_bytes=most_bytes)
    except NotArraysError as exc:
        raise BundleError(
            f"{file}: is not a file of named arrays ({exc})", suggestion=EXPORT_AGAIN
        ) from exc


def golden_of(file: Path, content: bytes, known: Mapping[str, Array], manifest: Manifest) -> Golden:
    """Return what `write_golden` wrote; `known` are arrays that another file holds.

    Raises `BundleError`, which names an array that is missing, too much, misshapen or not finite.
    """
    most_bytes = LARGEST_VARIANT_BYTES if known else LARGEST_BYTES
    arrays = arrays_of(file, content, most_bytes=most_bytes)
    wanted = _wanted(manifest, known)
    strange = sorted(arrays.keys() - wanted)
    if strange:
        raise _faulty(file, f"array {shown(strange[0])} belongs to no network of this bundle")
    for name, array in arrays.items():
        # So that NaN is refused, too.
        if array.dtype.kind != "f" or not (np.abs(array) < np.finfo(np.float32).max).all():
            raise _faulty(file, f"array {shown(name)} is not of finite numbers")
    arrays |= known
    missing = [n for n in wanted if n not in arrays and n != "frames"]
    if missing:
        raise _faulty(file, f"array '{missing[0]}' is missing")
    _check_shapes(file, arrays, manifest)
    return Golden(
        samples=arrays["samples"],
        embedding=arrays["embedding"],
        logits=arrays["logits"],
        tolerance=float(arrays["tolerance"]),
        extra_outputs={name: arrays[name] for name in manifest.extra_outputs if name in arrays},
    )


def _wanted(manifest: Manifest, known: Mapping[str, Array]) -> dict[str, None]:
    """Return the names of the arrays of one file, in their order."""
    names = ("samples", "embedding", "logits", "tolerance", *manifest.extra_outputs)
    return dict.fromkeys(name for name in names if name not in known)


def _check_shapes(file: Path, arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> None:
    labels = len(manifest.labels)
    axes = {
        **{"tolerance": 0, "samples": 1, "embedding": 1, "logits": 1},
        **{"frames": 2, "attention": 2, "time_attention": 1},
    }
    for name, array in arrays.items():
        frames_fit = name != "frames" or array.shape[1:] == (labels,)
        if array.ndim != axes[name] or not frames_fit:
            raise _faulty(file, f"{name} has shape {array.shape}, which cannot be right")
    if len(arrays["embedding"]) > MOST_DIMENSIONS:
        raise _faulty(file, f"embedding has more than {MOST_DIMENSIONS} dimensions")
    if not 0 < arrays["tolerance"] <= MOST_TOLERANCE:
        raise _faulty(file, f"tolerance {arrays['tolerance']:g} is not in 0..{MOST_TOLERANCE:g}")


def _faulty(file: Path, reason: str) -> BundleError:
    return BundleError(f"{file}: {reason}", suggestion=EXPORT_AGAIN)
