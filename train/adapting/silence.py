"""Windows in which a trunk hears nothing: it says of them what it says of silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from train.windows.listening import Listener

__all__ = ["silent"]

ALIKE = 0.999  # cosine of two embeddings


def silent(embedding: NDArray[np.float32], trunk: Bundle) -> NDArray[np.bool_]:
    """Return which windows (W,), of which these are the embeddings (W, D), are as silence."""
    nothing = np.zeros(trunk.frontend.window_samples, np.float32)
    listener = Listener(trunk.path, trunk.frontend.window_s)
    of_silence = listener.answers(nothing, np.zeros(1, np.int64))[0][0]
    product = embedding @ of_silence
    lengths = np.linalg.norm(embedding, axis=1) * np.linalg.norm(of_silence)
    result: NDArray[np.bool_] = product >= ALIKE * lengths
    return result
