"""`edge-train fit`: from a prepared corpus and a recipe to trained weights and their outputs.

run/recipe.yaml               what was asked for
run/run.json                  labels, fold, corpus
run/member-0/checkpoint.pt    where training stands; history.csv, TensorBoard events beside it
run/model.pt                  the weights to use
run/outputs-train.npz         what they say (`WindowOutputs`); also -validation and -test
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from edge.bundle.digest import sha256_of
from edge.bundle.strictjson import read_json
from edge.errors import ConfigError
from edge.files import write_whole
from train.corpus.corpus import Corpus, Recording
from train.learning.checkpoint import CHECKPOINT, save_torch
from train.learning.classifier import EmbedThenClassify, fit_head
from train.learning.infer import run_network
from train.learning.members import (
    MemberTask,
    Report,
    check_network,
    train_members,
)
from train.learning.run import TrainedRun, load_run
from train.learning.running import run_batches
from train.learning.splits import Splits, fold_splits, species_to_learn
from train.networks.ensemble import assembled
from train.recipe.load import load_recipe
from train.recipe.objectives import DistilSpec
from train.recipe.recipe import Recipe
from train.windows.cache import ComponentCache
from train.windows.outputs import HOP_S, WindowOutputs

__all__ = ["fit", "start_task", "train_task"]

RUN = "run.json"


def fit(
    recipe: Recipe,
    corpus: Corpus,
    *,
    folder: Path,
    cache: Path,
    fold: int,
    device: str,
    workers: int,
    report: Report,
) -> TrainedRun:
    """Train every member of the recipe in `folder`, and run the result over all splits.

    A training that was interrupted there is resumed.
    """
    task = start_task(
        recipe, corpus, folder=folder, cache=cache, fold=fold, device=device, workers=workers
    )
    return train_task(task, corpus, report)


def start_task(
    recipe: Recipe,
    corpus: Corpus,
    *,
    folder: Path,
    cache: Path,
    fold: int,
    device: str,
    workers: int,
    earlier: Path | None = None,
) -> MemberTask:
    """Do all that comes before training: labels, a check of the network, features.

    `earlier` is the run to start from, of a recipe with a pseudo section
    (`train.learning.segment`). Raises `UserError` for whatever cannot work.
    """
    if recipe.pseudo is not None and earlier is None:
        raise ConfigError(
            f"recipe {recipe.name}: its pseudo labels come from an earlier run: use edge-train "
            "segment or shift, --from RUN"
        )
    splits = fold_splits(corpus, fold=fold)
    labels = species_to_learn(recipe, corpus, splits)
    facts = {"fold": fold, "corpus": corpus.digest, "labels": list(labels), **_before(earlier)}
    _refuse_another(folder, recipe, facts)
    task = MemberTask(
        recipe=recipe,
        labels=labels,
        splits=splits,
        cache=ComponentCache(folder=cache, spec=recipe.frontend, least_s=recipe.least_s),
        folder=folder,
        device=device,
        threads=workers,
        earlier=earlier,
    )
    check_network(task)
    _write(folder, recipe, facts)
    if not isinstance(recipe.objective, DistilSpec):
        task.cache.fill(_used(splits), workers=workers)
    return task


def _before(earlier: Path | None) -> dict[str, str]:
    """Return which run a training goes on from, if any."""
    return {} if earlier is None else {"earlier": sha256_of((earlier / "model.pt").read_bytes())}


def _write(folder: Path, recipe: Recipe, facts: Mapping[str, object]) -> None:
    write_whole(folder / "recipe.yaml", yaml.safe_dump(recipe.as_mapping(), sort_keys=False))
    write_whole(folder / RUN, json.dumps(facts, indent=1) + "\n")


def _refuse_another(folder: Path, recipe: Recipe, facts: Mapping[str, object]) -> None:
    """Raise `ConfigError` where a training in `folder` has begun that is not this one.

    A network that goes on with other recordings has learnt from some that it is tested on.
    """
    if not any(folder.glob(f"member-*/{CHECKPOINT}")):
        return
    made = read_json(folder / RUN)
    differing = [name for name, fact in facts.items() if made.get(name, fact) != fact]
    if load_recipe(folder / "recipe.yaml").digest != recipe.digest:
        differing.append("recipe")
    if differing:
        raise ConfigError(
            f"{folder}: has a training with another {' and '.join(differing)}; choose another run "
            "folder or delete this one"
        )


def _used(splits: Splits) -> list[Recording]:
    """Return the recordings that training draws from, and those that it is watched on."""
    return [*splits.train, *(r for r in splits.validation if r.role == "known")]


def train_task(task: MemberTask, corpus: Corpus, report: Report) -> TrainedRun:
    """Train what `start_task` prepared, to a finished run."""
    folder = task.folder
    members = train_members(task, report)
    save_torch(folder / "model.pt", _assemble(task, members, corpus).state_dict())
    run = load_run(folder)
    for name in ("train", "validation", "test"):
        outputs = _outputs(run.network, run.labels, task, corpus, getattr(task.splits, name))
        outputs.save(folder / f"outputs-{name}.npz")
    return run


def _assemble(task: MemberTask, members: list[nn.Module], corpus: Corpus) -> nn.Module:
    """Return the members as one network, with the classifier on top if the recipe has one."""
    network = assembled(members).eval()
    recipe, labels = task.recipe, task.labels
    if recipe.classifier is None:
        return network
    known = tuple(r for r in task.splits.train if r.role == "known" and r.label in labels)
    embedder = EmbedThenClassify(network, _NoLogits(len(labels)))
    outputs = _outputs(embedder, labels, task, corpus, known)
    active = outputs.select(outputs.active)
    classes = np.array([labels.index(corpus.recordings[i].label) for i in active.recording])
    classifier = fit_head(
        active.embedding, classes, count=len(labels), spec=recipe.classifier, seed=recipe.seed
    )
    return EmbedThenClassify(network, classifier).eval()


class _NoLogits(nn.Module):
    """Stands for the classifier while embeddings are computed to train it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding.new_zeros(len(embedding), self.classes)


def _outputs(
    network: nn.Module,
    labels: tuple[str, ...],
    task: MemberTask,
    corpus: Corpus,
    recordings: Sequence[Recording],
) -> WindowOutputs:
    return run_network(
        lambda x: run_batches(network, x),
        corpus,
        recordings,
        spec=task.recipe.heard,
        labels=labels,
        hop_s=HOP_S,
        cache=task.cache.folder,
        workers=task.threads,
    )
