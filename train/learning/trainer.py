"""The training loop: iterations, moving average, and checkpoints.

A training that was killed resumes from its last checkpoint to the same curve.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from train.learning.checkpoint import CHECKPOINT, load_torch, save_torch, write_history
from train.learning.collapse import DivergedError, StarvedError
from train.learning.curves import draw_curves, epochs_since_the_best
from train.learning.keeping import KeptWeights
from train.learning.objective import Objective
from train.learning.optimisers import learning_rate, optimiser_of
from train.learning.stages import move_only, stage_at
from train.recipe.objectives import CrossEntropySpec, DistilSpec
from train.recipe.recipe import Recipe
from train.recipe.sections import StageSpec

__all__ = ["Progress", "Trainer", "pick_device"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where training stands after an epoch.

    `left_s` is the time that the remaining steps need at the pace so far.
    """

    step: int
    steps: int
    numbers: dict[str, float]
    left_s: float


def pick_device(name: str) -> torch.device:
    """Return the device `cpu`, `cuda`, or for `auto` the GPU if there is one.

    Raises `ConfigError` for a GPU that is not there, rather than train slowly.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device cuda: no GPU that PyTorch can use on this machine; leave --device out or say "
            "cpu"
        )
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device '{name}' is none of auto, cpu, cuda")
    return torch.device(name)


class Trainer:
    """Trains `network` in `folder`.

    Called again after a crash, `run` continues from the last finished epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        objective: Objective,
        *,
        folder: Path,
        device: torch.device,
        seed: int,
    ) -> None:
        self.recipe = recipe
        self.objective = objective
        self.folder = folder
        self.device = device
        laid_out: Any = network.to(device)
        self.network: nn.Module = laid_out.to(memory_format=torch.channels_last)
        spec = recipe.objective
        decay = spec.average if isinstance(spec, CrossEntropySpec | DistilSpec) else 0.0
        self._decay = decay
        self.average = copy.deepcopy(self.network) if decay else self.network
        self.rng = np.random.default_rng(seed)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.kept = KeptWeights(recipe.keep)
        self._optimiser = optimiser_of(recipe, self.network)
        self._batch = objective.batch
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        validate: Callable[[nn.Module], dict[str, float]],
        report: Callable[[Progress], None],
        *,
        most_s: float = math.inf,
    ) -> nn.Module:
        """Train to the end, and return the network to use: the moving average, if any.

        It has the weights that the recipe keeps. `validate` and `report` are called after each
        epoch. No epoch begins after `most_s`, and what has been learnt by then is used; a network
        that has learnt nothing yet learns one epoch. Raises `DivergedError` where the network has
        come to no numbers, and `StarvedError` where no batch of all had anything to learn from.
        """
        self._resume()
        started, first = time.monotonic(), self.step
        while self.step < self.recipe.steps and not self._finished():
            if self.step and time.monotonic() - started >= most_s:
                break
            numbers = self._epoch()
            if not _is_finite(self.network):
                raise DivergedError
            self.history.append({"step": self.step, **numbers, **validate(self.average)})
            self.kept.look(self.average, self.history[-1], self.step)
            self._save()
            pace_s = (time.monotonic() - started) / (self.step - first)
            progress = Progress(
                step=self.step,
                steps=self.recipe.steps,
                numbers=self.history[-1],
                left_s=pace_s * (self.recipe.steps - self.step),
            )
            report(progress)
        if self.history and not any(row.get("triplets", 1) for row in self.history):
            raise StarvedError(self.history[-1].get("margin"))
        self.kept.give(self.average)
        if self.history:
            draw_curves(self.history, self.folder)
        trained: nn.Module = self.average.eval()
        return trained

    def _finished(self) -> bool:
        """Return whether training may end early: it has converged, or gets no better."""
        patience = self.recipe.patience
        tired = patience > 0 and epochs_since_the_best(self.history) >= patience
        return tired or self.objective.finished()

    def _epoch(self) -> dict[str, float]:
        stage = stage_at(self.recipe.stages, self.step)
        self._enter(stage)
        rows = []
        for _ in range(min(self.recipe.steps_per_epoch, self.recipe.steps - self.step)):
            if stage is not (now := stage_at(self.recipe.stages, self.step)):
                stage = now
                self._enter(stage)
            for group in self._optimiser.param_groups:
                full = (stage and stage.learning_rate) or self.recipe.learning_rate
                rate = learning_rate(self.recipe, full, step=self.step)
                group["lr"] = rate * group.get("times", 1.0)
            rows.append(self.objective.iterate(self.network, self._update, self.rng))
            self.step += 1
        # Some numbers cannot be told of every mini-batch.
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: float(np.mean([row[key] for row in rows if key in row])) for key in keys}

    def _enter(self, stage: StageSpec | None) -> None:
        move_only(self.network, stage)
        self.objective.batch = (stage and stage.batch) or self._batch

    def _update(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise DivergedError
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        if self._decay:
            self._move_average()

    @torch.no_grad()
    def _move_average(self) -> None:
        # A young average forgets its random start.
        decay = min(self._decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def _save(self) -> None:
        state = {
            "recipe": self.recipe.digest,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "objective": self.objective.state(),
            "numpy": self.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "history": self.history,
            "kept": self.kept.state,
        }
        save_torch(self.folder / CHECKPOINT, state)
        write_history(self.folder / "history.csv", self.history)

    def _resume(self) -> None:
        file = self.folder / CHECKPOINT
        if not file.exists():
            return
        state = load_torch(file, device=self.device)
        if state.get("recipe") != self.recipe.digest:
            raise ConfigError(
                f"{file}: was written by another recipe; choose another run folder or delete this "
                "one"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.objective.restore(state["objective"])
        self.rng.bit_generator.state = state["numpy"]
        torch.set_rng_state(state["torch"].cpu())
        self.step, self.history = state["step"], state["history"]
        self.kept.state = state.get("kept") or {}
        log.info("resumed at step %d of %d", self.step, self.recipe.steps)


def _is_finite(network: nn.Module) -> bool:
    """Return whether no weight of a network is NaN or infinite."""
    return all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())
