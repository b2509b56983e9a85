"""Reading a bundle: every file is verified before anything of it is used.

A bundle is a stranger's file. Whatever is in it, reading ends soon, takes little memory, and gives
a bundle or one `BundleError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    golden_file,
    graph_file,
)
from edge.bundle.folder import placed
from edge.bundle.golden import (
    EXPORT_AGAIN,
    LARGEST_BYTES,
    Array,
    Golden,
    arrays_of,
    golden_of,
)
from edge.bundle.graph import LARGEST_GRAPH_BYTES, refuse_strange_graph
from edge.bundle.head_folder import head_on, refuse_other_trunk, trunk_folder
from edge.bundle.manifest import FP32, Manifest
from edge.bundle.occurrence import Occurrence, occurrence_of
from edge.bundle.places import trunk_and_folder
from edge.bundle.rules import Rule
from edge.bundle.signature import PublicKey, Signature, read_signature, refuse_foreign
from edge.bundle.verified import (
    LARGEST_CARD_BYTES,
    calibration_in,
    head_of,
    manifest_content,
    manifest_of,
    refuse_other_names,
    refuse_strange_animal_rule,
    rule_in,
    verified,
)
from edge.errors import BundleError, SpecError, shown

__all__ = ["load_bundle", "load_bundles", "manifest_content"]

LARGEST_WEIGHT = 1e6  # of a bin in a band


def load_bundle(path: Path | str, *, trusted: Sequence[PublicKey] = ()) -> Bundle:
    """Read and verify the bundle directory `path`, which may be two, `TRUNK+HEAD`.

    A head alone is put on its trunk, wherever that is found. With keys that are `trusted`, one of
    them must have signed the bundle or head. Raises `BundleError`, which names the file, the reason
    and what to do.
    """
    return _loaded(path, trusted, [])


def load_bundles(paths: Iterable[Path | str], *, trusted: Sequence[PublicKey] = ()) -> list[Bundle]:
    """Read and verify several as `load_bundle` does; what several stand on is in memory once.

    A head alone finds its trunk among those before it, too.
    """
    found: list[Bundle] = []
    for path in paths:
        known = [*found, *(bundle.trunk for bundle in found if bundle.trunk is not None)]
        found.append(_loaded(path, trusted, known))
    return found


def _loaded(path: Path | str, trusted: Sequence[PublicKey], known: Sequence[Bundle]) -> Bundle:
    """Return the bundle at `path`; those `known` have been read before."""
    trunk, path = trunk_and_folder(path)
    content = manifest_content(path)
    signature = read_signature(path / SIGNATURE)
    if trusted:
        refuse_foreign(path, content, signature, trusted)
    manifest = manifest_of(path / MANIFEST, content)
    refuse_other_names(path, manifest)
    if trunk is not None or manifest.trunk:
        below = _trunk_of(path, manifest, trunk, known)
        refuse_other_trunk(below, path, manifest)
        return head_on(below, path, manifest, signature)
    for bundle in known:
        if (bundle.path, bundle.digest, bundle.signature) == (path, manifest.digest, signature):
            return bundle
    return _whole(path, manifest, signature)


def _trunk_of(
    path: Path, manifest: Manifest, named: Path | None, known: Sequence[Bundle]
) -> Bundle:
    """Return the trunk of a head: that which is `named`, else the first that has its network."""
    for bundle in known:
        is_it = bundle.trunk_digest == manifest.trunk if named is None else bundle.path == named
        if is_it and bundle.trunk is None:
            return bundle
    return load_bundle(named or trunk_folder(path, manifest.trunk))


def _whole(path: Path, manifest: Manifest, signature: Signature | None) -> Bundle:
    networks = _networks(path, manifest)
    verified(path, manifest, CARD, LARGEST_CARD_BYTES)
    bundle = Bundle(
        path=path,
        manifest=manifest,
        networks=networks,
        bands=_bands(path, manifest),
        occurrence=_occurrence(path, manifest),
        calibration=calibration_in(path, manifest),
        signature=signature,
    )
    refuse_strange_animal_rule(bundle)
    return bundle


def _networks(path: Path, manifest: Manifest) -> dict[str, Network]:
    """Return every network by its name. They share the rule, and the samples of the window."""
    golden = _golden(path, manifest, FP32, {})
    rule = rule_in(path, manifest, dimensions=len(golden.embedding))
    networks = {FP32: _network(path, manifest, FP32, golden, rule)}
    samples = {"samples": golden.samples}
    for name in manifest.variants:
        own = _golden(path, manifest, name, samples)
        networks[name] = _network(path, manifest, name, own, rule)
    return networks


def _network(path: Path, manifest: Manifest, name: str, golden: Golden, rule: Rule) -> Network:
    graph = placed(path, graph_file(name))
    try:
        refuse_strange_graph(verified(path, manifest, graph.name, LARGEST_GRAPH_BYTES))
    except SpecError as exc:
        raise BundleError(f"{graph}: {exc}", suggestion=EXPORT_AGAIN) from exc
    head = head_of(path / HEAD, rule, manifest, manifest.variants.get(name, manifest), golden)
    return Network(name=name, path=graph, head=head, golden=golden)


def _golden(path: Path, manifest: Manifest, name: str, known: Mapping[str, Array]) -> Golden:
    file = placed(path, golden_file(name))
    content = verified(path, manifest, file.name, LARGEST_BYTES)
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
    arrays = arrays_of(file, verified(path, manifest, FRONTEND, LARGEST_BYTES))
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
    arrays = arrays_of(file, verified(path, manifest, OCCURRENCE, LARGEST_BYTES))
    try:
        return occurrence_of(arrays, labels=len(manifest.labels))
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
