"""A logistic regression whose log odds have the scale of windows that were held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fit"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
PARTS = 5
SCALE = 10.0  # inverse penalty of the scale


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Weights (F,) and bias of log odds; for each window the `score` (W,) by weights that were
    fitted without its group, and their `loss`.
    """

    weights: Floats
    bias: float
    score: Floats
    loss: float

    @staticmethod
    def of(
        x: Floats, animal: Mask, weight: Floats, groups: NDArray[np.str_], penalty: float
    ) -> Fit:
        """Fit windows (W, F); the scale of the log odds is that of windows that were held out."""
        weights, bias = _logistic(x, animal, weight, penalty)
        held_out = np.zeros(len(x))
        part = _parts(animal, groups)
        for p in np.unique(part):
            rest, mine = part != p, part == p
            if animal[rest].all() or not animal[rest].any():
                held_out[mine] = x[mine] @ weights + bias
                continue
            w, b = _logistic(x[rest], animal[rest], weight[rest], penalty)
            held_out[mine] = x[mine] @ w + b
        (slope,), offset = _logistic(held_out[:, None], animal, weight, SCALE)
        slope = max(float(slope), 1e-3)
        score = 1 / (1 + np.exp(-(slope * held_out + offset)))
        right = np.clip(np.where(animal, score, 1 - score), 1e-9, 1)
        return Fit(
            weights=slope * weights,
            bias=slope * bias + offset,
            score=score,
            loss=float(-(weight * np.log(right)).sum() / weight.sum()),
        )


def _parts(animal: Mask, groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """Deal groups to `PARTS` parts (W,), so that each has animals and others."""
    names, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    dealt = np.zeros(len(names), np.int64)
    dealt[np.lexsort((names, animal[first]))] = np.arange(len(names)) % PARTS
    result: NDArray[np.int64] = dealt[inverse]
    return result


def _logistic(x: Floats, animal: Mask, weight: Floats, penalty: float) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression  # slow to import

    model = LogisticRegression(C=penalty, max_iter=2000).fit(x, animal, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])
