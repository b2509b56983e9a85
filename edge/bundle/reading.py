"""Reading a bundle: every file is verified before anything of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.bundle.bundle import (
    HEAD,
    MANIFEST,
    Bundle,
    Network,
    file_names,
    golden_file,
    graph_file,
)
from edge.bundle.digest import sha256_of
from edge.bundle.golden import EXPORT_AGAIN, Array, Golden, load_arrays, read_golden
from edge.bundle.heads import Head
from edge.bundle.manifest import FORMAT_VERSION, FP32, Manifest, Variant
from edge.bundle.rules import Rule, rule_from_arrays
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import BundleError, SpecError

__all__ = ["load_bundle"]

COPY_AGAIN = "copy the bundle again"


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify the bundle directory `path`.

    Raises `BundleError`, which names the file, the reason and what to do.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    _verify_files(path, manifest)
    return Bundle(path=path, manifest=manifest, networks=_networks(path, manifest))


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    mapping = _read_json(path, file)
    version = mapping.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise BundleError(
            f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}",
            suggestion="update the program",
        )
    try:
        manifest = Manifest.parse(mapping, where=str(file))
    except SpecError as exc:
        raise BundleError(str(exc)) from exc
    except (TypeError, AttributeError) as exc:
        raise BundleError(
            f"{file}: a value has the wrong type ({exc})", suggestion=EXPORT_AGAIN
        ) from exc
    labels = [label.label for label in manifest.labels]
    if not labels or len(set(labels)) != len(labels):
        raise BundleError(f"{file}: labels must be present and distinct")
    if mapping.get("digest") != manifest.digest:
        raise BundleError(
            f"{file}: was edited after export (its digest does not match)", suggestion=EXPORT_AGAIN
        )
    return manifest


def _read_json(path: Path, file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except FileNotFoundError as exc:
        raise BundleError(f"{path}: not a bundle, it has no {MANIFEST}") from exc
    except NotJsonError as exc:
        raise BundleError(exc.fault.reason, suggestion=COPY_AGAIN) from exc


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name in file_names(manifest.variants):
        if name not in manifest.files:
            raise BundleError(f"{path / MANIFEST}: does not list {name}")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file}: is missing", suggestion=COPY_AGAIN)
        if sha256_of(file.read_bytes()) != expected:
            raise BundleError(
                f"{file}: is damaged or was edited (sha256 differs from the manifest)",
                suggestion=COPY_AGAIN,
            )


def _networks(path: Path, manifest: Manifest) -> dict[str, Network]:
    """Return every network by its name. They share the rule, and the samples of the window."""
    golden = _golden(path, manifest, FP32, {})
    rule = _rule(path / HEAD, manifest)
    samples = {"samples": golden.samples}

    def network(name: str, golden: Golden, chosen: Manifest | Variant) -> Network:
        head = _head(path / HEAD, rule, manifest, chosen)
        return Network(name=name, path=path / graph_file(name), head=head, golden=golden)

    networks = {FP32: network(FP32, golden, manifest)}
    for name, variant in manifest.variants.items():
        networks[name] = network(name, _golden(path, manifest, name, samples), variant)
    return networks


def _golden(path: Path, manifest: Manifest, name: str, known: Mapping[str, Array]) -> Golden:
    golden = read_golden(path / golden_file(name), known, manifest)
    _check_golden(path, manifest, golden, path / graph_file(name))
    return golden


def _check_golden(path: Path, manifest: Manifest, golden: Golden, graph: Path) -> None:
    if len(golden.logits) != len(manifest.labels):
        raise BundleError(
            f"{path}: {MANIFEST} names {len(manifest.labels)} labels, but {graph.name} has "
            f"{len(golden.logits)} outputs",
            suggestion=EXPORT_AGAIN,
        )
    if golden.samples.shape != (manifest.frontend.window_samples,):
        raise BundleError(
            f"{path / golden_file(FP32)}: its window has {len(golden.samples)} samples, the "
            f"frontend's has {manifest.frontend.window_samples}",
            suggestion=EXPORT_AGAIN,
        )


def _rule(file: Path, manifest: Manifest) -> Rule:
    try:
        rule = rule_from_arrays(load_arrays(file))
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but {MANIFEST} says {manifest.rule}")
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
    return rule


def _head(file: Path, rule: Rule, manifest: Manifest, chosen: Manifest | Variant) -> Head:
    """Return the rule with the threshold and the scale that were chosen for one network."""
    try:
        return Head(
            activation=manifest.activation,  # type: ignore[arg-type]
            rule=rule,
            threshold=chosen.threshold,
            scale=chosen.scale,
        )
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
