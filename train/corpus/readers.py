"""Ways to say what is in a collection: a manifest, a folder per class, BirdCLEF's metadata.

Each reader gives `Recording`s that are not checked yet: the files may be missing or broken
(`train.corpus.quality`). A manifest may have a column secondary_labels, parted by semicolons: what
else is heard in the background; and `type`, which of its species' songs or calls it is. BirdCLEF's
secondary labels are a list as in Python.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.bundle.labels import check_label
from edge.errors import SpecError, UserError
from train.corpus.corpus import ROLES, Recording
from train.corpus.folders import AUDIO, files_below
from train.corpus.tables import read_rows

__all__ = ["Layout", "Listing", "read_listing", "read_species_names", "slug"]

Layout = Literal["auto", "manifest", "folders", "birdclef"]
MANIFEST, METADATA = "manifest.csv", "train_metadata.csv"
BIRDCLEF_AUDIO = ("train_audio", "train_short_audio")
# Where this project keeps the names that manifests lack; absent from an installed package, which
# then goes without.
SPECIES = Path(__file__).resolve().parents[2] / "config" / "species.csv"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a collection claims to hold: recordings under `root`, unchecked."""

    root: Path
    layout: Layout
    recordings: tuple[Recording, ...]


def read_listing(source: Path | str, *, layout: Layout = "auto") -> Listing:
    """List the recordings of a CSV file or a folder.

    The project's own species names beat the collection's. Raises `UserError`.
    """
    source = Path(source).resolve()
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.suffix.lower() in AUDIO and source.is_file():
        raise UserError(f"{source}: is a recording", suggestion="give the folder above its species")
    layout = _recognise(source) if layout == "auto" else layout
    table = _table(source, layout)
    names = read_species_names(SPECIES) if SPECIES.is_file() else {}
    recordings = tuple(_named(recording, names) for recording in _read(table, layout))
    if not recordings:
        raise UserError(
            f"{table}: lists no recordings",
            suggestion="give a manifest.csv, or a folder per species with recordings in it",
        )
    _check_labels(table, layout, recordings)
    root = table if table.is_dir() else table.parent
    return Listing(root=root, layout=layout, recordings=recordings)


def _check_labels(table: Path, layout: Layout, recordings: Iterable[Recording]) -> None:
    """Refuse now what could not be a label of the bundle that is made in the end."""
    for label, recording in {r.label: r for r in recordings if r.role == "known"}.items():
        try:
            check_label(label)
        except SpecError as exc:
            where, what = table, "give it another"
            if layout == "folders":
                where = table / recording.path.relative_to(table).parts[0]
                what = "rename the folder"
            raise UserError(f"{where}: {exc.fault.reason}", suggestion=what) from exc


def _table(source: Path, layout: Layout) -> Path:
    """Return the file, or for a folder per class the folder, that lists the recordings."""
    if layout == "folders" or not source.is_dir():
        return source
    return source / (MANIFEST if layout == "manifest" else METADATA)


def _read(table: Path, layout: Layout) -> Iterator[Recording]:
    match layout:
        case "manifest":
            for row in _rows(table, needed=("path", "label")):
                yield _from_manifest(row, table.parent)
        case "birdclef":
            audio = _birdclef_audio(table)
            for row in _rows(table, needed=("primary_label", "filename")):
                yield _from_birdclef(row, audio)
        case _:
            yield from _from_folders(table)


def read_species_names(table: Path) -> dict[str, tuple[str, str]]:
    """Return label -> (common name, scientific name), from a CSV with these three columns."""
    return {
        row["label"]: (row["common_name"], row["scientific_name"])
        for row in _rows(table, ("label", "common_name", "scientific_name"))
    }


def _recognise(source: Path) -> Layout:
    if source.is_file():
        with source.open(encoding="utf-8-sig", errors="replace") as file:
            return "birdclef" if "primary_label" in file.readline() else "manifest"
    if (source / MANIFEST).is_file():
        return "manifest"
    return "birdclef" if (source / METADATA).is_file() else "folders"


