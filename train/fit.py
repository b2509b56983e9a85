"""`edge-train fit`: from a prepared corpus and a recipe to trained weights and their outputs on every split.

run/recipe.yaml        what was asked for            run/member-0/checkpoint.pt, history.csv, TensorBoard events
run/run.json           labels, fold, corpus          run/model.pt           the weights to use
run/outputs-train.npz, outputs-validation.npz, outputs-test.npz             what they say (`WindowOutputs`)
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from edge.bundle import Frontend
from edge.errors import ConfigError, UserError
from train.batches import Batches
from train.cache import ComponentCache
from train.classifier import EmbedThenClassify, build_classifier, fit_classifier
from train.corpus import Corpus, Recording
from train.dataset import TrainingWindows, most_active_window
from train.files import write_text
from train.infer import run_network
from train.networks import Ensemble, Withheld, build_network
from train.objectives import build_objective
from train.outputs import WindowOutputs
from train.recipe import Recipe, load_recipe
from train.trainer import Progress, Trainer, pick_device, save_torch

log = logging.getLogger(__name__)

__all__ = ["Splits", "TrainedRun", "fit", "load_run", "split_recordings"]

HOP_S = 2.5
Report = Callable[[int, Progress], None]


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The recordings of each use; no recordist is in two of them."""

    train: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A finished run: the network in evaluation mode on the CPU, its recipe and the order of its logits."""

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
    recipe: Recipe, corpus: Corpus, *, folder: Path, cache: Path, fold: int, device: str, workers: int, report: Report
) -> TrainedRun:
    """Train every member of the recipe in `folder` (resuming what is there), then run the result over all splits."""
    splits = split_recordings(corpus, fold=fold)
    labels = _labels(recipe, corpus, splits)
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe.as_mapping(), sort_keys=False))
    write_text(folder / "run.json", json.dumps({"fold": fold, "corpus": corpus.digest, "labels": labels}, indent=1) + "\n")
    components = ComponentCache(folder=cache, spec=recipe.frontend)
    components.fill(splits.train, workers=workers)
    task = _Task(recipe=recipe, labels=labels, splits=splits, cache=components, folder=folder, device=device, threads=workers)
    members = _members(task, report)
    save_torch(folder / "model.pt", _assemble(task, members, corpus).state_dict())
    run = load_run(folder)
    for name in ("train", "validation", "test"):
        _outputs(run.network, run.labels, task, corpus, getattr(splits, name)).save(folder / f"outputs-{name}.npz")
    return run


def load_run(folder: Path) -> TrainedRun:
    """Read a finished run."""
    if not (folder / "model.pt").exists():
        raise UserError(f"{folder}: not a finished run (model.pt is missing); run 'edge-train fit' to its end")
    recipe = load_recipe(folder / "recipe.yaml")
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    labels = tuple(facts["labels"])
    members = [_network(recipe, labels) for _ in range(recipe.members)]
    network = Ensemble(members) if len(members) > 1 else members[0]
    if recipe.classifier is not None:
        width = 128 * recipe.members
        network = EmbedThenClassify(network, build_classifier(width, len(labels), recipe.classifier.hidden))
    network.load_state_dict(torch.load(folder / "model.pt", map_location="cpu", weights_only=True))
    answered = [i for i, label in enumerate(labels) if label not in recipe.withheld]
    if recipe.withheld:
        network = Withheld(network, kept=answered, withheld=[i for i in range(len(labels)) if i not in answered])
    names = tuple(labels[i] for i in answered)
    return TrainedRun(folder=folder, recipe=recipe, labels=names, fold=facts["fold"], network=network.eval())


def _labels(recipe: Recipe, corpus: Corpus, splits: Splits) -> tuple[str, ...]:
    """The species to learn: the recipe's, or all; one that this fold leaves without training recordings is named and left out."""
    there = [label.label for label in corpus.labels]
    missing = sorted({*recipe.species, *recipe.withheld} - set(there))
    if missing:
        raise ConfigError(f"recipe {recipe.name}: species '{missing[0]}' is not among the corpus's {len(there)} known labels")
    wanted = [label for label in there if not recipe.species or label in recipe.species]
    heard = {r.label for r in splits.train if r.role == "known"}
    for label in sorted(set(wanted) - heard):
        log.warning("%s has no training recordings when this fold validates: it is not learned", label)
    labels = tuple(label for label in wanted if label in heard)
    if len(labels) < 2:
        raise UserError(f"the corpus has {len(labels)} known species to learn; at least two are needed")
    return labels


