"""Reading a bundle: every file is verified before anything of it is used."""

from __future__ import annotations

import dataclasses
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
from edge.bundle.golden import Golden, load_arrays, read_golden
from edge.bundle.heads import Head
from edge.bundle.manifest import FORMAT_VERSION, FP32, Manifest
from edge.bundle.rules import rule_from_arrays
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import BundleError, SpecError

__all__ = ["load_bundle"]

COPY_AGAIN = "copy the bundle again"
EXPORT_AGAIN = "export the bundle again"


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify the bundle directory `path`.

    Raises `BundleError`, which names the file, the reason and what to do.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    _verify_files(path, manifest)
    networks = {name: _network(path, manifest, name) for name in (FP32, *manifest.variants)}
    return Bundle(path=path, manifest=manifest, networks=networks)


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


def _network(path: Path, manifest: Manifest, name: str) -> Network:
    golden = read_golden(path / golden_file(FP32), {}, manifest)
    threshold = manifest.threshold
    scale = manifest.scale
    if name != FP32:
        variant = manifest.variants[name]
        golden = read_golden(path / golden_file(name), {"samples": golden.samples}, manifest)
        threshold = variant.threshold
        scale = variant.scale
    graph = path / graph_file(name)
    _check_golden(path, manifest, golden, graph)
    head = _head(path / HEAD, dataclasses.replace(manifest, threshold=threshold, scale=scale))
    return Network(name=name, path=graph, head=head, golden=golden)


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


def _head(file: Path, manifest: Manifest) -> Head:
    try:
        rule = rule_from_arrays(load_arrays(file))
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but {MANIFEST} says {manifest.rule}")
        return Head(
            activation=manifest.activation,  # type: ignore[arg-type]
            rule=rule,
            threshold=manifest.threshold,
            scale=manifest.scale,
        )
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}", suggestion=EXPORT_AGAIN) from exc
