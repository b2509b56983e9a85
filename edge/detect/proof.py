"""Whether a network gives an answer, and here the one that it gave where it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import BackendError, BundleError
from edge.types import Array

__all__ = ["are_finite", "not_finite", "refuse_another_answer", "refuse_what_is_not_finite"]


def refuse_another_answer(
    path: Path, name: str, expected: Array, got: Array, tolerance: float
) -> None:
    """Raise `BundleError` where an output for the golden window is not the one to be expected."""
    if got.shape != expected.shape:
        shapes = f"{name} has shape {got.shape}, the golden window expects {expected.shape}"
        raise BundleError(f"{path}: {shapes}")
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:  # so that NaN fails too
        raise BundleError(
            f"{path}: on the golden window {name} differs by {difference:.3g}, more than "
            f"its tolerance {tolerance:.3g}; this machine would not give the "
            "detections the model was tested for"
        )


def refuse_what_is_not_finite(part: str, *outputs: Array) -> None:
    """Raise `BackendError` where an output of the `part` has NaN or infinity."""
    if not are_finite(*outputs):
        raise not_finite(part)


def not_finite(part: str) -> BackendError:
    """Return what to raise where the `part` has given no number."""
    return BackendError(f"{part} returned NaN or infinity")


def are_finite(*outputs: Array) -> bool:
    """Return whether no output has NaN or infinity."""
    # The extremes are NaN where any number is, and are found faster than it is asked of each.
    extremes = [extreme for output in outputs if output.size for extreme in _extremes(output)]
    return bool(np.isfinite(extremes).all())


def _extremes(output: Array) -> tuple[np.float32, np.float32]:
    return output.min(), output.max()
