"""The numbers inside the rejection rules of `edge.bundle.heads`, fitted on windows."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import (
    Blend,
    Energy,
    GaussianDensity,
    GaussianTail,
    KnnDistance,
    MaxLogit,
    Rule,
)
from edge.errors import UserError
from train.judging.held_out import PARTS
from train.judging.truth import Truth
from train.windows.outputs import WindowOutputs

__all__ = [
    "AT_ACCEPTANCE",
    "NEIGHBOURS",
    "PAPER",
    "fit_blend",
    "fit_rules",
    "held_out_blend",
    "held_out_gaussians",
]

log = logging.getLogger(__name__)

Array = NDArray[np.float32]

PAPER = "gaussian_density"  # with the paper's own threshold
AT_ACCEPTANCE = "gaussian_density_at_acceptance"  # with one that known windows pass, as the others
NEIGHBOURS = (1, 5, 20)
# Training embeddings kept for the nearest-neighbour rule: 1 MB of a bundle at 128 dimensions.
POINTS = 2000
FEWEST = 3  # validation windows that define a class's own Gaussian
PRIOR = 5.0  # windows that the pooled spread weighs in a class's own, for the one-sided rule


def fit_rules(
    train_truth: Truth,
    train: WindowOutputs,
    truth: Truth,
    validation: WindowOutputs,
    *,
    seed: int,
) -> dict[str, Rule]:
    """Return every rule of any activation but the blend, by the name it has in tables."""
    density, tail = _fit_gaussians(_class_means(train_truth, train), truth, validation, truth.known)
    points = _balanced_points(train_truth, train, np.random.default_rng(seed))
    return {
        PAPER: density,
        AT_ACCEPTANCE: density,
        "gaussian_tail": tail,
        **{f"knn_{k}": KnnDistance(points=points, k=k) for k in NEIGHBOURS},
        "max_logit": MaxLogit(),
        "energy": Energy(),
    }


def held_out_gaussians(
    train_truth: Truth,
    train: WindowOutputs,
    truth: Truth,
    outputs: WindowOutputs,
    groups: NDArray[np.str_],
) -> dict[str, NDArray[np.float64]]:
    """Return the novelty (W,) of each window under Gaussians fitted without its group.

    The keys are the rules' names. The spreads come from the same validation windows that rank the
    rules; in sample they would flatter themselves.
    """
    means, part = _class_means(train_truth, train), _parts(groups, truth)
    density_novelty, tail_novelty = np.zeros(len(outputs)), np.zeros(len(outputs))
    for p in np.unique(part):
        others, mine = truth.known & (part != p), part == p
        if not others.any():
            log.warning(
                "too few groups in validation to judge the Gaussian rules on unseen ones: their "
                "numbers are optimistic"
            )
            others = truth.known
        density, tail = _fit_gaussians(means, truth, outputs, others)
        density_novelty[mine] = density.novelty(outputs.embedding[mine], outputs.logits[mine])
        tail_novelty[mine] = tail.novelty(outputs.embedding[mine], outputs.logits[mine])
    return {
        PAPER: density_novelty,
        AT_ACCEPTANCE: density_novelty,
        "gaussian_tail": tail_novelty,
    }


def _fit_gaussians(
    means: Array, truth: Truth, outputs: WindowOutputs, fitted: NDArray[np.bool_]
) -> tuple[GaussianDensity, GaussianTail]:
    """Return both Gaussian rules, fitted to the known windows `fitted` (W,)."""
    species = truth.species[fitted]
    distance = np.linalg.norm(outputs.embedding[fitted] - means[species], axis=1)
    mu, sigma = _gaussians(distance, species, len(means), prior=0)
    soft_mu, soft_sigma = _gaussians(distance, species, len(means), prior=PRIOR)
    density = GaussianDensity(means=means, mu=mu, sigma=sigma)
    return density, GaussianTail(means=means, mu=soft_mu, sigma=soft_sigma)


def _class_means(truth: Truth, train: WindowOutputs) -> Array:
    """Return the mean training embedding of each class (K, D)."""
    counts = np.bincount(truth.species[truth.known], minlength=len(train.labels))
    if (counts == 0).any():
        raise UserError(
            f"no training window of '{train.labels[int(np.argmin(counts))]}': a rejection rule "
            "needs at least one"
        )
    sums = np.zeros((len(train.labels), train.embedding.shape[1]))
    np.add.at(sums, truth.species[truth.known], train.embedding[truth.known])
    means: Array = (sums / counts[:, None]).astype(np.float32)
    return means


def _gaussians(
    distance: NDArray[np.floating], species: NDArray[np.int64], classes: int, *, prior: float
) -> tuple[Array, Array]:
    """Return mean and deviation (K,) of each class's distances, by maximum likelihood.

    `prior` windows of the pooled ones are mixed in. Classes with fewer than `FEWEST` windows get
    the pooled Gaussian.
    """
    pooled_mu, pooled_sigma = float(distance.mean()), float(distance.std())
    mu, sigma = np.full(classes, pooled_mu), np.full(classes, pooled_sigma)
    for k in range(classes):
        own = distance[species == k]
        if len(own) >= FEWEST:
            weight = len(own) / (len(own) + prior)
            mu[k] = weight * own.mean() + (1 - weight) * pooled_mu
            sigma[k] = np.sqrt(weight * own.var() + (1 - weight) * pooled_sigma**2)
    # Equal embeddings would make a spread of zero and every other window infinitely novel.
    return mu.astype(np.float32), np.maximum(sigma, 1e-3).astype(np.float32)


def _balanced_points(truth: Truth, train: WindowOutputs, rng: np.random.Generator) -> Array:
    """Return at most `POINTS` training embeddings (N, D), at most an equal share per class."""
    each = max(1, POINTS // len(train.labels))
    chosen = []
    for k in range(len(train.labels)):
        own = np.flatnonzero(truth.species == k)
        chosen.append(np.sort(rng.permutation(own)[:each]))
    points: Array = train.embedding[np.concatenate(chosen)]
    return points


def fit_blend(members: Mapping[str, Rule], truth: Truth, outputs: WindowOutputs) -> Blend:
    """Return the weights of the members' novelties that best tell knowns from outliers.

    The standardisation is folded into them.
    """
    novelty, usable = _member_novelty(members, outputs), truth.known | truth.unknown | truth.noise
    weights, _ = _logistic(novelty[usable], ~truth.known[usable], _balance(truth)[usable])
    return Blend(weights=weights.astype(np.float32), rules=tuple(members.values()))


def held_out_blend(
    members: Mapping[str, Rule], truth: Truth, outputs: WindowOutputs, groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Return the novelty (W,) of each window under weights fitted without its group.

    An honest number for a rule that is fitted on outliers.
    """
    novelty = _member_novelty(members, outputs)
    usable = truth.known | truth.unknown | truth.noise
    weight = _balance(truth)
    part = _parts(groups, truth)
    result = np.zeros(len(outputs))
    for p in np.unique(part):
        fitted = usable & (part != p)
        outlier = ~truth.known[fitted]
        if outlier.all() or not outlier.any():
            log.warning(
                "too few groups in validation to judge the blend on unseen ones: its number is "
                "optimistic"
            )
            fitted, outlier = usable, ~truth.known[usable]
        coefficients, intercept = _logistic(novelty[fitted], outlier, weight[fitted])
        result[part == p] = novelty[part == p] @ coefficients + intercept
    return result


