"""What moves the weights: an optimiser by name, its groups of parameters, and the schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from train.networks.backbones import Backbone, import_timm
from train.recipe.recipe import Recipe

__all__ = ["learning_rate", "optimiser_of"]

LEAST_RATE = 0.005  # of the full one, at the end of the cosine schedule


def optimiser_of(recipe: Recipe, network: nn.Module) -> Any:
    """Return the recipe's optimiser of the network's parameters, a `torch.optim.Optimizer`.

    Each of its groups says how many `times` the learning rate it has, unless that is once.
    """
    return OPTIMISERS[recipe.optimiser](
        _groups(network, recipe.head_rate),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )


def learning_rate(recipe: Recipe, full: float, *, step: int) -> float:
    """Return the rate of an iteration, `full` at most."""
    if recipe.schedule == "constant":
        return full
    warm = min(1.0, (step + 1) / recipe.warm_up_steps) if recipe.warm_up_steps else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return full * warm * max(LEAST_RATE, cosine)


def _ranger(groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> Any:
    """Return rectified Adam (Liu et al. 2020) with look-ahead (Zhang et al. 2019).

    The slow weights move half of the way every six iterations, as in Ranger.
    """
    import_timm()
    from timm.optim.lookahead import Lookahead

    rectified = torch.optim.RAdam(groups, lr=lr, weight_decay=weight_decay)
    return Lookahead(rectified, alpha=0.5, k=6)  # type: ignore[no-untyped-call]


OPTIMISERS: dict[str, Callable[..., Any]] = {
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "ranger": _ranger,
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


def _groups(network: nn.Module, head_rate: float) -> list[dict[str, Any]]:
    """Return the parameters in groups, each with how many `times` the learning rate it has.

    It is 1 for a published trunk, `head_rate` for the layers behind it.
    """
    if head_rate == 1:
        return [{"params": list(network.parameters())}]
    trunk = [
        p for part in network.modules() if isinstance(part, Backbone) for p in part.parameters()
    ]
    inside = {id(p) for p in trunk}
    head = [p for p in network.parameters() if id(p) not in inside]
    return [{"params": trunk, "times": 1.0}, {"params": head, "times": head_rate}]
