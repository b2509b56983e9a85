"""`edge-train fit`: from a prepared corpus and a recipe to trained weights and their outputs on
every split.

run/recipe.yaml        what was asked for            run/member-0/checkpoint.pt, history.csv, TensorBoard events
run/run.json           labels, fold, corpus          run/model.pt           the weights to use
run/outputs-train.npz, outputs-validation.npz, outputs-test.npz             what they say (`WindowOutputs`)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from edge.errors import ConfigError, UserError
from edge.files import write_whole
from train.corpus.corpus import Corpus, Recording
from train.learning.classifier import EmbedThenClassify, fit_head, read_classifier
from train.learning.infer import run_network
from train.learning.members import (
    MemberTask,
    Report,
    Splits,
    check_network,
    member_network,
    run_batches,
    train_members,
)
from train.learning.trainer import save_torch
from train.networks import Ensemble, Withheld
from train.recipe.recipe import Recipe, load_recipe
from train.windows.cache import ComponentCache
from train.windows.outputs import HOP_S, WindowOutputs

log = logging.getLogger(__name__)

__all__ = [
    "Splits",
    "TrainedRun",
    "fit",
    "load_run",
    "species_to_learn",
    "split_recordings",
    "start_task",
    "train_task",
]


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A finished run: the network in evaluation mode on the CPU, its recipe and the order of its
    logits.
    """

    folder: Path
    recipe: Recipe
    labels: tuple[str, ...]
    fold: int
    network: nn.Module

    def outputs(self, split: str) -> WindowOutputs:
        """What the network said of a split: train, validation or test."""
        return WindowOutputs.load(self.folder / f"outputs-{split}.npz")


def split_recordings(corpus: Corpus, *, fold: int) -> Splits:
    """Fold `fold` of dev validates, the others train."""
    if not 0 <= fold < corpus.folds:
        raise ConfigError(f"fold {fold}: the corpus has folds 0 to {corpus.folds - 1}")
    return Splits(
        train=tuple(r for r in corpus.of(split="dev") if r.fold != fold),
        validation=corpus.of(split="dev", folds=[fold]),
        test=corpus.of(split="test"),
    )


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
    """Train every member of the recipe in `folder` (resuming what is there), then run the result
    over all splits.
    """
    task = start_task(
        recipe, corpus, folder=folder, cache=cache, fold=fold, device=device, workers=workers
    )
    return train_task(task, corpus, report)


def train_task(task: MemberTask, corpus: Corpus, report: Report) -> TrainedRun:
    """Train what `start_task` prepared, to a finished run."""
    folder, members = task.folder, train_members(task, report)
    save_torch(folder / "model.pt", _assemble(task, members, corpus).state_dict())
    run = load_run(folder)
    for name in ("train", "validation", "test"):
        _outputs(run.network, run.labels, task, corpus, getattr(task.splits, name)).save(
            folder / f"outputs-{name}.npz"
        )
    return run


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
    """All that comes before training: labels, a look at the network, and the features of the
    training recordings.

    `earlier` is the run to start from, of a recipe with a pseudo section
    (`train.learning.segment`).
    """
    if recipe.pseudo is not None and earlier is None:
        raise ConfigError(
            f"recipe {recipe.name}: its pseudo labels are an earlier run's: use edge-train segment "
            "or shift, --from RUN"
        )
    splits = split_recordings(corpus, fold=fold)
    labels = species_to_learn(recipe, corpus, splits)
    write_whole(folder / "recipe.yaml", yaml.safe_dump(recipe.as_mapping(), sort_keys=False))
    write_whole(
        folder / "run.json",
        json.dumps({"fold": fold, "corpus": corpus.digest, "labels": labels}, indent=1) + "\n",
    )
    components = ComponentCache(folder=cache, spec=recipe.frontend)
    task = MemberTask(
        recipe=recipe,
        labels=labels,
        splits=splits,
        cache=components,
        folder=folder,
        device=device,
        threads=workers,
        earlier=earlier,
    )
    check_network(task)
    components.fill(splits.train, workers=workers)
    return task


def load_run(folder: Path) -> TrainedRun:
    """Read a finished run."""
    if not (folder / "model.pt").exists():
        raise UserError(
            f"{folder}: not a finished run (model.pt is missing); run 'edge-train fit' to its end"
        )
    recipe = load_recipe(folder / "recipe.yaml")
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    labels = tuple(facts["labels"])
    members = [member_network(recipe, labels) for _ in range(recipe.members)]
    network = Ensemble(members) if len(members) > 1 else members[0]
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    if recipe.classifier is not None:
        own = {
            key.removeprefix("classifier."): value
            for key, value in state.items()
            if key.startswith("classifier.")
        }
        network = EmbedThenClassify(
            network, read_classifier(recipe.classifier, own, count=len(labels))
        )
    network.load_state_dict(state)
    answered = [i for i, label in enumerate(labels) if label not in recipe.withheld]
    if recipe.withheld:
        network = Withheld(
            network, kept=answered, withheld=[i for i in range(len(labels)) if i not in answered]
        )
    names = tuple(labels[i] for i in answered)
    return TrainedRun(
        folder=folder, recipe=recipe, labels=names, fold=facts["fold"], network=network.eval()
    )


def species_to_learn(recipe: Recipe, corpus: Corpus, splits: Splits) -> tuple[str, ...]:
    """The species to learn: the recipe's, or all; one that this fold leaves without training
    recordings is named and left out.
    """
    there = [label.label for label in corpus.labels]
    missing = sorted({*recipe.species, *recipe.withheld} - set(there))
    if missing:
        raise ConfigError(
            f"recipe {recipe.name}: species '{missing[0]}' is not among the corpus's {len(there)} "
            "known labels"
        )
    wanted = [label for label in there if not recipe.species or label in recipe.species]
    heard = {r.label for r in splits.train if r.role == "known"}
    for label in sorted(set(wanted) - heard):
        log.warning(
            "%s has no training recordings when this fold validates: it is not learned", label
        )
    labels = tuple(label for label in wanted if label in heard)
    if len(labels) < 2:
        raise UserError(
            f"the corpus has {len(labels)} known species to learn; at least two are needed"
        )
    return labels


def _assemble(task: MemberTask, members: list[nn.Module], corpus: Corpus) -> nn.Module:
    """The members as one network, with the classifier on top when the recipe asks for one."""
    network = (Ensemble(members) if len(members) > 1 else members[0]).eval()
    recipe, labels = task.recipe, task.labels
    if recipe.classifier is None:
        return network
    known = tuple(r for r in task.splits.train if r.role == "known" and r.label in labels)
    outputs = _outputs(
        EmbedThenClassify(network, _NoLogits(len(labels))), labels, task, corpus, known
    )
    heard = outputs.select(outputs.active)
    classes = np.array([labels.index(corpus.recordings[i].label) for i in heard.recording])
    classifier = fit_head(
        heard.embedding, classes, count=len(labels), spec=recipe.classifier, seed=recipe.seed
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
        spec=task.recipe.frontend,
        labels=labels,
        hop_s=HOP_S,
        cache=task.cache.folder,
        workers=task.threads,
    )
