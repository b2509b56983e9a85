"""The parts of a bundle that every kind of it has, each verified before anything of it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.bundle.bundle import HEAD, MANIFEST, PROBABILITY, SIGNATURE, Bundle, file_names
from edge.bundle.digest import sha256_of
from edge.bundle.folder import COPY_AGAIN, content_of, placed, refuse_other_files
from edge.bundle.golden import EXPORT_AGAIN, LARGEST_BYTES, Golden, arrays_of
from edge.bundle.heads import Head
from edge.bundle.manifest import FORMAT_VERSION, Manifest
from edge.bundle.mapping import refuse_strange_values
from edge.bundle.probability import ScoreCalibration, calibration_of
from edge.bundle.rule_file import checked_rule
from edge.bundle.rules import Rule
from edge.bundle.strictjson import NotJsonError, json_object
from edge.bundle.variant import Variant
from edge.errors import BundleError, SpecError, shown

__all__ = [
    "LARGEST_CARD_BYTES",
    "calibration_in",
    "head_of",
    "manifest_content",
    "manifest_of",
    "refuse_other_names",
    "refuse_strange_animal_rule",
    "rule_in",
    "verified",
]

LARGEST_MANIFEST_BYTES = 5_000_000
LARGEST_CARD_BYTES = 10_000_000
LARGEST_CALIBRATION_BYTES = 5_000_000


def manifest_content(path: Path) -> bytes:
    """Return the content of the manifest of the bundle at `path`; raises `BundleError`."""
    try:
        return content_of(path / MANIFEST, most_bytes=LARGEST_MANIFEST_BYTES)
    except FileNotFoundError as exc:
        raise BundleError(f"{path}: not a bundle, it has no {MANIFEST}") from exc


def manifest_of(file: Path, content: bytes) -> Manifest:
    """Return the manifest in the `content` of `file`; raises `BundleError`."""
    try:
        mapping = json_object(content, file)
    except NotJsonError as exc:
        raise BundleError(exc.fault.reason, suggestion=COPY_AGAIN) from exc
    version = mapping.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise BundleError(
            f"{file}: format version {shown(version)}, this program reads up to {FORMAT_VERSION}",
            suggestion="update the program",
        )
    try:
        refuse_strange_values(mapping)
        manifest = Manifest.parse(mapping, where=str(file))
    except SpecError as exc:
        reason = str(exc)
        named = reason if reason.startswith(str(file)) else f"{file}: {reason}"
        raise BundleError(named, suggestion=EXPORT_AGAIN) from exc
    if mapping.get("digest") != manifest.digest:
        raise BundleError(
            f"{file}: was edited after export (its digest does not match)", suggestion=EXPORT_AGAIN
        )
    return manifest


def refuse_other_names(path: Path, manifest: Manifest) -> None:
    """Refuse what the format does not name, in the manifest's list and in the folder."""
    names = file_names(manifest, manifest.variants)
    for name in names:
        if name not in manifest.files:
            raise BundleError(f"{path / MANIFEST}: does not list {name}")
    strange = sorted(set(manifest.files) - set(names))
    if strange:
        raise BundleError(
            f"{path / MANIFEST}: lists {shown(strange[0])}, which is no file of this bundle"
        )
    refuse_other_files(path, [*names, MANIFEST, SIGNATURE])


def verified(path: Path, manifest: Manifest, name: str, most_bytes: int) -> bytes:
    """Return the content of a file, once it is what the manifest says."""
    file = placed(path, name)
    try:
        content = content_of(file, most_bytes=most_bytes)
    except FileNotFoundError as exc:
        raise BundleError(f"{file}: is missing", suggestion=COPY_AGAIN) from exc
    if sha256_of(content) != manifest.files[name]:
        raise BundleError(
            f"{file}: is damaged or was edited (sha256 differs from the manifest)",
            suggestion=COPY_AGAIN,
        )
    return content


def calibration_in(path: Path, manifest: Manifest) -> ScoreCalibration | None:
    """Return how likely labels are right; None where the bundle does not say."""
    if not manifest.probability:
        return None
    content = verified(path, manifest, PROBABILITY, LARGEST_CALIBRATION_BYTES)
    try:
        labels = [label.label for label in manifest.labels]
        return calibration_of(path / PROBABILITY, content, labels)
    except SpecError as exc:
        raise BundleError(str(exc), suggestion=EXPORT_AGAIN) from exc


def rule_in(path: Path, manifest: Manifest, *, dimensions: int) -> Rule:
    """Return the rule of rejection, for embeddings of D `dimensions`; raises `BundleError`."""
    file = path / HEAD
    arrays = arrays_of(file, verified(path, manifest, HEAD, LARGEST_BYTES))
    try:
        rule = checked_rule(arrays, labels=len(manifest.labels), dimensions=dimensions)
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but {MANIFEST} says {shown(manifest.rule)}")
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
    return rule


def head_of(
    file: Path, rule: Rule, manifest: Manifest, chosen: Manifest | Variant, golden: Golden
) -> Head:
    """Return the rule with the threshold and the scale that were chosen for one network.

    It has judged the outputs that the golden window must give.
    """
    try:
        head = Head(
            activation=manifest.activation,
            rule=rule,
            threshold=chosen.threshold,
            scale=chosen.scale,
            label_thresholds=manifest.thresholds,
        )
        with np.errstate(all="ignore"):
            verdicts = head(golden.embedding[np.newaxis], golden.logits[np.newaxis])
        if not (np.isfinite(verdicts.scores).all() and np.isfinite(verdicts.novelty).all()):
            raise SpecError("its verdict on the golden window is not finite")
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
    return head


def refuse_strange_animal_rule(bundle: Bundle) -> None:
    """Refuse a rule for animals that cannot judge what the network, or that of the trunk, says."""
    rule = bundle.manifest.animal
    if rule is None:
        return
    golden = (bundle.trunk or bundle).golden
    try:
        rule.check(animals=bundle.heard_animals, dimensions=len(golden.embedding))
    except SpecError as exc:
        raise BundleError(f"{bundle.path / MANIFEST}: {exc}", suggestion=EXPORT_AGAIN) from exc
