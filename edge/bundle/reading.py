"""Reading a bundle: every file is verified before anything of it is used.

A bundle is a stranger's file. Whatever is in it, reading ends soon, takes little memory, and gives
a bundle or one `BundleError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.bundle.bundle import (
    CARD,
    FRONTEND,
    HEAD,
    MANIFEST,
    OCCURRENCE,
    SIGNATURE,
    Bundle,
    Network,
    file_names,
    golden_file,
    graph_file,
)
from edge.bundle.digest import sha256_of
from edge.bundle.folder import COPY_AGAIN, content_of, placed, refuse_other_files
from edge.bundle.golden import (
    EXPORT_AGAIN,
    LARGEST_BYTES,
    Array,
    Golden,
    arrays_of,
    golden_of,
)
from edge.bundle.graph import LARGEST_GRAPH_BYTES, refuse_strange_graph
from edge.bundle.heads import Head
from edge.bundle.manifest import FORMAT_VERSION, FP32, Manifest, Variant
from edge.bundle.mapping import refuse_strange_values
from edge.bundle.occurrence import Occurrence, occurrence_of
from edge.bundle.rule_file import checked_rule
from edge.bundle.rules import Rule
from edge.bundle.signature import PublicKey, read_signature, refuse_foreign
from edge.bundle.strictjson import NotJsonError, json_object
from edge.errors import BundleError, SpecError, shown

__all__ = ["load_bundle", "manifest_content"]

LARGEST_MANIFEST_BYTES = 5_000_000
LARGEST_CARD_BYTES = 10_000_000
LARGEST_WEIGHT = 1e6  # of a bin in a band


def load_bundle(path: Path | str, *, trusted: Sequence[PublicKey] = ()) -> Bundle:
    """Read and verify the bundle directory `path`.

    With keys that are `trusted`, one of them must have signed it. Raises `BundleError`, which names
    the file, the reason and what to do.
    """
    path = Path(path)
    content = manifest_content(path)
    signature = read_signature(path / SIGNATURE)
    if trusted:
        refuse_foreign(path, content, signature, trusted)
    manifest = _manifest(path / MANIFEST, content)
    _refuse_other_names(path, manifest)
    networks = _networks(path, manifest)
    _verified(path, manifest, CARD, LARGEST_CARD_BYTES)
    return Bundle(
        path=path,
        manifest=manifest,
        networks=networks,
        bands=_bands(path, manifest),
        occurrence=_occurrence(path, manifest),
        signature=signature,
    )


def manifest_content(path: Path) -> bytes:
    """Return the content of the manifest of the bundle at `path`; raises `BundleError`."""
    try:
        return content_of(path / MANIFEST, most_bytes=LARGEST_MANIFEST_BYTES)
    except FileNotFoundError as exc:
        raise BundleError(f"{path}: not a bundle, it has no {MANIFEST}") from exc


def _manifest(file: Path, content: bytes) -> Manifest:
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


def _refuse_other_names(path: Path, manifest: Manifest) -> None:
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


def _verified(path: Path, manifest: Manifest, name: str, most_bytes: int) -> bytes:
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


def _networks(path: Path, manifest: Manifest) -> dict[str, Network]:
    """Return every network by its name. They share the rule, and the samples of the window."""
    golden = _golden(path, manifest, FP32, {})
    rule = _rule(path, manifest, dimensions=len(golden.embedding))
    networks = {FP32: _network(path, manifest, FP32, golden, rule)}
    samples = {"samples": golden.samples}
    for name in manifest.variants:
        own = _golden(path, manifest, name, samples)
        networks[name] = _network(path, manifest, name, own, rule)
    return networks


def _network(path: Path, manifest: Manifest, name: str, golden: Golden, rule: Rule) -> Network:
    graph = placed(path, graph_file(name))
    try:
        refuse_strange_graph(_verified(path, manifest, graph.name, LARGEST_GRAPH_BYTES))
    except SpecError as exc:
        raise BundleError(f"{graph}: {exc}", suggestion=EXPORT_AGAIN) from exc
    head = _head(path / HEAD, rule, manifest, manifest.variants.get(name, manifest), golden)
    return Network(name=name, path=graph, head=head, golden=golden)


def _golden(path: Path, manifest: Manifest, name: str, known: Mapping[str, Array]) -> Golden:
    file = placed(path, golden_file(name))
    content = _verified(path, manifest, file.name, LARGEST_BYTES)
    golden = golden_of(file, content, known, manifest)
    if len(golden.logits) != len(manifest.labels):
        raise BundleError(
            f"{path}: {MANIFEST} names {len(manifest.labels)} labels, but {graph_file(name)} has "
            f"{len(golden.logits)} outputs",
            suggestion=EXPORT_AGAIN,
        )
    if golden.samples.shape != (manifest.frontend.window_samples,):
        raise BundleError(
            f"{path / golden_file(FP32)}: its window has {len(golden.samples)} samples, the "
            f"frontend's has {manifest.frontend.window_samples}",
            suggestion=EXPORT_AGAIN,
        )
    return golden


def _bands(path: Path, manifest: Manifest) -> dict[str, Array]:
    """Return the bands that the frontend needs."""
    wanted = manifest.frontend.stored_bands
    if not wanted:
        return {}
    file = path / FRONTEND
    arrays = arrays_of(file, _verified(path, manifest, FRONTEND, LARGEST_BYTES))
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != wanted:
        reason = f"holds {shown(shapes)}, and the frontend needs {wanted}"
        raise BundleError(f"{file}: {reason}", suggestion=EXPORT_AGAIN)
    for name, array in arrays.items():
        if array.dtype != np.float32 or not (np.abs(array) < LARGEST_WEIGHT).all():
            reason = f"{name} is not of 32-bit numbers below {LARGEST_WEIGHT:g}"
            raise BundleError(f"{file}: {reason}", suggestion=EXPORT_AGAIN)
    return arrays


def _occurrence(path: Path, manifest: Manifest) -> Occurrence | None:
    if not manifest.occurrence:
        return None
    file = path / OCCURRENCE
    arrays = arrays_of(file, _verified(path, manifest, OCCURRENCE, LARGEST_BYTES))
    try:
        return occurrence_of(arrays, labels=len(manifest.labels))
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc


def _rule(path: Path, manifest: Manifest, *, dimensions: int) -> Rule:
    file = path / HEAD
    arrays = arrays_of(file, _verified(path, manifest, HEAD, LARGEST_BYTES))
    try:
        rule = checked_rule(arrays, labels=len(manifest.labels), dimensions=dimensions)
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but {MANIFEST} says {shown(manifest.rule)}")
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
    return rule


def _head(
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
        )
        with np.errstate(all="ignore"):
            verdicts = head(golden.embedding[np.newaxis], golden.logits[np.newaxis])
        if not (np.isfinite(verdicts.scores).all() and np.isfinite(verdicts.novelty).all()):
            raise SpecError("its verdict on the golden window is not finite")
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
    return head
