"""Who is heard where, when recordings come from several collections.

The first collection is split as always, and its split stays whatever is given beside it. Those that
follow only train and validate: a person who is in the first stays on that side, and what would put
a person or an unknown species of the test into training is left out. New people are dealt evenly.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge.errors import UserError
from train.corpus.corpus import Recording
from train.corpus.splits import SplitPlan, group_of, split_recordings

__all__ = ["split_all"]

Further = Sequence[tuple[Path, Sequence[Recording]]]


def split_all(
    first: Sequence[Recording], further: Further, *, plan: SplitPlan
) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """Return all recordings with split and fold, and what is to be said of them.

    `further` are the later collections, with their names. Raises `UserError` for a species that is
    known in one and unknown in another.
    """
    recordings = list(_files_together(split_recordings(first, plan)))
    notes: list[str] = []
    for source, added in further:
        placed, kept_out = _placed(recordings, added, folds=plan.folds)
        recordings += placed
        notes += _said(source, kept_out)
    _refuse_contradictions(recordings)
    return tuple(recordings), tuple(notes)


def _files_together(recordings: Sequence[Recording]) -> Iterable[Recording]:
    """Yield the recordings; those of one file are where the first of them is."""
    first: dict[str, Recording] = {}
    for r in recordings:
        there = first.setdefault(r.sha256, r)
        yield dataclasses.replace(r, split=there.split, fold=there.fold)


def _placed(
    there: Sequence[Recording], added: Sequence[Recording], *, folds: int
) -> tuple[list[Recording], list[tuple[Recording, str]]]:
    """Return the recordings that may train or validate, and those that may not, with why."""
    files = {r.sha256 for r in there}
    people = {group_of(r): r for r in there}
    tested = {r.label for r in there if r.role == "unknown" and r.split == "test"}
    kept_out: list[tuple[Recording, str]] = []
    free: dict[str, list[Recording]] = defaultdict(list)
    placed: list[Recording] = []
    for r in added:
        known_as = people.get(group_of(r))
        if r.sha256 in files:
            kept_out.append((r, "there already"))
        elif known_as is not None and known_as.split != "dev":
            kept_out.append((r, "by people of the test split"))
        elif r.role == "unknown" and r.label in tested:
            kept_out.append((r, "of unknown species of the test split"))
        elif known_as is not None:
            placed.append(dataclasses.replace(r, split="dev", fold=known_as.fold))
        else:
            free[group_of(r)].append(r)
    return placed + _dealt(free, [*there, *placed], folds=folds), kept_out


def _dealt(
    groups: dict[str, list[Recording]], there: Iterable[Recording], *, folds: int
) -> list[Recording]:
    """Return recordings by new people, each person in the fold that lacks their label most."""
    counts = Counter((r.label, r.fold) for r in there if r.split == "dev")
    unknown = {r.label: r.fold for r in there if r.role == "unknown" and r.split == "dev"}
    placed: list[Recording] = []
    for _, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        label = members[0].label
        # Validation is last of those that have as few: a species is learnt before it is judged.
        fold = min(range(folds), key=lambda f: (counts[label, f], -f))
        fold = unknown.setdefault(label, fold) if members[0].role == "unknown" else fold
        counts.update((r.label, fold) for r in members)
        placed += (dataclasses.replace(r, split="dev", fold=fold) for r in members)
    return placed


def _said(source: Path, kept_out: Sequence[tuple[Recording, str]]) -> list[str]:
    by_reason: dict[str, list[Recording]] = defaultdict(list)
    for r, reason in kept_out:
        by_reason[reason].append(r)
    return [
        f"left out: {len(found)} of the recordings of {source} ({reason}; the first is "
        f"{found[0].path.name})"
        for reason, found in by_reason.items()
    ]


def _refuse_contradictions(recordings: Sequence[Recording]) -> None:
    first: dict[str, str] = {}
    for r in recordings:
        if r.role in ("known", "unknown") and first.setdefault(r.label, r.role) != r.role:
            raise UserError(
                f"'{r.label}' is given both as a known and as an unknown species",
                suggestion=f"give it as one of them (the first to differ is {r.path})",
            )
