"""How `edge-train` shows that a training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.terminal import aside

if TYPE_CHECKING:
    from train.learning.trainer import Progress

__all__ = ["show"]


def show(member: int, progress: Progress) -> None:
    """Print a line of a member's progress on standard error."""
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in progress.numbers.items() if k != "step")
    left = f"{progress.left_s / 60:.1f} min left"
    aside(f"member {member}  step {progress.step}/{progress.steps}  {numbers}  {left}")
