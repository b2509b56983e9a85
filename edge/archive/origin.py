"""What a dataset knows of the bundle that it was made by: names, and how likely labels are right.

So a dataset can be exported where the bundle is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.archive.manifest import makers_of
from edge.archive.parquet import Row
from edge.bundle import Label
from edge.bundle.mapping import from_mapping
from edge.bundle.probability import calibration_of
from edge.bundle.strictjson import read_json
from edge.errors import ConfigError, SpecError
from edge.files import write_whole
from edge.provenance import BundlePart, Provenance

__all__ = ["origin_of", "read_origin", "write_origin"]

ORIGIN = "bundle.json"


def write_origin(folder: Path, provenance: Provenance) -> None:
    """Write into the dataset at `folder` what made it, where that is not there yet."""
    file = _file(folder, provenance.bundle, key="--out")
    if file.exists():
        return
    calibration = provenance.calibration
    content = {
        "labels": [label.as_mapping() for label in provenance.labels.values()],
        "several": provenance.several,
        "bundles": [part.as_mapping() for part in provenance.parts],
        "calibration": None if calibration is None else calibration.as_mapping(),
    }
    write_whole(file, json.dumps(content, ensure_ascii=False) + "\n", durable=True)


def read_origin(folder: Path, *, key: str, bundle: str | None = None) -> Provenance:
    """Return what made the dataset at `folder`, but for what each recording says itself.

    Of several bundles it is that one. Raises `ConfigError` of `key` where it is missing or damaged.
    """
    file = folder / ORIGIN if bundle is None else _file(folder, bundle, key=key)
    if not file.is_file():
        raise ConfigError(
            f"has no {file.name} with the names of its labels",
            key=key,
            value=folder,
            suggestion="`edge archive hear` writes it, with the bundle that made the dataset",
        )
    found = read_json(file)
    try:
        return _parsed(found, file)
    except (SpecError, KeyError, TypeError) as exc:
        raise ConfigError(f"{file.name} is damaged ({exc})", key=key, value=folder) from exc


def _file(folder: Path, bundle: str, *, key: str) -> Path:
    """Return the file of a bundle: the first one that has heard a dataset has the plain name."""
    first = makers_of(folder, key=key)[0].get("bundle")
    return folder / (ORIGIN if bundle == first else f"bundle-{bundle}.json")


def origin_of(made_by: Provenance, file: Row) -> Provenance:
    """Return what made a recording's detections, by its row of `files`."""
    return Provenance(
        bundle=file["bundle"],
        config=file["config"],
        code=file["code"],
        backend=file["backend"],
        variant=file["variant"],
        hop_s=file["hop_s"],
        labels=made_by.labels,
        several=made_by.several,
        parts=made_by.parts,
        calibration=made_by.calibration,
    )


def _parsed(found: Mapping[str, Any], file: Path) -> Provenance:
    labels = [from_mapping(Label, label, where=str(file)) for label in found["labels"]]
    names = {label.label: label for label in labels}
    calibration = found["calibration"]
    return Provenance(
        bundle="",
        config="",
        code="",
        backend="",
        variant="",
        labels=names,
        several=found["several"],
        parts=tuple(BundlePart(**part) for part in found["bundles"]),
        calibration=None
        if calibration is None
        else calibration_of(file, json.dumps(calibration).encode(), names),
    )
