"""ONNX Runtime, on the CPU or on an NVIDIA GPU by its CUDA provider.

On the CPU it is the reference engine, and the only one that the base install needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.backends.base import OUTPUTS
from edge.bundle.local import BEFORE
from edge.errors import BackendError, BundleError, one_line
from edge.types import Array

__all__ = ["OnnxBackend", "cuda_provider_missing", "onnxruntime_library"]

NO_MORE: Mapping[str, Array] = {}
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# Equal input gives equal output, fp32 stays fp32, and memory is taken as it is needed.
CUDA_OPTIONS = {
    "use_tf32": "0",
    "cudnn_conv_algo_search": "DEFAULT",
    "arena_extend_strategy": "kSameAsRequested",
}


class OnnxBackend:
    """The graph at `model_path`, run on `threads` CPU threads or, by `provider` cuda, on the GPU.

    One thread leaves a recorder's other work its cores. Raises `BundleError` for a graph that
    cannot be loaded, and `BackendError` where `cuda` would run on the CPU after all.
    """

    def __init__(
        self, model_path: Path | str, *, threads: int = 1, provider: Literal["cpu", "cuda"] = "cpu"
    ) -> None:
        if provider == "cuda" and (reason := cuda_provider_missing()) is not None:
            raise BackendError(reason)
        self._session = _session(model_path, threads, on_gpu=provider == "cuda")
        # ONNX Runtime reports this on standard error only, and goes on.
        if provider == "cuda" and CUDA not in self._session.get_providers():
            raise BackendError(
                "ONNX Runtime has fallen back to the CPU: are the CUDA and cuDNN libraries those "
                "it was made for?"
            )
        outputs = {output.name for output in self._session.get_outputs()}
        if not {"embedding", "logits"} <= outputs:
            raise BundleError(
                f"{model_path}: its outputs are {', '.join(sorted(outputs))}, not embedding and "
                "logits",
                suggestion="export the bundle again",
            )
        inputs = self._session.get_inputs()
        if [given.type for given in inputs] != ["tensor(float)"]:
            raise BundleError(
                f"{model_path}: its inputs are {', '.join(i.type for i in inputs) or 'none'}, not "
                "one of float32",
                suggestion="export the bundle again",
            )
        self._input = inputs[0].name

    def infer(self, features: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        embedding, logits = self._run(list(OUTPUTS), features)
        return embedding, logits

    def infer_named(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """See `NamedBackend.infer_named`."""
        return tuple(self._run(list(names), features))

    def infer_after(
        self, features: Array, before: Array, names: Sequence[str]
    ) -> tuple[Array, ...]:
        """See `edge.detect.streamed.FollowingBackend`."""
        return tuple(self._run(list(names), features, {BEFORE: before}))

    def _run(
        self, outputs: list[str], features: Array, also: Mapping[str, Array] = NO_MORE
    ) -> list[Array]:
        try:
            results: list[Array] = self._session.run(outputs, {self._input: features, **also})
        except Exception as exc:  # ONNX Runtime's exceptions share no base class of their own
            raise BackendError(f"ONNX Runtime: {_first_line(exc)}") from exc
        for name, result in zip(outputs, results, strict=True):
            if not _is_a_row_for_each(features, result):
                raise BackendError(f"{name} is not of float32 numbers, a row for each window")
        return results


def cuda_provider_missing() -> str | None:
    """Return why this ONNX Runtime has no CUDA provider, or None; one may still fail to work."""
    if CUDA in onnxruntime_library().get_available_providers():
        return None
    return (
        "this ONNX Runtime was built without CUDA; onnxruntime-gpu, in place of onnxruntime, has it"
    )


def _session(model_path: Path | str, threads: int, *, on_gpu: bool) -> Any:
    onnxruntime = onnxruntime_library()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # warnings about the graph concern its exporter
    # The arena never gives memory back; a window at a time needs little, and the daemon runs for
    # years.
    options.enable_cpu_mem_arena = False
    providers: list[Any] = [(CUDA, CUDA_OPTIONS), CPU] if on_gpu else [CPU]
    try:
        return onnxruntime.InferenceSession(str(model_path), options, providers=providers)
    except Exception as exc:  # ONNX Runtime's exceptions share no base class of their own
        reason = _first_line(exc)
        if on_gpu:
            raise BackendError(
                f"ONNX Runtime cannot load {model_path} on the GPU ({reason})"
            ) from exc
        raise BundleError(
            f"{model_path}: ONNX Runtime cannot load it ({reason})",
            suggestion="export the bundle again",
        ) from exc


def onnxruntime_library() -> Any:
    """Return the module `onnxruntime`, which tells nobody that it is used."""
    # ONNX Runtime reports its use to its maker over the network unless this is set before it is
    # loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # late: it takes longer than the command line may take to start

    return onnxruntime


def _is_a_row_for_each(features: Array, result: object) -> bool:
    # A graph may also give text, sequences and maps.
    return (
        isinstance(result, np.ndarray)
        and result.dtype == np.float32
        and result.ndim >= 2
        and len(result) == len(features)
    )


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return one_line(lines[0])[:300] if lines else type(exc).__name__