def _rows(table: Path, needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    for line, row in read_rows(table, needed):
        empty = [name for name in needed[:2] if not row[name]]
        if empty:
            raise UserError(f"{table}, line {line}: '{empty[0]}' is empty")
        yield row


def _from_manifest(row: Mapping[str, str], root: Path) -> Recording:
    role = row.get("role") or "known"
    if role not in ROLES:
        raise UserError(
            f"{root / MANIFEST}: {row['path']}: role '{role}' is none of {', '.join(ROLES)}"
        )
    # Not resolve(): a link into another disk is fine.
    path = Path(os.path.normpath(root / row["path"]))
    if root not in path.parents:
        raise UserError(f"{root / MANIFEST}: {row['path']}: lies outside the manifest's folder")
    return Recording(
        path=path,
        role=role,
        label=row["label"],
        common_name=row.get("common_name", ""),
        scientific_name=row.get("scientific_name", ""),
        recording=row.get("recording", "") or path.stem,
        recordist=row.get("recordist", ""),
        licence=row.get("licence", "") or row.get("license", ""),
        source=row.get("source", ""),
        secondary_labels=_several(row.get("secondary_labels", "").split(";"), row["label"]),
        song_type=row.get("type", ""),
    )


def _from_birdclef(row: Mapping[str, str], audio: Path) -> Recording:
    label, name = row["primary_label"], row["filename"]
    # 2021 names the file alone, 2022 and later label/file.
    path = audio / name if "/" in name else audio / label / name
    return Recording(
        path=path,
        role="known",
        label=label,
        common_name=row.get("common_name", ""),
        scientific_name=row.get("scientific_name", ""),
        recording=Path(name).stem,
        recordist=row.get("author", ""),
        licence=row.get("license", ""),
        source=row.get("url", "") or "BirdCLEF",
        secondary_labels=_several(_python_list(row.get("secondary_labels", ""), name), label),
    )


def _python_list(text: str, name: str) -> list[str]:
    """Parse BirdCLEF's secondary labels, a list as in Python: "['comrav', 'norcar']"."""
    try:
        labels = ast.literal_eval(text or "[]")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise UserError(
            f"{METADATA}: {name}: column secondary_labels: {text[:60]!r} is not a list of labels, "
            "as in ['comrav', 'norcar']"
        )
    return labels


def _several(labels: Iterable[str], primary: str) -> tuple[str, ...]:
    """Return labels without blanks, empty ones, repetitions and the primary one.

    A ; separates labels in the prepared corpus, so it separates them here.
    """
    parts = dict.fromkeys(part.strip() for label in labels for part in label.split(";"))
    return tuple(part for part in parts if part and part != primary)


def _birdclef_audio(table: Path) -> Path:
    for name in BIRDCLEF_AUDIO:
        if (table.parent / name).is_dir():
            return table.parent / name
    raise UserError(
        f"{table.parent}: has neither {' nor '.join(BIRDCLEF_AUDIO)} beside {table.name}"
    )


def _from_folders(root: Path) -> Iterator[Recording]:
    """Yield `<label>/<file>` as known; `noise/<label>/<file>` or `noise/<file>` as noise.

    The folders of the other roles are like that of noise.
    """
    if not root.is_dir():
        raise UserError(f"{root}: a folder per class is needed, this is a file")
    for path in files_below(root, AUDIO):
        parts = path.relative_to(root).parts
        if len(parts) < 2:
            continue  # a file beside the class folders belongs to no class
        role = parts[0] if parts[0] in ROLES else "known"
        inner = parts[1:] if parts[0] in ROLES else parts
        name = inner[0] if len(inner) > 1 else role
        yield Recording(
            path=path,
            role=role,
            label=slug(name),
            common_name=name.replace("_", " "),
            recording=path.stem,
        )


def slug(name: str) -> str:
    """Return a name as a label."""
    # A file system may hold letter and accent as two characters; a label has one.
    text = unicodedata.normalize("NFC", name.casefold())
    return re.sub(r"[^\w]+", "_", text).strip("_")


def _named(recording: Recording, names: Mapping[str, tuple[str, str]]) -> Recording:
    common, scientific = names.get(recording.label, ("", ""))
    return dataclasses.replace(
        recording,
        common_name=common or recording.common_name or recording.label,
        scientific_name=scientific or recording.scientific_name,
    )
