"""How a training is watched: loss and accuracy on the validation recordings after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge.bundle import Frontend
from edge.errors import ConfigError
from train.corpus.corpus import Recording
from train.learning.accuracy import top1_of_logits, top1_of_neighbours
from train.learning.collapse import hardest_loss
from train.learning.losses import binary_focal, cross_entropy_with_other
from train.learning.running import run_batches
from train.networks.spherical import SphericalKMeans
from train.recipe.objectives import (
    CrossEntropySpec,
    DistilSpec,
    FocalSpec,
    KMeansSpec,
    ObjectiveSpec,
    SemihardSpec,
    TripletSpec,
)
from train.recipe.recipe import Recipe
from train.windows.dataset import most_active_window

if TYPE_CHECKING:
    from train.learning.members import MemberTask

__all__ = ["check_watched", "validation_of"]

# Numbers of all windows that are kept in memory, 2 GB; large images are watched on fewer.
MOST_NUMBERS = 500_000_000
Measure = Callable[[nn.Module], dict[str, float]]


def validation_of(task: MemberTask) -> Measure:
    """Return a measure to call after each epoch, over one window of each recording.

    It is cheap, and shows the curve; calibrate and evaluate say what the network is worth.
    `validation_loss` is what the objective lowers. `validation_top1` is by logits, and of networks
    that only embed, whether the nearest other window is of the same species.
    """
    known = [r for r in task.splits.validation if r.role == "known" and r.label in task.labels]
    check_watched(task.recipe, heard=bool(known))
    if not known:
        return lambda network: {}
    known = _at_most(known, size=math.prod(task.recipe.frontend.shape))
    frontend = Frontend(task.recipe.frontend)
    targets = torch.tensor([task.labels.index(r.label) for r in known])
    powers = (most_active_window(task.cache.load(r), task.recipe.frontend) for r in known)
    inputs = np.stack([frontend.levels(power) for power in powers])
    objective, embeds = task.recipe.objective, task.recipe.classifier is not None

    def measure(network: nn.Module) -> dict[str, float]:
        embeddings, logits = (torch.from_numpy(x) for x in run_batches(network, inputs))
        if embeds:
            top1 = top1_of_neighbours(embeddings, targets)
            loss = _loss_of_embeddings(network, inputs, embeddings, targets, objective)
        else:
            shares = functional.one_hot(targets, len(task.labels)).float()
            top1 = top1_of_logits(logits, shares)
            loss = _loss_of_logits(logits, targets, objective)
        numbers = {**top1, "loss": loss}
        return {f"validation_{name}": value for name, value in numbers.items()}

    return measure


def _at_most(recordings: list[Recording], *, size: int) -> list[Recording]:
    """Return recordings evenly through the list, so many that their windows fit into memory."""
    count = min(len(recordings), max(1, MOST_NUMBERS // size))
    chosen = np.linspace(0, len(recordings) - 1, count).round().astype(int)
    return [recordings[i] for i in chosen]


def check_watched(recipe: Recipe, *, heard: bool) -> None:
    """Raise `ConfigError` for a recipe that needs a validation loss where nothing is `heard`."""
    if heard or (recipe.keep == "last" and not recipe.patience):
        return
    key = f"keep {recipe.keep}" if recipe.keep != "last" else f"patience {recipe.patience}"
    raise ConfigError(
        f"{key}: the validation recordings hold no species of the training; choose another "
        "--fold, or keep the last epoch and leave patience out"
    )


def _loss_of_logits(logits: Tensor, targets: Tensor, spec: ObjectiveSpec) -> float:
    """Return the loss that training lowers, of logits (n, K) of windows of `targets` (n,)."""
    match spec:
        case FocalSpec():
            wanted = functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
            return float(binary_focal(logits, wanted, spec.gamma))
        case CrossEntropySpec() if spec.outlier_share == 0:
            return float(functional.cross_entropy(logits, targets))
        case CrossEntropySpec() | DistilSpec():
            classes = functional.one_hot(targets, logits.shape[1] + 1).to(logits.dtype)
            return float(cross_entropy_with_other(logits, classes))
    raise AssertionError(f"{spec.kind} has no logits")


def _loss_of_embeddings(
    network: Any,
    inputs: NDArray[np.float32],
    embeddings: Tensor,
    targets: Tensor,
    spec: ObjectiveSpec,
) -> float:
    """Return the loss of windows that are only embedded (n, D), by the widest margin there is."""
    match spec:
        case TripletSpec():
            return hardest_loss(embeddings, targets, spec.margin_maximum)
        case SemihardSpec():
            return hardest_loss(embeddings, targets, spec.margin)
        case KMeansSpec():
            assert isinstance(network, SphericalKMeans), "the recipe was checked"
            return 1 - network.mean_cosine(torch.from_numpy(inputs))
    raise AssertionError(f"{spec.kind} has logits")
