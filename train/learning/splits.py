"""Which recordings train, validate and test, and which species are learnt from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge.errors import ConfigError, UserError
from train.corpus.corpus import Corpus, Recording
from train.recipe.recipe import Recipe

__all__ = ["Splits", "fold_splits", "species_to_learn"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The recordings of each use; no recordist is in two of them."""

    train: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


def fold_splits(corpus: Corpus, *, fold: int) -> Splits:
    """Return the splits in which fold `fold` of dev validates and the others train."""
    if not 0 <= fold < corpus.folds:
        raise ConfigError(f"fold {fold}: the corpus has folds 0 to {corpus.folds - 1}")
    return Splits(
        train=tuple(r for r in corpus.of(split="dev") if r.fold != fold),
        validation=corpus.of(split="dev", folds=[fold]),
        test=corpus.of(split="test"),
    )


def species_to_learn(recipe: Recipe, corpus: Corpus, splits: Splits) -> tuple[str, ...]:
    """Return the labels to learn, in the corpus's order: the recipe's species, or all.

    A species without training recordings in this fold is left out, with a warning. Raises
    `ConfigError` for a species that the corpus lacks, `UserError` when fewer than two are left.
    """
    labels = [label.label for label in corpus.labels]
    missing = sorted({*recipe.species, *recipe.withheld} - set(labels))
    if missing:
        raise ConfigError(
            f"recipe {recipe.name}: species '{missing[0]}' is not among the corpus's {len(labels)} "
            "known labels",
            suggestion="config/recipes/own.yaml learns whatever species there are",
        )
    wanted = [label for label in labels if not recipe.species or label in recipe.species]
    trained = {r.label for r in splits.train if r.role == "known"}
    for label in sorted(set(wanted) - trained):
        log.warning(
            "%s has no training recordings when this fold validates: it is not learned", label
        )
    learnt = tuple(label for label in wanted if label in trained)
    if len(learnt) < 2:
        raise UserError(
            f"the corpus has {len(learnt)} known species to learn; at least two are needed"
        )
    return learnt
