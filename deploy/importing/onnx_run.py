"""An ONNX graph in memory, run once or twice to see what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnx import onnxruntime_library
from edge.errors import BundleError, one_line

__all__ = ["Answers", "Session"]

Answers = dict[str, NDArray[Any]]
MOST_WORDS = 300  # characters of what ONNX Runtime says


class Session:
    """The graph `content` that was made of `file`; raises `BundleError`, which names the file."""

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        onnxruntime = onnxruntime_library()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it says is raised, too
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # ONNX Runtime's exceptions share no base class of their own
            raise BundleError(f"{file}: ONNX Runtime cannot load it ({_said(exc)})") from exc

    def __call__(self, features: NDArray[np.float32]) -> Answers:
        """Return the outputs by name; raises `BundleError` where there is no answer."""
        names = [output.name for output in self._session.get_outputs()]
        try:
            results = self._session.run(names, {self._session.get_inputs()[0].name: features})
        except Exception as exc:
            raise BundleError(f"{self._file}: ONNX Runtime cannot run it ({_said(exc)})") from exc
        return {
            name: result
            for name, result in zip(names, results, strict=True)
            if isinstance(result, np.ndarray)
        }


def _said(exc: Exception) -> str:
    return one_line(str(exc))[:MOST_WORDS] or type(exc).__name__
