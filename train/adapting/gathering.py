"""The recordings that a head is made of: one collection or several, with exact times or without."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundle.labels import check_label
from edge.errors import SpecError, UserError
from train.adapting.marks import Key, Marks, key_of
from train.corpus.corpus import ROLES, Recording
from train.corpus.folders import AUDIO
from train.corpus.prepare import usable_recordings
from train.corpus.readers import Listing, read_listing, slug
from train.corpus.selections import Selection, is_selection_table, read_selections

__all__ = ["SHORTEST_S", "Gathered", "gather"]

SHORTEST_S = 0.5  # of a recording: in less, a call is cut or no call
Marked = dict[Path, list[Selection]]


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Usable recordings under `root`, when they have their labels, and what was left out, why."""

    root: Path
    recordings: tuple[Recording, ...]
    marks: Marks
    notes: tuple[str, ...]


def gather(source: Path, *, workers: int) -> Gathered:
    """Return the usable recordings of a folder, a manifest, or a table of selections.

    A recording whose stretches are marked with several labels is one of each. Raises `UserError`.
    """
    listing, marked = _listed(source)
    usable, quarantine = usable_recordings(listing, workers=workers)
    notes = [f"left out: {q.name} ({q.reason})" for q in quarantine]
    long = [r for r in usable if r.seconds >= SHORTEST_S]
    notes += [
        f"left out: {r.path.name} ({r.seconds:.1f} s, {SHORTEST_S:g} s are needed)"
        for r in usable
        if r.seconds < SHORTEST_S
    ]
    lost = {r.label for r in usable if r.role == "known"} - {r.label for r in long}
    if lost:
        raise UserError(
            f"{source}: {min(lost)} has no recording of {SHORTEST_S:g} s or more",
            suggestion="give longer ones, or take the species away",
        )
    recordings, stretches = _by_label(long, marked)
    return Gathered(
        root=listing.root,
        recordings=tuple(recordings),
        marks=Marks(stretches),
        notes=tuple(notes),
    )


def _listed(source: Path) -> tuple[Listing, Marked]:
    """Return what a collection lists, and the selections in its recordings."""
    source = source.resolve()
    if is_selection_table(source):
        marked = _of_table(source)
        if not marked:
            raise UserError(f"{source}: marks nothing with a label")
        return Listing(root=source.parent, layout="manifest", recordings=_named(marked)), marked
    loose = _loose(source) if source.is_dir() else {}
    try:
        listing = read_listing(source)
    except UserError:
        if not loose:
            raise
        return Listing(root=source, layout="folders", recordings=_named(loose)), loose
    recordings = (*listing.recordings, *_named(loose))
    beside = _beside({r.path for r in recordings})
    return dataclasses.replace(listing, recordings=recordings), {**beside, **loose}


def _of_table(table: Path) -> Marked:
    marked: Marked = defaultdict(list)
    for selection in read_selections(table):
        marked[selection.beside(table)].append(selection)
    return dict(marked)


def _loose(folder: Path) -> Marked:
    """Return the selections of recordings that stand in no folder of a species."""
    return _beside({p for p in folder.iterdir() if p.suffix.lower() in AUDIO})


def _beside(recordings: Iterable[Path]) -> Marked:
    """Return the selections in tables beside recordings, named as these: NAME.selections.txt."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in recordings:
        by_folder[path.parent].append(path)
    marked: Marked = {}
    for folder, own in by_folder.items():
        tables = sorted(p for p in folder.glob("*.txt") if is_selection_table(p))
        for path in own if tables else ():
            found = [
                selection
                for table in tables
                if table.name.startswith((f"{path.stem}.", f"{path.name}."))
                for selection in read_selections(table)
                if Path(selection.file).name in ("", path.name)
            ]
            if found:
                marked[path] = found
    return marked


def _named(marked: Marked) -> tuple[Recording, ...]:
    """Return recordings that only their selections name."""
    return tuple(
        Recording(path=path, role="known", label=_label(path, selections[0], ""))
        for path, selections in sorted(marked.items())
    )


def _label(path: Path, selection: Selection, otherwise: str) -> str:
    label = slug(selection.name) or otherwise
    try:
        return check_label(label)
    except SpecError as exc:
        where = f"{path.name}, marked at {selection.start_s:g} s"
        raise UserError(f"{where}: {exc.fault.reason}") from exc


def _by_label(
    recordings: Sequence[Recording], marked: Marked
) -> tuple[list[Recording], dict[Key, tuple[tuple[float, float], ...]]]:
    """Return a recording for each label that is marked in one, and the stretches of each."""
    found: list[Recording] = []
    stretches: dict[Key, tuple[tuple[float, float], ...]] = {}
    for recording in recordings:
        by_label: dict[str, list[Selection]] = defaultdict(list)
        for selection in marked.get(recording.path, ()):
            by_label[_label(recording.path, selection, recording.label)].append(selection)
        if not by_label:
            found.append(recording)
        for label, selections in sorted(by_label.items()):
            one = _as(recording, label, selections[0])
            found.append(one)
            stretches[key_of(one)] = tuple(sorted((s.start_s, s.end_s) for s in selections))
    return found, stretches


def _as(recording: Recording, label: str, selection: Selection) -> Recording:
    """Return a recording under the label of a selection, which may name a role."""
    if label == recording.label:
        name = recording.common_name or selection.common_name or selection.name
        return dataclasses.replace(recording, common_name=name)
    role = next((role for role in ROLES if role == label), recording.role)
    return dataclasses.replace(
        recording,
        role=role,
        label=label,
        common_name=selection.common_name or selection.name,
        scientific_name=selection.scientific_name,
    )
