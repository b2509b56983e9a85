"""Windows to measure a network on, checked to be those of the bundle that it is in."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import Bundle
from edge.bundle.windows import Windows, read
from edge.errors import UserError

__all__ = ["read_windows"]


def read_windows(path: Path, bundle: Bundle) -> Windows:
    """Return the windows in the file at `path`.

    Raises `UserError` when it cannot be read, when it was not written from the run that made the
    bundle, or when nothing can be measured on its windows.
    """
    windows = read(path)
    _refuse_another_run(path, windows, bundle)
    _refuse_other_shapes(path, windows, bundle.frontend.shape)
    for name, split in (("validation", windows.validation), ("test", windows.test)):
        if not split.known.any():
            raise UserError(
                f"{path}: no known species is heard in its {name} windows; nothing can be measured "
                "on them"
            )
    return windows


def _refuse_another_run(path: Path, windows: Windows, bundle: Bundle) -> None:
    labels = tuple(label.label for label in bundle.labels)
    claims = {
        "labels": (windows.labels, labels),
        "front end": (windows.frontend, bundle.frontend.digest),
        "training recordings": (windows.training_data, bundle.manifest.training_data),
    }
    for what, (ours, theirs) in claims.items():
        if ours != theirs:
            raise UserError(
                f"{path}: its {what} are not those of {bundle.path}; write it from the run that "
                "made this bundle"
            )


def _refuse_other_shapes(path: Path, windows: Windows, shape: tuple[int, ...]) -> None:
    for features in (windows.calibration, windows.validation.features, windows.test.features):
        if features.shape[1:] != shape or not len(features):
            raise UserError(
                f"{path}: has windows of shape {features.shape}, the bundle takes (n, "
                f"{', '.join(map(str, shape))})"
            )
