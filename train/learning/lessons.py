"""What a member learns from: its objective, and how it is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from train.learning.objective import Objective
from train.learning.objectives import build_objective
from train.learning.watching import validation_of
from train.recipe.objectives import DistilSpec, FocalSpec
from train.windows.batches import Batches
from train.windows.dataset import TrainingWindows
from train.windows.sampling import Sampling

if TYPE_CHECKING:
    from train.learning.members import MemberTask

__all__ = ["lessons_of"]


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
    return build_objective(recipe.objective, batches, device), validation_of(task)


def _sampling(task: MemberTask) -> Sampling:
    objective = task.recipe.objective
    secondary = objective.secondary if isinstance(objective, FocalSpec) else 0.0
    return Sampling(
        crop=task.recipe.crop,
        secondary=secondary,
        pseudo=task.pseudo,
        dilation=task.recipe.augment.dilation,
    )
