"""ONNX Runtime on the CPU: the reference engine, and the only one the base install needs."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import BackendError, BundleError
from edge.types import Array

__all__ = ["OnnxBackend"]


class OnnxBackend:
    """The graph at `model_path` on `threads` CPU threads; one thread, so that a recorder's other work keeps its cores."""

    def __init__(self, model_path: Path | str, *, threads: int = 1) -> None:
        # ONNX Runtime reports its use to its maker over the network unless it is told not to before it is loaded.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # here, because it takes longer to import than the command line may take to start

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # warnings about the graph are for whoever exported it
        # The arena never gives memory back; a window at a time needs little, and the daemon runs for years.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime's exceptions share no base class of their own
            raise BundleError(f"{model_path}: ONNX Runtime cannot load it ({_first_line(exc)}); export the bundle again") from exc
        outputs = {output.name for output in self._session.get_outputs()}
        if not {"embedding", "logits"} <= outputs:
            raise BundleError(f"{model_path}: its outputs are {', '.join(sorted(outputs))}, not embedding and logits")
        self._input = self._session.get_inputs()[0].name

    def infer(self, features: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        embedding, logits = self._run(["embedding", "logits"], features)
        return embedding, logits

    def infer_frames(self, features: Array) -> tuple[Array, Array, Array]:
        """See `FrameBackend.infer_frames`."""
        embedding, logits, frames = self._run(["embedding", "logits", "frames"], features)
        return embedding, logits, frames

    def _run(self, outputs: list[str], features: Array) -> list[Array]:
        try:
            results: list[Array] = self._session.run(outputs, {self._input: features})
        except Exception as exc:  # as above
            raise BackendError(f"ONNX Runtime: {_first_line(exc)}") from exc
        return results


def _first_line(exc: Exception) -> str:
    return str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
