"""Writing a bundle: whole, verified and in place, or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.bundle.bundle import (
    CARD,
    FRONTEND,
    HEAD,
    MANIFEST,
    OCCURRENCE,
    PROBABILITY,
    TOP,
    Bundle,
    file_names,
    golden_file,
    graph_file,
)
from edge.bundle.digest import sha256_of
from edge.bundle.golden import Array, Golden, NewVariant, write_golden
from edge.bundle.graph import LARGEST_GRAPH_BYTES
from edge.bundle.head_folder import head_on
from edge.bundle.manifest import FP32, ListMargin, Manifest, Variant
from edge.bundle.occurrence import Occurrence
from edge.bundle.overwriting import check_place
from edge.bundle.probability import ScoreCalibration
from edge.bundle.reading import load_bundle
from edge.bundle.rules import Rule, rule_arrays
from edge.bundle.top import Top
from edge.bundle.verified import manifest_content, manifest_of, verified
from edge.files import replacing_folder

__all__ = ["Stored", "calibrated_bundle", "write_bundle", "write_head"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What only some bundles have: see `Bundle.bands`, `occurrence` and `calibration`."""

    bands: Mapping[str, Array] = field(default_factory=dict)
    occurrence: Occurrence | None = None
    calibration: ScoreCalibration | None = None


def write_bundle(
    path: Path | str,
    manifest: Manifest,
    *,
    model: bytes,
    rule: Rule,
    golden: Golden,
    card: str,
    variants: Mapping[str, NewVariant] | None = None,
    stored: Stored | None = None,
) -> Bundle:
    """Write a bundle beside `path`, verify it, and rename it into place.

    A bundle that was there is replaced whole. The new one has exactly the `variants` given,
    whatever the manifest said before, and what is to be `stored` beside them. Raises OSError, and
    `BundleError` for parts that do not belong together, or a place where something else is.
    """
    path, stored = Path(path), stored or Stored()
    check_place(path)
    manifest = dataclasses.replace(manifest, probability=stored.calibration is not None)
    with replacing_folder(path) as staging:
        (staging / graph_file(FP32)).write_bytes(model)
        (staging / CARD).write_text(card, encoding="utf-8")
        np.savez_compressed(staging / HEAD, **rule_arrays(rule))  # type: ignore[arg-type]
        _write_stored(staging, stored)
        write_golden(staging / golden_file(FP32), golden, samples=golden.samples)
        for name, variant in (variants or {}).items():
            (staging / graph_file(name)).write_bytes(variant.model)
            write_golden(staging / golden_file(name), variant)
        described = {name: new.variant for name, new in (variants or {}).items()}
        _write_manifest(staging, manifest, described)
        load_bundle(staging)
    return load_bundle(path)


def write_head(
    path: Path | str,
    manifest: Manifest,
    *,
    trunk: Bundle,
    top: Top,
    rule: Rule,
    card: str,
    calibration: ScoreCalibration | None = None,
) -> Bundle:
    """Write a head on `trunk` beside `path`, verify it, and rename it into place.

    Raises OSError, and `BundleError` for parts that do not belong together.
    """
    path = Path(path)
    check_place(path)
    manifest = dataclasses.replace(
        manifest, trunk=trunk.trunk_digest, probability=calibration is not None
    )
    golden = trunk.golden
    logits = top(golden.embedding[np.newaxis], golden.logits[np.newaxis])[1][0]
    with replacing_folder(path) as staging:
        (staging / CARD).write_text(card, encoding="utf-8")
        np.savez_compressed(staging / HEAD, **rule_arrays(rule))  # type: ignore[arg-type]
        np.savez_compressed(staging / TOP, **top.as_arrays())  # type: ignore[arg-type]
        np.savez_compressed(staging / golden_file(FP32), logits=logits)
        _write_stored(staging, Stored(calibration=calibration))
        _write_manifest(staging, manifest, {})
        _head_in(staging, trunk)
    return _head_in(path, trunk)


def calibrated_bundle(
    bundle: Bundle,
    path: Path | str,
    calibration: ScoreCalibration,
    *,
    card: str | None = None,
    list_margin: ListMargin | None = None,
) -> Bundle:
    """Write `bundle` with this calibration, and perhaps another `card` and margin, at `path`.

    That may be where it stands. All else is as it was, but for a signature, which was of another
    content. Raises OSError, and `BundleError` where a file is not what it was.
    """
    path, manifest, trunk = Path(path), bundle.manifest, bundle.trunk
    check_place(path)
    kept = [name for name in manifest.files if name != PROBABILITY]
    with replacing_folder(path) as staging:
        for name in kept:
            content = verified(bundle.path, manifest, name, LARGEST_GRAPH_BYTES)
            (staging / name).write_bytes(content)
        if card is not None:
            (staging / CARD).write_text(card, encoding="utf-8")
        _write_stored(staging, Stored(calibration=calibration))
        margin = list_margin or manifest.list_margin
        changed = dataclasses.replace(manifest, probability=True, list_margin=margin)
        _write_manifest(staging, changed, manifest.variants)
        load_bundle(staging) if trunk is None else _head_in(staging, trunk)
    return load_bundle(path) if trunk is None else _head_in(path, trunk)


def _head_in(folder: Path, trunk: Bundle) -> Bundle:
    manifest = manifest_of(folder / MANIFEST, manifest_content(folder))
    return head_on(trunk, folder, manifest, None)


def _write_stored(folder: Path, stored: Stored) -> None:
    if stored.bands:
        np.savez_compressed(folder / FRONTEND, **stored.bands)  # type: ignore[arg-type]
    if stored.occurrence is not None:
        arrays = stored.occurrence.as_arrays()
        np.savez_compressed(folder / OCCURRENCE, **arrays)  # type: ignore[arg-type]
    if stored.calibration is not None:
        (folder / PROBABILITY).write_bytes(stored.calibration.content())


def _write_manifest(folder: Path, manifest: Manifest, variants: dict[str, Variant]) -> None:
    complete = dataclasses.replace(
        manifest,
        files={
            name: sha256_of((folder / name).read_bytes()) for name in file_names(manifest, variants)
        },
        variants=variants,
        format_version=_format_version(manifest, variants),
    )
    content = {"digest": complete.digest, **complete.as_mapping()}
    text = json.dumps(content, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _format_version(manifest: Manifest, variants: Mapping[str, Variant]) -> int:
    """Return the version of the oldest program that understands the bundle.

    So a bundle without anything new keeps its digest when it is written again.
    """
    if manifest.needs_version_5:
        return 5
    if manifest.attention:
        return 4
    if manifest.label_thresholds or manifest.frame_threshold is not None:
        return 3
    return 2 if variants else 1
