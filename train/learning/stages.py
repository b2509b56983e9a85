"""Training in stages: new layers first, then more of the network, then all of it.

Sevilla and Glotin 2017, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from torch import nn

from edge.errors import SpecError
from train.recipe.sections import StageSpec

__all__ = ["check_stages", "move_only", "stage_at"]


class _Staged(Protocol):
    """A network whose layers can be trained apart."""

    def stage_modules(self) -> dict[str, list[nn.Module]]:
        """Return the modules that each stage moves, by the stage's name."""
        ...


def stage_at(stages: Sequence[StageSpec], step: int) -> StageSpec | None:
    """Return the stage that iteration `step` belongs to, None when there are none.

    The last stage goes on to the end of training.
    """
    end = 0
    for stage in stages:
        end += stage.steps
        if step < end:
            return stage
    return stages[-1] if stages else None


def check_stages(network: nn.Module, kind: str, stages: Sequence[StageSpec]) -> None:
    """Raise `SpecError` when the network does not have the layers of a stage."""
    for stage in stages:
        if not hasattr(network, "stage_modules"):
            raise SpecError(
                f"stages: network {kind} has no parts that are trained apart; leave the section out"
            )
        there = cast(_Staged, network).stage_modules()
        if stage.layers not in there:
            raise SpecError(
                f"stages: layers '{stage.layers}' is none of {', '.join(there)} that network "
                f"{kind} has"
            )


def move_only(network: nn.Module, stage: StageSpec | None) -> None:
    """Let training move the stage's layers only.

    Frozen batch normalisation keeps its statistics too.
    """
    network.train()
    if stage is None:
        return
    modules = cast(_Staged, network).stage_modules()[stage.layers]
    moved = {id(p) for module in modules for p in module.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in moved)
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and isinstance(module, nn.BatchNorm2d) and not any(p.requires_grad for p in own):
            module.eval()
