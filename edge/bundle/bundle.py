"""A bundle: one trained system as a directory that proves its own integrity.

manifest.json    what it is, and the sha256 of every other file; its own digest names the bundle
model.onnx       float32 (B, channels, n_mels, frames) -> embedding (B, D) L2-normalised, logits (B, K)
head.npz         arrays of the rejection rule (`heads.rule_arrays`)
golden.npz       one window of samples and the embedding and logits it must give
MODEL_CARD.md    for people
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import Head, Rule, rule_arrays, rule_from_arrays
from edge.bundle.spec import FrontendSpec, from_mapping
from edge.errors import BundleError, SpecError

__all__ = ["FORMAT_VERSION", "Bundle", "Golden", "Label", "Manifest", "load_bundle", "write_bundle"]

FORMAT_VERSION = 1
MODEL, HEAD, GOLDEN, CARD = "model.onnx", "head.npz", "golden.npz", "MODEL_CARD.md"

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Label:
    """One species: `label` is the stable key (and topic slug), the names are for people; scientific may be empty."""

    label: str
    common_name: str
    scientific_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One window with its expected outputs: samples (n,), embedding (D,), logits (K,); outputs may differ by `tolerance`."""

    samples: Array
    embedding: Array
    logits: Array
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` holds. `training_data` is the digest of the training recordings, `code` the version that trained."""

    name: str
    labels: tuple[Label, ...]
    frontend: FrontendSpec
    activation: str
    rule: str
    threshold: float
    scale: float
    training_data: str
    code: str
    metrics: dict[str, Any]
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def as_mapping(self) -> dict[str, Any]:
        """Plain JSON types; the inverse of `parse`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        labels = [dataclasses.asdict(label) for label in self.labels]
        return {**plain, "labels": labels, "frontend": self.frontend.as_mapping()}

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> Manifest:
        """Build from JSON; raises `SpecError` naming the key."""
        values = {k: v for k, v in mapping.items() if k != "digest"}
        values["frontend"] = FrontendSpec.parse(values.get("frontend", {}), where=f"{where}: frontend")
        values["labels"] = tuple(from_mapping(Label, label, where=f"{where}: labels") for label in values.get("labels", ()))
        manifest: Manifest = from_mapping(Manifest, values, where=where)
        return manifest

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, which holds every other file's sha256: the identity of the whole bundle."""
        return hashlib.sha256(json.dumps(self.as_mapping(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle in memory, but for the graph, which the backend reads from `model_path`."""

    path: Path
    manifest: Manifest
    head: Head
    golden: Golden

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

    @property
    def model_path(self) -> Path:
        """The fp32 ONNX graph."""
        return self.path / MODEL


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify the bundle directory `path`; `BundleError` names the file and the reason."""
    path = Path(path)
    manifest = _read_manifest(path)
    _verify_files(path, manifest)
    head, golden = _head(path / HEAD, manifest), _golden(path / GOLDEN)
    if len(golden.logits) != len(manifest.labels):
        raise BundleError(
            f"{path}: manifest.json names {len(manifest.labels)} labels, but the model has {len(golden.logits)} outputs; "
            "export the bundle again"
        )
    if golden.samples.shape != (manifest.frontend.window_samples,):
        raise BundleError(f"{path / GOLDEN}: its window has {len(golden.samples)} samples, not the frontend's")
    return Bundle(path=path, manifest=manifest, head=head, golden=golden)


def write_bundle(path: Path | str, manifest: Manifest, *, model: bytes, rule: Rule, golden: Golden, card: str) -> Bundle:
    """Write a bundle beside `path`, verify it, and rename it into place; an existing bundle there is replaced whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    retired = staging.with_name(f"{staging.name}.old")
    try:
        staging.chmod(0o755)
        (staging / MODEL).write_bytes(model)
        (staging / CARD).write_text(card, encoding="utf-8")
        np.savez_compressed(staging / HEAD, **rule_arrays(rule))  # type: ignore[arg-type]
        np.savez_compressed(staging / GOLDEN, **dataclasses.asdict(golden))
        files = {name: _sha256(staging / name) for name in (MODEL, HEAD, GOLDEN, CARD)}
        manifest = dataclasses.replace(manifest, files=files)
        text = json.dumps({"digest": manifest.digest, **manifest.as_mapping()}, indent=1, sort_keys=True)
        (staging / "manifest.json").write_text(text + "\n", encoding="utf-8")
        load_bundle(staging)
        if path.exists():  # two renames, because a directory that is not empty cannot be replaced by one
            path.rename(retired)
        staging.rename(path)
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
    return load_bundle(path)


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
        raise BundleError(f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}; update the program")
    try:
        manifest = Manifest.parse(mapping, where=str(file))
    except SpecError as exc:
        raise BundleError(str(exc)) from exc
    except (TypeError, AttributeError) as exc:
        raise BundleError(f"{file}: a value has the wrong type ({exc}); export the bundle again") from exc
    labels = [label.label for label in manifest.labels]
    if not labels or len(set(labels)) != len(labels):
        raise BundleError(f"{file}: labels must be present and distinct")
    if mapping.get("digest") != manifest.digest:
        raise BundleError(f"{file}: was edited after export (its digest does not match); export the bundle again")
    return manifest


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name in (MODEL, HEAD, GOLDEN, CARD):
        if name not in manifest.files:
            raise BundleError(f"{path / 'manifest.json'}: does not list {name}")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file}: is missing; copy the bundle again")
        if _sha256(file) != expected:
            raise BundleError(f"{file}: is damaged or was edited (sha256 differs from the manifest); copy the bundle again")


def _load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as exc:
        raise BundleError(f"{file}: is not a file of named arrays ({exc}); export the bundle again") from exc


def _head(file: Path, manifest: Manifest) -> Head:
    try:
        rule = rule_from_arrays(_load_arrays(file))
        if rule.kind != manifest.rule:
            raise SpecError(f"its rule is {rule.kind}, but manifest.json says {manifest.rule}")
        return Head(activation=manifest.activation, rule=rule, threshold=manifest.threshold, scale=manifest.scale)  # type: ignore[arg-type]
    except SpecError as exc:
        raise BundleError(f"{file}: {exc}; export the bundle again") from exc


def _golden(file: Path) -> Golden:
    arrays = _load_arrays(file)
    try:
        return Golden(
            samples=arrays["samples"],
            embedding=arrays["embedding"],
            logits=arrays["logits"],
            tolerance=float(arrays["tolerance"]),
        )
    except KeyError as exc:
        raise BundleError(f"{file}: array {exc} is missing; export the bundle again") from exc


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
