"""A table of labels that a person has made: which column of the logits is which species."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from deploy.importing.birdnet_labels import is_no_species, kind_of, slug
from edge.bundle import Label
from edge.bundle.labels import LabelKind
from edge.bundle.manifest import MOST_LABELS
from edge.errors import BundleError, SpecError, shown

__all__ = ["read_table"]

NEEDED = ("common_name", "scientific_name")
ASIDE = ("label", "kind")
LARGEST_BYTES = 50_000_000
KINDS = {str(kind): kind for kind in get_args(LabelKind)}


@dataclass(frozen=True, kw_only=True)
class _Row:
    number: int
    label: str
    common_name: str
    scientific_name: str
    kind: LabelKind


def read_table(file: Path) -> tuple[Label, ...]:
    """Return the labels of a CSV table, in the order of its lines, which is that of the logits.

    It has the columns `common_name` and `scientific_name`, of which one may be empty, and perhaps
    `label` and `kind`; others are passed over. A label that is not given is the common name in
    lower case, and the scientific one where two species have the same common name. Raises
    `BundleError`, which names the file and the line.
    """
    try:
        rows = list(_rows(file))
    except (SpecError, csv.Error, UnicodeDecodeError) as exc:
        raise BundleError(f"{file}: is no table of labels: {exc}") from exc
    except OSError as exc:
        raise BundleError(f"{file}: cannot be read ({exc.strerror or exc})") from exc
    if not 1 <= len(rows) <= MOST_LABELS:
        raise BundleError(f"{file}: has {len(rows)} labels, and a bundle has 1 to {MOST_LABELS}")
    counts = Counter(_label(row) for row in rows)
    labels: dict[str, Label] = {}
    for row in rows:
        twice = counts[_label(row)] > 1 and not row.label
        label = slug(row.scientific_name) if twice and row.scientific_name else _label(row)
        if label in labels:
            raise BundleError(f"{file}: line {row.number}: the label {label} is there twice")
        try:
            labels[label] = Label(
                label=label,
                common_name=row.common_name or row.scientific_name,
                scientific_name=row.scientific_name,
                kind=row.kind,
            )
        except SpecError as exc:
            raise BundleError(f"{file}: line {row.number}: {exc}") from exc
    return tuple(labels.values())


def _label(row: _Row) -> str:
    return row.label or slug(row.common_name) or slug(row.scientific_name)


def _rows(file: Path) -> Iterator[_Row]:
    if file.stat().st_size > LARGEST_BYTES:
        raise SpecError(f"it is larger than {LARGEST_BYTES // 1_000_000} MB")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, strict=True)
        columns = [column.strip() for column in table.fieldnames or ()]
        table.fieldnames = columns
        lacking = [name for name in NEEDED if name not in columns]
        if lacking or any(columns.count(name) > 1 for name in (*NEEDED, *ASIDE)):
            raise SpecError(
                f"its first line must name the columns {' and '.join(NEEDED)}, and may name "
                f"{' and '.join(ASIDE)}, each once"
            )
        for row in table:
            yield _row(table.line_num, row)


def _row(number: int, cells: dict[str | None, str | None]) -> _Row:
    if None in cells or None in cells.values():
        raise SpecError(f"line {number} has more or fewer cells than the first line")
    text = {name: (cells.get(name) or "").strip() for name in (*NEEDED, *ASIDE)}
    common, scientific = text["common_name"], text["scientific_name"]
    if not common and not scientific:
        raise SpecError(f"line {number} has no name")
    if text["kind"] and text["kind"] not in KINDS:
        raise SpecError(
            f"line {number}: the kind {shown(text['kind'])} is none of {', '.join(KINDS)}"
        )
    names = (scientific or common, common)
    return _Row(
        number=number,
        label=text["label"],
        common_name=common,
        scientific_name="" if is_no_species(*names) else scientific,
        kind=KINDS.get(text["kind"]) or kind_of(*names),
    )
