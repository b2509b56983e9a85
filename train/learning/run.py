"""A finished run: its network, its recipe, and what it says of every split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edge.bundle.strictjson import read_json
from edge.errors import UserError
from train.learning.checkpoint import load_torch
from train.learning.classifier import EmbedThenClassify, read_classifier
from train.learning.members import member_network
from train.networks.ensemble import assembled
from train.networks.local import LocalCnn
from train.networks.withheld import Withheld, WithheldFrames
from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe
from train.windows.outputs import WindowOutputs

__all__ = ["TrainedRun", "load_run"]


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """The network in evaluation mode on the CPU, its recipe, and the `labels` of its logits.

    `corpus` is the digest of what it was trained on, with `fold` left out for validation.
    """

    folder: Path
    recipe: Recipe
    labels: tuple[str, ...]
    fold: int
    corpus: str
    network: nn.Module

    def outputs(self, split: str) -> WindowOutputs:
        """Return what the network said of a split: train, validation or test."""
        return WindowOutputs.load(self.folder / f"outputs-{split}.npz")


def load_run(folder: Path) -> TrainedRun:
    """Read a finished run; raises `UserError` when it is not there or not finished."""
    if not (folder / "model.pt").exists():
        raise UserError(
            f"{folder}: not a finished run (model.pt is missing); run 'edge-train fit' to its end"
        )
    recipe = load_recipe(folder / "recipe.yaml")
    labels, fold, corpus = _facts(folder / "run.json")
    state = load_torch(folder / "model.pt")
    network = _network(recipe, labels, state)
    network.load_state_dict(state)
    answered = [i for i, label in enumerate(labels) if label not in recipe.withheld]
    if recipe.withheld:
        withheld = [i for i in range(len(labels)) if i not in answered]
        hiding = WithheldFrames if isinstance(network, LocalCnn) else Withheld
        network = hiding(network, kept=answered, withheld=withheld)
    return TrainedRun(
        folder=folder,
        recipe=recipe,
        labels=tuple(labels[i] for i in answered),
        fold=fold,
        corpus=corpus,
        network=network.eval(),
    )


def _facts(file: Path) -> tuple[tuple[str, ...], int, str]:
    """Return labels, fold, and the digest of the corpus; raises `UserError`."""
    match read_json(file):
        case {"labels": [*labels], "fold": int(fold), "corpus": str(corpus)}:
            return tuple(map(str, labels)), fold, corpus
        case _:
            raise UserError(f"{file}: names no labels, fold and corpus; run 'edge-train fit' again")


def _network(recipe: Recipe, labels: tuple[str, ...], state: dict[str, Tensor]) -> nn.Module:
    """Return the network that `state` fits: an ensemble, a classifier on top, or neither."""
    network = assembled([member_network(recipe, labels) for _ in range(recipe.members)])
    if recipe.classifier is None:
        return network
    prefix = "classifier."
    own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    return EmbedThenClassify(network, read_classifier(recipe.classifier, own, count=len(labels)))
