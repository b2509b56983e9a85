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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from train.learning.checkpoint import CHECKPOINT, load_torch, save_torch, write_history
from train.learning.keeping import KeptWeights
from train.learning.objective import Objective
from train.learning.stages import move_only, stage_at
from train.networks.backbones import Backbone
from train.recipe.objectives import CrossEntropySpec, DistilSpec
from train.recipe.recipe import Recipe
from train.recipe.sections import StageSpec

__all__ = ["Progress", "Trainer", "pick_device"]

log = logging.getLogger(__name__)
WARM_UP_STEPS = 60
LEAST_RATE = 0.005  # of the full one, at the end of the cosine schedule
OPTIMISERS: dict[str, Callable[..., Any]] = {
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


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
        self._optimiser: Any = OPTIMISERS[recipe.optimiser](
            _groups(self.network, recipe.head_rate),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        self._batch = objective.batch
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self, validate: Callable[[nn.Module], dict[str, float]], report: Callable[[Progress], None]
    ) -> nn.Module:
        """Train to the end, and return the network to use: the moving average, if any.

        It has the weights that the recipe keeps. `validate` and `report` are called after each
        epoch.
        """
        self._resume()
        started, first = time.monotonic(), self.step
        while self.step < self.recipe.steps and not self.objective.finished():
            numbers = self._epoch()
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
        self.kept.give(self.average)
        trained: nn.Module = self.average.eval()
        return trained

    def _epoch(self) -> dict[str, float]:
        stage = stage_at(self.recipe.stages, self.step)
        self._enter(stage)
        rows = []
        for _ in range(min(self.recipe.steps_per_epoch, self.recipe.steps - self.step)):
            if stage is not (now := stage_at(self.recipe.stages, self.step)):
                stage = now
                self._enter(stage)
            for group in self._optimiser.param_groups:
                rate = self._learning_rate(
                    (stage and stage.learning_rate) or self.recipe.learning_rate
                )
                group["lr"] = rate * group.get("times", 1.0)
            rows.append(self.objective.iterate(self.network, self._update, self.rng))
            self.step += 1
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}

    def _enter(self, stage: StageSpec | None) -> None:
        move_only(self.network, stage)
        self.objective.batch = (stage and stage.batch) or self._batch

    def _update(self, loss: Tensor) -> None:
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

    def _learning_rate(self, full: float) -> float:
        if self.recipe.schedule == "constant":
            return full
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.recipe.steps))
        return full * warm * max(LEAST_RATE, cosine)

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
