"""How fast full-size networks are trained by the trainer itself: windows a second."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.support.gpu.counting import flops_of
from tests.support.gpu.plan import LABELS, Measured, Plan
from tests.support.gpu.timing import Ceilings, Precision, computing_in
from train.learning.members import member_network
from train.learning.objective import Objective, Update
from train.learning.objectives import build_objective
from train.learning.trainer import Trainer
from train.recipe.objectives import CrossEntropySpec
from train.recipe.recipe import Recipe
from train.windows.batches import Batches

__all__ = ["TrainingRow", "training_rows"]

NOT_TIMED = 3  # steps in which the device's libraries choose their algorithms
DRAWN = 8  # windows of each species that are shown again and again
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """Training steps of one recipe: windows that went forward and back in a second.

    `share` is that of the arithmetic which the device does in a product of this precision.
    """

    title: str
    precision: str
    batch: str
    windows_per_s: float = 0.0
    step_s: float = 0.0
    share: float = 0.0
    first_loss: float = 0.0
    last_loss: float = 0.0
    note: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether training gave a loss that is no number."""
        return not np.isfinite((self.first_loss, self.last_loss)).all()


def training_rows(
    plan: Plan, root: Path, device: torch.device, ceilings: Ceilings
) -> Iterator[TrainingRow]:
    """Measure each recipe in fp32, and on a GPU with TF32 and in bfloat16 as well."""
    ways: list[tuple[str, Precision]] = [("fp32", "fp32")]
    if device.type == "cuda":
        ways += [("TF32", "TF32"), ("bfloat16 (autocast)", "fp16")]
    for measured in plan.training:
        recipe = measured.load(root)
        for batched in (recipe, *_larger(recipe, plan.training_batches)):
            for name, precision in ways:
                yield _row(measured, batched, name, precision, plan, device, ceilings)


def _larger(recipe: Recipe, batches: tuple[int, ...]) -> Iterator[Recipe]:
    """Yield the recipe with larger batches, where its objective has a free size of them."""
    if isinstance(recipe.objective, CrossEntropySpec):
        for batch in batches:
            objective = dataclasses.replace(recipe.objective, batch=batch)
            yield dataclasses.replace(recipe, objective=objective)


def _row(
    measured: Measured,
    recipe: Recipe,
    name: str,
    precision: Precision,
    plan: Plan,
    device: torch.device,
    ceilings: Ceilings,
) -> TrainingRow:
    steps = NOT_TIMED + plan.training_steps
    recipe = dataclasses.replace(recipe, steps=steps, steps_per_epoch=steps)
    torch.manual_seed(recipe.seed)
    network = member_network(recipe, LABELS)
    objective = _Timed(
        build_objective(recipe.objective, _Synthetic(recipe), device),
        autocast=name.startswith("bfloat16"),
        device=device,
    )
    described = "its own" if measured.title.startswith("S1") else f"{objective.batch}"
    row = TrainingRow(title=measured.title, precision=name, batch=described)
    try:
        with computing_in(precision), TemporaryDirectory() as folder:
            trainer = Trainer(
                recipe, network, objective, folder=Path(folder), device=device, seed=0
            )
            trainer.run(lambda trained: {}, lambda progress: None)
    except torch.cuda.OutOfMemoryError:
        return dataclasses.replace(row, note="out of memory")
    spent_s = sum(objective.times_s)
    return dataclasses.replace(
        row,
        windows_per_s=sum(objective.windows) / spent_s,
        step_s=spent_s / len(objective.times_s),
        share=objective.flops
        / objective.counted_windows
        * sum(objective.windows)
        / spent_s
        / ceilings.flops[precision],
        first_loss=objective.losses[0],
        last_loss=objective.losses[-1],
    )


class _Synthetic(Batches):
    """Random windows, each species with a band of its own, drawn without a corpus.

    Drawing them costs nothing, so that what is timed is the step and not its preparation.
    """

    def __init__(self, recipe: Recipe) -> None:
        rng = np.random.default_rng(recipe.seed)
        self._pool = rng.random((DRAWN, *recipe.frontend.shape), np.float32)
        self._bands = recipe.frontend.shape[1]

    def per_class(
        self, rng: np.random.Generator, per_class: int, species: int | None = None
    ) -> tuple[Array, NDArray[np.int64]]:
        count = min(species or len(LABELS), len(LABELS))
        classes = np.repeat(np.sort(rng.permutation(len(LABELS))[:count]), per_class)
        return self._of_species(rng, classes), classes

    def classification(
        self, rng: np.random.Generator, size: int, outlier_share: float
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        classes = rng.integers(len(LABELS), size=size)
        targets = np.eye(len(LABELS) + 1, dtype=np.float32)[classes]
        return self._of_species(rng, classes), targets, classes

    def _of_species(self, rng: np.random.Generator, classes: NDArray[np.int64]) -> Array:
        features = self._pool[rng.integers(DRAWN, size=len(classes))]
        for window, label in zip(features, classes, strict=True):
            window[:, int(label) * self._bands // len(LABELS)] += 1
        return features


class _Timed:
    """An objective that notes how long each iteration takes, and how many windows it trains on."""

    def __init__(self, objective: Objective, *, autocast: bool, device: torch.device) -> None:
        self._objective = objective
        self._autocast = autocast
        self._device = device
        self._done = 0
        self._presented = 0
        self.batch = objective.batch
        self.times_s: list[float] = []
        self.windows: list[int] = []
        self.losses: list[float] = []
        self.flops = 0
        self.counted_windows = 1

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        self._presented = 0
        watched = network.register_forward_pre_hook(self._count)
        began_s = time.perf_counter()
        numbers: dict[str, float] = {}

        def step() -> None:
            numbers.update(self._step(network, update, rng))

        if self._done == 1:
            self.flops, self.counted_windows = flops_of(step), max(1, self._presented)
        else:
            step()
        self._done += 1
        watched.remove()
        if self._done > NOT_TIMED:
            self.times_s.append(time.perf_counter() - began_s)
            self.windows.append(self._presented)
        self.losses.append(numbers["loss"])
        return numbers

    def _step(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        if not self._autocast:
            numbers = self._objective.iterate(network, update, rng)
        else:
            with torch.autocast(self._device.type, torch.bfloat16):
                numbers = self._objective.iterate(network, update, rng)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return numbers

    def _count(self, network: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._presented += len(given[0]) if network.training else 0

    def finished(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return self._objective.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._objective.restore(state)
