"""What a member learns from: its objective, and how it is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from edge.bundle import Frontend
from edge.errors import ConfigError
from train.learning.losses import cross_entropy_with_other
from train.learning.objective import Objective
from train.learning.objectives import build_objective
from train.recipe.objectives import CrossEntropySpec, DistilSpec, FocalSpec
from train.windows.batches import Batches
from train.windows.dataset import TrainingWindows, most_active_window
from train.windows.sampling import Sampling

if TYPE_CHECKING:
    from train.learning.members import MemberTask

__all__ = ["lessons_of", "run_batches"]

# Numbers of input that are run at once: large images fill memory with what is between the layers.
AT_ONCE = 8_000_000


def lessons_of(
    task: MemberTask, device: torch.device
) -> tuple[Objective, Callable[[nn.Module], dict[str, float]]]:
    """Return the objective, and a measure to call after each epoch."""
    recipe = task.recipe
    if isinstance(recipe.objective, DistilSpec):
        from train.learning.distilling.lessons import Lessons

        lessons = Lessons(
            recipe=recipe,
            labels=task.labels,
            splits=task.splits,
            device=device,
            workers=task.threads,
        )
        return lessons.begin()
    windows = TrainingWindows(
        task.splits.train, cache=task.cache, labels=task.labels, sampling=_sampling(task)
    )
    batches = Batches(windows, recipe.augment)
    return build_objective(recipe.objective, batches, device), _validation(task)


def _sampling(task: MemberTask) -> Sampling:
    objective = task.recipe.objective
    secondary = objective.secondary if isinstance(objective, FocalSpec) else 0.0
    return Sampling(crop=task.recipe.crop, secondary=secondary, pseudo=task.pseudo)


def _validation(task: MemberTask) -> Callable[[nn.Module], dict[str, float]]:
    """Return a measure to call after each epoch: top-1 and loss over a window of each recording.

    It is cheap, and shows the curve; calibrate and evaluate say what the network is worth.
    """
    known = [r for r in task.splits.validation if r.role == "known" and r.label in task.labels]
    if task.recipe.keep != "last" and not known:
        raise ConfigError(
            f"keep {task.recipe.keep}: the validation recordings hold no species of the training; "
            "choose another --fold, or keep the last epoch"
        )
    if task.recipe.classifier is not None or not known:
        return lambda network: {}
    frontend = Frontend(task.recipe.frontend)
    targets = np.array([task.labels.index(r.label) for r in known])
    powers = (most_active_window(task.cache.load(r), task.recipe.frontend) for r in known)
    inputs = np.stack([frontend.levels(power) for power in powers])

    objective = task.recipe.objective

    def measure(network: nn.Module) -> dict[str, float]:
        logits = run_batches(network, inputs)[1]
        numbers = {"validation_top1": float((logits.argmax(1) == targets).mean())}
        if isinstance(objective, CrossEntropySpec):
            numbers["validation_loss"] = _loss(logits, targets, objective)
        return numbers

    return measure


def _loss(logits: NDArray[np.float32], targets: NDArray[np.int64], spec: CrossEntropySpec) -> float:
    """Return the cross-entropy that training lowers, of logits (n, classes)."""
    scores, wanted = torch.from_numpy(logits), torch.from_numpy(targets)
    if spec.outlier_share > 0:
        classes = functional.one_hot(wanted, scores.shape[1] + 1).to(scores.dtype)
        return float(cross_entropy_with_other(scores, classes))
    return float(functional.cross_entropy(scores, wanted))


@torch.no_grad()
def run_batches(
    network: nn.Module, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return embedding (n, d) and logits (n, classes) of features (n, channels, bands, frames).

    Puts the network into evaluation mode.
    """
    network.eval()
    device = next(network.parameters()).device
    together = max(1, min(64, AT_ONCE // features[0].size)) if len(features) else 1
    parts = [
        network(chunk.to(device)) for chunk in torch.split(torch.from_numpy(features), together)
    ]
    embedding, logits = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return embedding, logits
