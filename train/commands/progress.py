"""How `edge-train` shows that a training goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from edge.terminal import aside

if TYPE_CHECKING:
    from train.learning.trainer import Progress

__all__ = ["show", "watched"]


def watched(heard: Iterator[Any], count: int) -> Iterable[Any]:
    """Draw on a terminal how many of `count` recordings have passed."""
    console = Console(stderr=True)
    yield from track(
        heard, "hearing", total=count, console=console, disable=not console.is_terminal
    )


def show(member: int, progress: Progress) -> None:
    """Print a line of a member's progress on standard error."""
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in progress.numbers.items() if k != "step")
    left = f"{progress.left_s / 60:.1f} min left"
    aside(f"member {member}  step {progress.step}/{progress.steps}  {numbers}  {left}")
