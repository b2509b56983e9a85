"""The stages train, segment, shift of system S5: each goes on from the run before it.

BirdCLEF 2021, section 2.4. Segment and shift are both this: the earlier run's network listens to
every training recording whole, its pseudo labels are written down, and training goes on with
windows that hold a call, and with a loss of the time steps that the network was sure of. They
differ in their recipes: shift mixes in noise and other animals. Reading taken where the paper is
silent: a stage starts from the weights of the one before. A run that was killed goes on where it
stopped: labels that are written stay, checkpoints are resumed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge.bundle import Frontend
from edge.bundle.digest import sha256_of
from edge.bundle.strictjson import read_json
from edge.errors import ConfigError
from edge.files import write_whole
from train.corpus.corpus import Corpus
from train.learning.fit import start_task, train_task
from train.learning.long_audio import frame_logits
from train.learning.members import MemberTask, Report
from train.learning.run import TrainedRun, load_run
from train.learning.splits import fold_splits, species_to_learn
from train.learning.trainer import pick_device
from train.recipe.recipe import Recipe
from train.windows.cache import to_power
from train.windows.pseudo import find_stretches

__all__ = ["segment", "shift"]

log = logging.getLogger(__name__)

MADE = "labels.json"
SAY_EVERY = 50  # recordings


def segment(
    recipe: Recipe,
    corpus: Corpus,
    *,
    earlier: Path,
    folder: Path,
    cache: Path,
    device: str,
    workers: int,
    report: Report,
) -> TrainedRun:
    """Label the training recordings with the run `earlier`, and train on in `folder`.

    What is there of an interrupted run is resumed. Raises `UserError` where the run, the recipe and
    the corpus do not go together.
    """
    run = load_run(earlier)
    _check_recipe(recipe, run, folder)
    _check_corpus(recipe, run, corpus)
    _remember(recipe, run, folder)
    task = start_task(
        recipe,
        corpus,
        folder=folder,
        cache=cache,
        fold=run.fold,
        device=device,
        workers=workers,
        earlier=earlier.resolve(),
    )
    _write_labels(run, task)
    return train_task(task, corpus, report)


def shift(recipe: Recipe, corpus: Corpus, **options: object) -> TrainedRun:
    """Do what `segment` does, with a recipe that moves the sound towards a recorder's.

    Raises `ConfigError` for a recipe that mixes nothing in.
    """
    augment = recipe.augment
    if not (augment.noise_share or augment.coloured_share or augment.animals_share):
        raise ConfigError(
            f"recipe {recipe.name}: nothing is mixed in: shift needs augment.noise_share, "
            "coloured_share or animals_share above 0"
        )
    return segment(recipe, corpus, **options)  # type: ignore[arg-type]  # the same options


def _write_labels(run: TrainedRun, task: MemberTask) -> None:
    """Write the pseudo labels of every training recording of a species that has none yet."""
    pseudo, spec = task.pseudo, run.recipe.frontend
    assert pseudo is not None, "a task that follows an earlier run"
    assert task.recipe.pseudo is not None, "the recipe was checked"
    pseudo.explain()
    known = [r for r in task.splits.train if r.role == "known" and r.label in task.labels]
    missing = [r for r in known if not pseudo.path(r).exists()]
    there = len(known) - len(missing)
    log.info("%s: %d recordings are labelled, %d to go", pseudo.folder, there, len(missing))
    if not missing:
        return
    network, frontend = run.network.to(pick_device(task.device)), Frontend(spec)
    # Features of the earlier run's frontend, which is not always this one's.
    components = dataclasses.replace(task.cache, spec=spec)
    components.fill(missing, workers=task.threads)
    nowhere = 0
    for count, recording in enumerate(missing, start=1):
        scores = _frame_scores(network, frontend.levels(to_power(components.load(recording))))
        found = find_stretches(
            scores, recording, labels=run.labels, spec=spec, pseudo=task.recipe.pseudo
        )
        pseudo.write(recording, found)
        nowhere += all(stretch.state != "present" for stretch in found)
        if count % SAY_EVERY == 0 or count == len(missing):
            message = "%s: %d of %d labelled, in %d of them no call is present"
            log.info(message, pseudo.folder, count, len(missing), nowhere)
    run.network.cpu()


def _frame_scores(network: nn.Module, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores 0..1 (T', K) of the time steps of a recording's features (C, F, T)."""
    scores: NDArray[np.float32] = (
        torch.from_numpy(frame_logits(network, features)).sigmoid().numpy()
    )
    return scores


def _check_recipe(recipe: Recipe, run: TrainedRun, folder: Path) -> None:
    """Raise `ConfigError` where the weights of the earlier run do not fit the recipe."""
    before = run.recipe
    if recipe.pseudo is None:
        raise ConfigError(
            f"recipe {recipe.name}: has no pseudo section: train it with edge-train fit"
        )
    if folder.resolve() == run.folder.resolve():
        raise ConfigError(f"{folder}: is the run to start from; choose another folder for --out")
    if before.network.kind != recipe.network.kind:
        raise ConfigError(
            f"{run.folder}: its network {before.network.kind} is not the {recipe.network.kind} of "
            f"recipe {recipe.name}"
        )
    if before.network.options != recipe.network.options:
        raise ConfigError(
            f"{run.folder}: its network.options are not those of recipe {recipe.name}, which "
            "starts from its weights"
        )
    if before.frontend.shape[:2] != recipe.frontend.shape[:2]:
        raise ConfigError(
            f"{run.folder}: its frontend has channels and bands {before.frontend.shape[:2]}, that "
            f"of recipe {recipe.name} has {recipe.frontend.shape[:2]}: the weights do not fit"
        )
    if before.frontend.stack != 1 or before.frontend.frames is not None:
        raise ConfigError(
            f"{run.folder}: its frontend stacks or resizes time (stack, frames): its time steps "
            "have no time of their own"
        )


def _check_corpus(recipe: Recipe, run: TrainedRun, corpus: Corpus) -> None:
    """Raise `ConfigError` where the earlier run learnt from other recordings or other species."""
    if run.corpus != corpus.digest:
        raise ConfigError(
            f"{run.folder}: was trained on another prepared corpus; give the one it was trained on"
        )
    labels = species_to_learn(recipe, corpus, fold_splits(corpus, fold=run.fold))
    if labels != run.labels:
        other = sorted(set(labels) ^ set(run.labels))[0]
        raise ConfigError(
            f"{run.folder}: learnt other species than recipe {recipe.name} names: '{other}' is not "
            "in both"
        )


def _remember(recipe: Recipe, run: TrainedRun, folder: Path) -> None:
    """Note which labels the folder is for; raises `ConfigError` when it has others."""
    assert recipe.pseudo is not None, "the recipe was checked"
    model = sha256_of((run.folder / "model.pt").read_bytes())
    made = {"model": model, "present": recipe.pseudo.present, "absent": recipe.pseudo.absent}
    file = folder / MADE
    if file.exists() and read_json(file) != made:
        raise ConfigError(
            f"{folder}: its labels are of another run or of other thresholds; choose another --out "
            "or delete it"
        )
    write_whole(file, json.dumps(made, indent=1) + "\n")