def _parts(groups: NDArray[np.str_], truth: Truth) -> NDArray[np.int64]:
    """Deal groups to `PARTS` parts (W,), kind by kind, so that each has knowns and outliers."""
    part = np.zeros(len(groups), np.int64)
    names, first = np.unique(groups, return_index=True)
    order = np.lexsort((names, truth.kind[first]))
    dealt = {str(names[j]): i % PARTS for i, j in enumerate(order)}
    part[:] = [dealt[str(g)] for g in groups]
    return part


def _member_novelty(members: Mapping[str, Rule], outputs: WindowOutputs) -> NDArray[np.float64]:
    """Return the novelties (W, M) of every member."""
    novelties = [r.novelty(outputs.embedding, outputs.logits) for r in members.values()]
    return np.stack([np.asarray(novelty, np.float64) for novelty in novelties], axis=1)


def _balance(truth: Truth) -> NDArray[np.float64]:
    """Return the weight (W,) of each window: knowns half in all, outliers the other half.

    Unknown species have half of the outliers' half, and the kinds of noise share the rest evenly.
    """
    noises = np.unique(truth.kind[truth.noise])
    weight = np.zeros(len(truth.kind))
    for mask, total in [
        (truth.known, 2.0),
        (truth.unknown, 1.0),
        *((truth.kind == kind, 1 / len(noises)) for kind in noises),
    ]:
        weight[mask] = total / max(1, mask.sum())
    scaled: NDArray[np.float64] = weight * len(weight) / max(weight.sum(), 1e-12)
    return scaled


def _logistic(
    novelty: NDArray[np.float64], outlier: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return coefficients (M,) >= 0 on raw novelties, and the intercept.

    A member with a negative weight would call windows *less* novel for looking odd to it: it is
    left out, and the rest refitted.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    mean, spread = novelty.mean(0), np.maximum(novelty.std(0), 1e-9)
    standard = (novelty - mean) / spread
    kept = np.arange(novelty.shape[1])
    while True:
        model = LogisticRegression(C=1.0, max_iter=1000).fit(
            standard[:, kept], outlier, sample_weight=weight
        )
        weights = model.coef_[0]
        if len(kept) == 1 or (weights >= 0).all():
            break
        kept = np.delete(kept, np.argmin(weights))
    coefficients = np.zeros(novelty.shape[1])
    coefficients[kept] = np.maximum(weights, 1e-6) / spread[kept]
    return coefficients, float(model.intercept_[0] - coefficients @ mean)
