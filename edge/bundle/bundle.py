"""A bundle: one trained system as a directory that proves its own integrity.

manifest.json    what it is, and the sha256 of every other file; its own digest names the bundle
model.onnx       float32 (B, channels, n_mels, frames) -> embedding (B, D) L2-normalised,
                 logits (B, K), perhaps frames (B, T, K) and attention (B, F', T')
head.npz         arrays of the rejection rule (`heads.rule_arrays`)
golden.npz       one window of samples and the outputs it must give
MODEL_CARD.md    for people

A variant, the same network at another precision, adds model.NAME.onnx and golden.NAME.npz (its own
outputs to the golden window).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle.golden import Golden, NewVariant, load_arrays, read_golden, write_golden
from edge.bundle.heads import Head, Rule, rule_arrays, rule_from_arrays
from edge.bundle.manifest import (
    FORMAT_VERSION,
    FP32,
    PRECISIONS,
    SCORE_THRESHOLD,
    Label,
    Manifest,
    Variant,
)
from edge.bundle.spec import FrontendSpec
from edge.errors import BundleError, SpecError
from edge.files import replacing_folder

__all__ = ["Bundle", "Golden", "Network", "NewVariant", "load_bundle", "write_bundle"]

MODEL, HEAD, GOLDEN, CARD = "model.onnx", "head.npz", "golden.npz", "MODEL_CARD.md"

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The graph of one precision with the head and the expected outputs that belong to it."""

    name: str
    path: Path
    head: Head
    golden: Golden


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle in memory, but for the graphs, which a backend reads from their paths.
    `networks` always has `fp32`.
    """

    path: Path
    manifest: Manifest
    networks: Mapping[str, Network]

    @property
    def head(self) -> Head:
        """Of the fp32 network."""
        return self.networks[FP32].head

    @property
    def golden(self) -> Golden:
        """Of the fp32 network."""
        return self.networks[FP32].golden

    @property
    def digest(self) -> str:
        """The bundle's identity: sha256 over the manifest and, through it, over every file."""
        return self.manifest.digest

    @property
    def frontend(self) -> FrontendSpec:
        """The frontend this model was trained with."""
        return self.manifest.frontend

    @property
    def labels(self) -> tuple[Label, ...]:
        """The known species, in the order of the logits."""
        return self.manifest.labels

    def networks_for(self, backend: str) -> list[Network]:
        """Those made for `backend`, onnx or tensorrt, the fastest first; the last is fp32, which
        every one runs.
        """
        variants = sorted(
            self.manifest.variants.items(),
            key=lambda pair: (PRECISIONS.index(pair[1].precision), pair[0]),
        )
        return [self.networks[name] for name, variant in variants if backend in variant.runs_on] + [
            self.networks[FP32]
        ]

    @property
    def label_thresholds(self) -> Array | None:
        """Least scores (K,) of labels that a window carries beside others; None where it carries
        one at most.
        """
        if self.manifest.activation != "sigmoid":
            return None
        own = self.manifest.label_thresholds
        return np.array(
            [own.get(label.label, SCORE_THRESHOLD) for label in self.labels], np.float32
        )

    @property
    def model_path(self) -> Path:
        """The fp32 ONNX graph."""
        return self.path / MODEL


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify the bundle directory `path`; `BundleError` names the file and the reason."""
    path = Path(path)
    manifest = _read_manifest(path)
    _verify_files(path, manifest)
    networks = {name: _network(path, manifest, name) for name in (FP32, *manifest.variants)}
    return Bundle(path=path, manifest=manifest, networks=networks)


def write_bundle(
    path: Path | str,
    manifest: Manifest,
    *,
    model: bytes,
    rule: Rule,
    golden: Golden,
    card: str,
    variants: Mapping[str, NewVariant] | None = None,
) -> Bundle:
    """Write a bundle beside `path`, verify it, and rename it into place; an existing bundle there
    is replaced whole.

    It has exactly the `variants` given, whatever the manifest said before.
    """
    path = Path(path)
    with replacing_folder(path) as staging:
        (staging / MODEL).write_bytes(model)
        (staging / CARD).write_text(card, encoding="utf-8")
        np.savez_compressed(staging / HEAD, **rule_arrays(rule))  # type: ignore[arg-type]
        write_golden(staging / GOLDEN, golden, samples=golden.samples)
        for name, new in (variants or {}).items():
            _write_variant(staging, name, new)
        described = {name: new.variant for name, new in (variants or {}).items()}
        files = {name: _sha256(staging / name) for name in _file_names(described)}
        manifest = dataclasses.replace(
            manifest,
            files=files,
            variants=described,
            format_version=_format_version(manifest, described),
        )
        text = json.dumps(
            {"digest": manifest.digest, **manifest.as_mapping()}, indent=1, sort_keys=True
        )
        (staging / "manifest.json").write_text(text + "\n", encoding="utf-8")
        load_bundle(staging)
    return load_bundle(path)


def _format_version(manifest: Manifest, variants: Mapping[str, Variant]) -> int:
    """The oldest program that understands it decides; so an older bundle keeps its digest when it
    is written again.
    """
    if manifest.attention:
        return 4
    if manifest.label_thresholds or manifest.frame_threshold is not None:
        return 3
    return 2 if variants else 1


def _file_names(variants: Mapping[str, Variant]) -> list[str]:
    return [
        MODEL,
        HEAD,
        GOLDEN,
        CARD,
        *(file for name in variants for file in (f"model.{name}.onnx", f"golden.{name}.npz")),
    ]


def _write_variant(folder: Path, name: str, new: NewVariant) -> None:
    (folder / f"model.{name}.onnx").write_bytes(new.model)
    write_golden(folder / f"golden.{name}.npz", new)


def _read_manifest(path: Path) -> Manifest:
    file = path / "manifest.json"
    try:
        mapping = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise BundleError(f"{path}: not a bundle, it has no manifest.json") from exc
    except (OSError, ValueError) as exc:
        raise BundleError(f"{file}: cannot be read as JSON ({exc}); copy the bundle again") from exc
    if not isinstance(mapping, dict):
        raise BundleError(f"{file}: not a JSON object; copy the bundle again")
    version = mapping.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise BundleError(
            f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}; update "
            "the program"
        )
    try:
        manifest = Manifest.parse(mapping, where=str(file))
    except SpecError as exc:
        raise BundleError(str(exc)) from exc
    except (TypeError, AttributeError) as exc:
        raise BundleError(
            f"{file}: a value has the wrong type ({exc}); export the bundle again"
        ) from exc
    labels = [label.label for label in manifest.labels]
    if not labels or len(set(labels)) != len(labels):
        raise BundleError(f"{file}: labels must be present and distinct")
    if mapping.get("digest") != manifest.digest:
        raise BundleError(
            f"{file}: was edited after export (its digest does not match); export the bundle again"
        )
    return manifest


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name in _file_names(manifest.variants):
        if name not in manifest.files:
            raise BundleError(f"{path / 'manifest.json'}: does not list {name}")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file}: is missing; copy the bundle again")
        if _sha256(file) != expected:
            raise BundleError(
                f"{file}: is damaged or was edited (sha256 differs from the manifest); copy the "
                "bundle again"
            )


def _network(path: Path, manifest: Manifest, name: str) -> Network:
    golden = read_golden(path / GOLDEN, {}, manifest)
    model, threshold, scale = MODEL, manifest.threshold, manifest.scale
    if name != FP32:
        variant = manifest.variants[name]
        golden = read_golden(path / f"golden.{name}.npz", {"samples": golden.samples}, manifest)
        model, threshold, scale = f"model.{name}.onnx", variant.threshold, variant.scale
    head = _head(path / HEAD, dataclasses.replace(manifest, threshold=threshold, scale=scale))
    if len(golden.logits) != len(manifest.labels):
        raise BundleError(
            f"{path}: manifest.json names {len(manifest.labels)} labels, but {model} has "
            f"{len(golden.logits)} outputs; "
            "export the bundle again"
        )
    if golden.samples.shape != (manifest.frontend.window_samples,):
        raise BundleError(
            f"{path / GOLDEN}: its window has {len(golden.samples)} samples, not the frontend's"
        )
    return Network(name=name, path=path / model, head=head, golden=golden)


def _head(file: Path, manifest: Manifest) -> Head:
    try:
        rule = rule_from_arrays(load_arrays(file))
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but manifest.json says {manifest.rule}")
        return Head(
            activation=manifest.activation,  # type: ignore[arg-type]
            rule=rule,
            threshold=manifest.threshold,
            scale=manifest.scale,
        )
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}; export the bundle again") from exc


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
