"""The network of a bundle from a part of another graph, proved to take any number of windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from deploy.importing.onnx_file import content_for_a_bundle
from deploy.importing.onnx_graph import OLD, finished, with_free_batch
from deploy.importing.onnx_parts import Head
from deploy.importing.onnx_run import Answers, Session
from edge.bundle.golden import MOST_DIMENSIONS
from edge.errors import BundleError

__all__ = ["SAME", "answers_of", "network_of"]

Array = NDArray[np.float32]
# Of the largest value: how far the answers to two windows at once may be from those to each.
SAME = 1e-3


def answers_of(file: Path, part: onnx.ModelProto, windows: Array) -> Answers:
    """Return what a part of the graph gives, under the names that it has in the file."""
    answers = Session(file, content_for_a_bundle(file, part))(windows)
    return {name.removeprefix(OLD): array for name, array in answers.items()}


def network_of(
    file: Path, part: onnx.ModelProto, head: Head, windows: Array, *, logarithms: bool
) -> tuple[bytes, Answers]:
    """Return the graph of the bundle, proved on two windows, and what it gives for the first.

    `windows` are as many as the part was made for.
    """
    answers = answers_of(file, part, windows)
    columns = {name: _columns(file, name, answers[name]) for name in (head.embedding, head.logits)}
    if columns[head.embedding] > MOST_DIMENSIONS:
        raise BundleError(f"{file}: {head.embedding} has too many columns for an embedding")
    reasons = []
    for candidate in (part, with_free_batch(part, len(windows))):
        whole = finished(
            candidate,
            embedding=(head.embedding, columns[head.embedding]),
            logits=(head.logits, columns[head.logits]),
            logarithms=logarithms,
        )
        content = content_for_a_bundle(file, whole)
        try:
            return content, _proved(file, content, windows[:1])
        except BundleError as exc:
            reasons.append(exc.fault.reason.removeprefix(f"{file}: "))
    raise BundleError(
        f"{file}: does not take any number of windows at a time ({reasons[0]})",
        suggestion="export it again with a dynamic batch",
    )


def _columns(file: Path, name: str, array: NDArray[np.generic]) -> int:
    if array.dtype != np.float32 or array.ndim != 2:
        raise BundleError(
            f"{file}: {name} is of {array.dtype} with shape {array.shape}, not rows of float32"
        )
    if not np.isfinite(array).all():
        raise BundleError(f"{file}: {name} is NaN or infinite for the sound that it is tested with")
    return int(array.shape[1])


def _proved(file: Path, content: bytes, window: Array) -> Answers:
    """Return what the graph gives for a window; raises `BundleError` if two are not as each."""
    session = Session(file, content)
    other = window[..., ::-1].copy()
    alone, beside, both = session(window), session(other), session(np.concatenate([window, other]))
    for name, array in both.items():
        single = np.concatenate([alone[name], beside[name]])
        largest = float(np.abs(single).max())
        if array.shape != single.shape or not np.abs(array - single).max() <= SAME * largest:
            raise BundleError(f"{file}: two windows at once give other {name} than each by itself")
    return alone
