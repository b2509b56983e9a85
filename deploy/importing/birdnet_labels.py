"""BirdNET's list of labels: what each is called here, and what kind of sound it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.bundle import Label
from edge.bundle.labels import LabelKind
from edge.errors import BundleError, SpecError, shown

__all__ = ["is_no_species", "kind_of", "read_classes", "read_labels", "slug"]

SCIENTIFIC = re.compile(r"[A-Z][a-z]+( [a-z][a-z-]*)+")
# What in the list is no species; everything else is `Scientific name_English name`.
OTHER_SOUNDS: dict[str, LabelKind] = {
    "Dog": "animal",
    "Engine": "machine",
    "Environmental": "weather",
    "Fireworks": "other",
    "Gun": "other",
    "Human non-vocal": "human",
    "Human vocal": "human",
    "Human whistle": "human",
    "Noise": "other",
    "Power tools": "machine",
    "Siren": "machine",
}


def read_labels(file: Path, content: bytes, *, count: int) -> tuple[Label, ...]:
    """Return the labels in the order of the outputs, of which there are `count`.

    Raises `BundleError`, which names the file and the line.
    """
    return _read(file, content, _species, count=count)


def read_classes(file: Path, content: bytes, *, count: int) -> tuple[Label, ...]:
    """Return the labels of a classifier that somebody has trained, as `read_labels` does.

    They are names of folders: `Scientific name_Common name`, or any others.
    """
    return _read(file, content, _class, count=count)


def _read(
    file: Path, content: bytes, label_of: Callable[[str], Label], *, count: int
) -> tuple[Label, ...]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as exc:
        raise BundleError(f"{file}: is no list of labels, its text is not UTF-8") from exc
    if len(lines) != count:
        raise BundleError(f"{file}: has {len(lines)} labels, and the model has {count} outputs")
    labels: dict[str, Label] = {}
    for number, line in enumerate(lines, 1):
        try:
            label = label_of(line)
        except SpecError as exc:
            raise BundleError(f"{file}: line {number}: {exc}") from exc
        if label.label in labels:
            raise BundleError(f"{file}: line {number}: {label.label} is there twice")
        labels[label.label] = label
    return tuple(labels.values())


def _species(line: str) -> Label:
    scientific, separator, common = line.partition("_")
    if not separator:
        raise SpecError(f"{shown(line)} is not 'Scientific name_English name'")
    return _label(scientific, common)


def _class(line: str) -> Label:
    line = line.strip()
    scientific, _, common = line.partition("_")
    if not common or (scientific != common and not SCIENTIFIC.fullmatch(scientific)):
        return replace(_label(line, line), scientific_name="")
    return _label(scientific, common)


def _label(scientific: str, common: str) -> Label:
    return Label(
        label=slug(common),
        common_name=common,
        scientific_name="" if is_no_species(scientific, common) else scientific,
        kind=kind_of(scientific, common),
    )


def is_no_species(scientific: str, common: str) -> bool:
    """Return whether two names, which are then the same, are those of a sound and not a species."""
    return scientific == common and common in OTHER_SOUNDS


def kind_of(scientific: str, common: str) -> LabelKind:
    """Return what kind of sound has these names."""
    return OTHER_SOUNDS[common] if is_no_species(scientific, common) else "animal"


def slug(name: str) -> str:
    """Return a name as a label: its letters and digits in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", re.sub("['’]", "", name))
    ascii_only = plain.encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")
