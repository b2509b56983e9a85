"""The golden window of a bundle: one window of samples, and what each of its networks must
answer.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.manifest import Manifest, Variant
from edge.errors import BundleError

__all__ = ["Golden", "NewVariant", "load_arrays", "read_golden", "write_golden"]

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One window with its expected outputs: samples (n,), embedding (D,), logits (K,); outputs may
    differ by `tolerance`.

    `extra_outputs` are those of `Manifest.extra_outputs`: frames (T, K), attention (F', T'). A
    bundle of format 3 may lack its frames.
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
    """A variant to be written: its graph, and its outputs of the golden window, as in `Golden`."""

    variant: Variant
    model: bytes
    embedding: Array
    logits: Array
    tolerance: float
    extra_outputs: Mapping[str, Array] = field(default_factory=dict)


def write_golden(file: Path, golden: Golden | NewVariant, **samples: Array) -> None:
    """Write the outputs, and `samples` where it is the window's own file."""
    outputs = {
        "embedding": golden.embedding,
        "logits": golden.logits,
        "tolerance": np.float64(golden.tolerance),
    }
    np.savez_compressed(file, **samples, **outputs, **golden.extra_outputs)  # type: ignore[arg-type]


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz; `BundleError` names it where it is none."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as exc:
        raise BundleError(
            f"{file}: is not a file of named arrays ({exc}); export the bundle again"
        ) from exc


def read_golden(file: Path, known: Mapping[str, Array], manifest: Manifest) -> Golden:
    """The inverse of `write_golden`; `known` are arrays from elsewhere. `BundleError` names what is
    missing or misshapen.
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
        raise BundleError(f"{file}: array {exc} is missing; export the bundle again") from exc
    for name, expected in golden.extra_outputs.items():
        if expected.ndim != 2 or (name == "frames" and expected.shape[1] != len(manifest.labels)):
            raise BundleError(
                f"{file}: {name} has shape {expected.shape}, which cannot be; export the bundle "
                "again"
            )
    return golden
