"""The training loop: iterations, moving average, and checkpoints that survive a kill and resume to
the same curve.
"""

from __future__ import annotations

import copy
import csv
import io
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
from edge.files import replacing, write_whole
from train.learning.objectives import Objective
from train.learning.stages import move_only, stage_at
from train.networks.backbones import Backbone
from train.recipe.recipe import CrossEntropySpec, Recipe, StageSpec

__all__ = ["Progress", "Trainer", "load_trained", "pick_device", "save_torch"]

log = logging.getLogger(__name__)
WARM_UP_STEPS = 60
OPTIMISERS: dict[str, Callable[..., Any]] = {
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """After each epoch: where training stands. `left_s` is the time the remaining steps need at the
    pace so far.
    """

    step: int
    steps: int
    numbers: dict[str, float]
    left_s: float


def pick_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `auto`; asking for a GPU that is not there is an error, not a slow run."""
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
    """Trains `network` in `folder`; call `run` again after a crash and it continues from the last
    finished epoch.
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
        self.recipe, self.objective, self.folder, self.device = recipe, objective, folder, device
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decay = recipe.objective.average if isinstance(recipe.objective, CrossEntropySpec) else 0.0
        self._decay = decay
        self.average = copy.deepcopy(self.network) if decay else self.network
        self.rng, self.step, self.history = np.random.default_rng(seed), 0, []  # type: tuple[np.random.Generator, int, list[dict[str, float]]]
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
        """Train to the end; `validate` is called after each epoch. Returns the network to use (the
        moving average, if any).
        """
        self._resume()
        started, first = time.monotonic(), self.step
        while self.step < self.recipe.steps and not self.objective.finished():
            numbers = self._epoch()
            self.history.append({"step": self.step, **numbers, **validate(self.average)})
            self._save()
            pace = (time.monotonic() - started) / (self.step - first)
            report(
                Progress(
                    step=self.step,
                    steps=self.recipe.steps,
                    numbers=self.history[-1],
                    left_s=pace * (self.recipe.steps - self.step),
                )
            )
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
        # a young average forgets its random start
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
        return (
            full * warm * max(0.005, 0.5 * (1 + math.cos(math.pi * self.step / self.recipe.steps)))
        )

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
        }
        save_torch(self.folder / "checkpoint.pt", state)
        _write_history(self.folder / "history.csv", self.history)

    def _resume(self) -> None:
        file = self.folder / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        if state["recipe"] != self.recipe.digest:
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
        log.info("resumed at step %d of %d", self.step, self.recipe.steps)


def _groups(network: nn.Module, head_rate: float) -> list[dict[str, Any]]:
    """Parameters with how many times the learning rate they have: 1 for a published trunk,
    `head_rate` for the layers behind it.
    """
    if head_rate == 1:
        return [{"params": list(network.parameters())}]
    trunk = [
        p for part in network.modules() if isinstance(part, Backbone) for p in part.parameters()
    ]
    inside = {id(p) for p in trunk}
    head = [p for p in network.parameters() if id(p) not in inside]
    return [{"params": trunk, "times": 1.0}, {"params": head, "times": head_rate}]


def load_trained(network: nn.Module, *, folder: Path) -> nn.Module:
    """Give `network` the weights that a finished run of `Trainer` in `folder` would return."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["average"])
    return network.eval()


def save_torch(file: Path, state: Any) -> None:
    """Write `state` whole or not at all, through to the disk; torch's own writer hides a full disk
    behind a RuntimeError.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(file, buffer.getvalue(), durable=True)


def _write_history(file: Path, rows: list[dict[str, float]]) -> None:
    with replacing(file) as staged, staged.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