def _network(recipe: Recipe, labels: Sequence[str]) -> nn.Module:
    classes = None if recipe.classifier is not None else len(labels)
    return build_network(recipe.network.kind, recipe.network.options, shape=recipe.frontend.shape, classes=classes)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What the training of one member needs; crosses a process border."""

    recipe: Recipe
    labels: tuple[str, ...]
    splits: Splits
    cache: ComponentCache
    folder: Path
    device: str
    threads: int


def _members(task: _Task, report: Report) -> list[nn.Module]:
    """Train the members, on a CPU side by side with one thread each: faster than one after the other with all threads."""
    count = task.recipe.members
    if count == 1 or pick_device(task.device).type != "cpu":
        torch.set_num_threads(task.threads)
        return [_train_member(task, i, report) for i in range(count)]
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue()
    processes = [context.Process(target=_member_process, args=(task, i, reports)) for i in range(count)]
    for process in processes:
        process.start()
    running = count
    while running:
        member, progress = reports.get()
        running -= progress is None
        if progress is not None:
            report(member, progress)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise UserError(f"{task.folder}: training was interrupted; run the same command again to resume")
    return [_train_member(task, i, report) for i in range(count)]  # finished: reads the checkpoints


def _member_process(task: _Task, member: int, reports: multiprocessing.SimpleQueue[tuple[int, Progress | None]]) -> None:
    torch.set_num_threads(1)
    try:
        _train_member(task, member, lambda i, progress: reports.put((i, progress)))
    finally:
        reports.put((member, None))


def _train_member(task: _Task, member: int, report: Report) -> nn.Module:
    from torch.utils.tensorboard import SummaryWriter  # imports slowly

    recipe, folder, device = task.recipe, task.folder / f"member-{member}", pick_device(task.device)
    torch.manual_seed(recipe.seed + member)
    network = _network(recipe, task.labels)
    windows = TrainingWindows(task.splits.train, cache=task.cache, labels=task.labels)
    objective = build_objective(recipe.objective, Batches(windows, recipe.augment), device)
    trainer = Trainer(recipe, network, objective, folder=folder, device=device, seed=recipe.seed + member)
    board = SummaryWriter(str(folder))

    def log(progress: Progress) -> None:
        for key, value in progress.numbers.items():
            board.add_scalar(key, value, progress.step)
        board.flush()
        report(member, progress)

    trained = trainer.run(_validation(task), log)
    board.close()
    return trained.cpu().eval()


def _validation(task: _Task) -> Callable[[nn.Module], dict[str, float]]:
    """Top-1 over one window of each validation recording: cheap, to see the curve; calibrate and evaluate say what it is worth."""
    known = [r for r in task.splits.validation if r.role == "known" and r.label in task.labels]
    if task.recipe.classifier is not None or not known:
        return lambda network: {}
    frontend = Frontend(task.recipe.frontend)
    targets = np.array([task.labels.index(r.label) for r in known])
    inputs = np.stack([frontend.levels(most_active_window(task.cache.load(r), task.recipe.frontend)) for r in known])

    def top1(network: nn.Module) -> dict[str, float]:
        logits = _run(network, inputs)[1]
        return {"validation_top1": float((logits.argmax(1) == targets).mean())}

    return top1


def _assemble(task: _Task, members: list[nn.Module], corpus: Corpus) -> nn.Module:
    """The members as one network, with the classifier on top when the recipe asks for one."""
    network = (Ensemble(members) if len(members) > 1 else members[0]).eval()
    recipe, labels = task.recipe, task.labels
    if recipe.classifier is None:
        return network
    known = tuple(r for r in task.splits.train if r.role == "known" and r.label in labels)
    outputs = _outputs(EmbedThenClassify(network, _NoLogits(len(labels))), labels, task, corpus, known)
    heard = outputs.select(outputs.active)
    classes = np.array([labels.index(corpus.recordings[i].label) for i in heard.recording])
    classifier = fit_classifier(heard.embedding, classes, count=len(labels), spec=recipe.classifier, seed=recipe.seed)
    return EmbedThenClassify(network, classifier).eval()


class _NoLogits(nn.Module):
    """Stands for the classifier while embeddings are computed to train it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding.new_zeros(len(embedding), self.classes)


def _outputs(
    network: nn.Module, labels: tuple[str, ...], task: _Task, corpus: Corpus, recordings: Sequence[Recording]
) -> WindowOutputs:
    return run_network(
        lambda x: _run(network, x),
        corpus,
        recordings,
        spec=task.recipe.frontend,
        labels=labels,
        hop_s=HOP_S,
        cache=task.cache.folder,
        workers=task.threads,
    )


@torch.no_grad()
def _run(network: nn.Module, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    network.eval()
    device = next(network.parameters()).device
    parts = [network(chunk.to(device)) for chunk in torch.split(torch.from_numpy(features), 64)]
    embedding, logits = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return embedding, logits
