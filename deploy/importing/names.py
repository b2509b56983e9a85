"""Names of species in other languages, from a table that a person has."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge.bundle import Label
from edge.bundle.labels import check_language
from edge.errors import BundleError, SpecError

__all__ = ["with_names"]

KEY = "scientific_name"
LARGEST_BYTES = 50_000_000


def with_names(labels: tuple[Label, ...], file: Path) -> tuple[Label, ...]:
    """Return `labels` with the names that the CSV table `file` has for them.

    It has a column `scientific_name`, and one for each language, headed by its code. Species that
    are not in `labels` are passed over, and empty cells are no names. Raises `BundleError`, which
    names the file and what is wrong, also where not one name is of use.
    """
    by_species: dict[str, dict[str, str]] = {}
    try:
        for species, names in _rows(file):
            by_species.setdefault(species, {}).update(names)
        found = tuple(_named(label, by_species) for label in labels)
    except (SpecError, csv.Error, UnicodeDecodeError) as exc:
        raise BundleError(f"{file}: is no table of names: {exc}") from exc
    except OSError as exc:
        raise BundleError(f"{file}: {exc.strerror or exc}") from exc
    if found == labels:
        raise BundleError(f"{file}: has no name for any of the {len(labels)} labels")
    return found


def _rows(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    if file.stat().st_size > LARGEST_BYTES:
        raise SpecError(f"it is larger than {LARGEST_BYTES // 1_000_000} MB")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, strict=True)
        columns = list(table.fieldnames or ())
        if columns.count(KEY) != 1 or len(set(columns)) != len(columns) or len(columns) < 2:
            raise SpecError(f"its first line must be {KEY} and languages, each once, e.g. {KEY},de")
        languages = [check_language(column) for column in columns if column != KEY]
        for row in table:
            names = {code: (row[code] or "").strip() for code in languages}
            yield (row[KEY] or "").strip(), {code: name for code, name in names.items() if name}


def _named(label: Label, by_species: dict[str, dict[str, str]]) -> Label:
    names = by_species.get(label.scientific_name) if label.scientific_name else None
    return replace(label, names={**label.names, **names}) if names else label
