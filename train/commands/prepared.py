"""The corpus that a command works on: prepared once, and only from the recordings it was told."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.errors import UserError
from edge.terminal import printable
from train.corpus.corpus import Corpus, read_corpus
from train.corpus.prepare import QUARANTINE, prepare
from train.corpus.readers import read_listing
from train.corpus.splits import SplitPlan
from train.corpus.synthesised import is_synthesised
from train.recipe.recipe import Recipe

__all__ = ["check_judgeable", "prepared_corpus"]

FEWEST = 3  # recordings of a species: one to train, one to validate, one to test


def prepared_corpus(
    recipe: Recipe, data: Sequence[Path], *, work: Path, workers: int, say: Callable[[str], None]
) -> Corpus:
    """Return the corpus in `work`, prepared from `data` unless it is there.

    The split is that of the first collection; the others train and validate beside it.

    Raises `UserError` where other recordings are there than those of `data`.
    """
    folder, split = work / "corpus", recipe.split
    if not (folder / "corpus.json").exists():
        say(f"preparing {', '.join(map(str, data))} in {folder}")
        plan = SplitPlan(test_share=split.test_share, folds=split.folds, seed=split.seed)
        prepare(data, folder, plan=plan, workers=workers)
    corpus = read_corpus(folder)
    if _names_of(data) != _prepared_names(folder, corpus):
        raise UserError(
            f"{work}: was prepared from other recordings than those of {data[0]}; delete it, or "
            "name another folder (make bundle WORK=, edge-train --work)"
        )
    return corpus


def check_judgeable(corpus: Corpus, *, fold: int) -> None:
    """Raise `UserError`, before anything is trained, where nothing is left to judge it with."""
    known = corpus.of(role="known")
    dev = [r for r in known if r.split == "dev"]
    parts = {
        "train": {r.label for r in dev if r.fold != fold},
        "validate": {r.label for r in dev if r.fold == fold},
        "test": {r.label for r in known if r.split == "test"},
    }
    lacking = [use for use, labels in parts.items() if len(labels) < 1 + (use == "train")]
    if not lacking:
        return
    label, count = min(Counter(r.label for r in known).items(), key=lambda item: item[1])
    raise UserError(
        f"{corpus.root}: {len(known)} recordings of {len(corpus.labels)} species leave none to "
        f"{' or '.join(lacking)} with ('{label}' has {count}); give at least {FEWEST} of each "
        "species, better 10, by different people or from different days"
    )


def _names_of(data: Sequence[Path]) -> set[tuple[str, str]]:
    listings = [read_listing(source) for source in data]
    return {_name(r.path, r.label) for listing in listings for r in listing.recordings}


def _name(path: Path, label: str) -> tuple[str, str]:
    """Return a recording as the table of the quarantine has it, which can be shown."""
    return printable(str(path)), label


def _prepared_names(folder: Path, corpus: Corpus) -> set[tuple[str, str]]:
    """Return what was listed when the corpus was prepared: the usable recordings and the others."""
    with (folder / QUARANTINE).open(encoding="utf-8", newline="") as file:
        left_out = {_name(corpus.root / row["path"], row["label"]) for row in csv.DictReader(file)}
    usable = (r for r in corpus.recordings if not is_synthesised(r))
    return left_out | {_name(r.path, r.label) for r in usable}
