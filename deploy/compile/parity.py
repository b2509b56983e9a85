"""The proof of an engine: its answers to the golden window beside the bundle's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.cuda import Gpu
from edge.backends.enginecache import Machine
from edge.backends.tensorrt import TensorRtBackend
from edge.bundle import Bundle, Network

__all__ = ["disparity", "parity_of"]

TIMED_RUNS = 20
Arrays = Mapping[str, NDArray[np.float32]]


def parity_of(
    plan: bytes, bundle: Bundle, network: Network, *, gpu: Gpu, machine: Machine
) -> dict[str, Any]:
    """Return the report `parity.json` on an engine; `passed` says whether it may be used.

    It passes when every output is within the network's tolerance. Raises `EngineError` when the
    plan cannot be run.
    """
    backend, golden = TensorRtBackend(plan, gpu=gpu), network.golden
    features = bundle.new_frontend()(golden.samples)[np.newaxis]
    expected = golden.expected
    answers = dict(zip(expected, backend.infer_named(features, tuple(expected)), strict=True))
    again = backend.infer_named(features, tuple(expected))
    largest = _largest_difference(answers, expected)
    return {
        "bundle": bundle.digest,
        "network": network.name,
        "machine": dataclasses.asdict(machine),
        "largest_difference": largest,
        "tolerance": golden.tolerance,
        "repeats_itself": all(map(np.array_equal, again, answers.values())),
        "same_best_label": bool(
            largest is not None
            and int(np.argmax(answers["logits"])) == int(np.argmax(golden.logits))
        ),
        "median_ms": round(1000 * _median_s(backend, features), 3),
        "passed": largest is not None and largest <= golden.tolerance,  # so that NaN fails too
    }


def disparity(parity: Mapping[str, Any], aside: Path | None) -> str:
    """Return why an engine did not pass, and where it is kept, in one line."""
    kept = f"; it is kept in {aside}" if aside is not None else ""
    if parity["largest_difference"] is None:
        return f"its answers have another shape than the bundle's, and it is not used{kept}"
    off, tolerance = parity["largest_difference"], parity["tolerance"]
    return (
        f"on the golden window it differs by {off:.3g}, more than its tolerance "
        f"{tolerance:.3g}, and is not used{kept}"
    )


def _largest_difference(answers: Arrays, expected: Arrays) -> float | None:
    """Return the largest difference in any output, or None where a shape differs.

    `answers` have one axis more, of a single window.
    """
    if any(answer.shape[1:] != expected[name].shape for name, answer in answers.items()):
        return None
    # By numpy's own maximum, which a NaN passes through.
    return float(
        np.max([np.abs(answer[0] - expected[name]).max() for name, answer in answers.items()])
    )


def _median_s(backend: TensorRtBackend, features: NDArray[np.float32]) -> float:
    """Return the median time of one inference."""
    times_s = []
    for _ in range(TIMED_RUNS):
        began_s = time.perf_counter()
        backend.infer(features)
        times_s.append(time.perf_counter() - began_s)
    return float(np.median(times_s))
