"""A bundle: one trained system as a directory that proves its own integrity.

manifest.json    what it is, and the sha256 of every other file; its own digest names the bundle
model.onnx       float32 (B, channels, n_mels, frames), of a waveform (B, 1, 1, samples)
                 -> embedding (B, D), mostly L2-normalised, logits (B, K), perhaps frames
                 (B, T, K), attention (B, F', T') and time_attention (B, T'')
head.npz         arrays of the rejection rule (`rules.rule_arrays`)
frontend.npz     perhaps: the bands that the frontend needs (`FrontendSpec.stored_bands`)
occurrence.npz   perhaps: which labels a place has in which week (`occurrence.py`)
probability.json perhaps: how likely a label is right, by its score (`probability.py`)
golden.npz       one window of samples and the outputs it must give
MODEL_CARD.md    for people
manifest.sig     perhaps: whose it is (`signature.py`)

A head has no model.onnx and no frontend.npz, but top.npz (`top.py`) and the digest of its trunk.

A variant, the same network at another precision, adds model.NAME.onnx and golden.NAME.npz (its own
outputs for the golden window). `reading.py` loads a bundle, `writing.py` makes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle.features import Frontend
from edge.bundle.golden import Golden
from edge.bundle.heads import Head, Verdicts
from edge.bundle.labels import Label
from edge.bundle.manifest import FP32, PRECISIONS, Manifest
from edge.bundle.occurrence import Occurrence
from edge.bundle.probability import ScoreCalibration
from edge.bundle.signature import Signature
from edge.bundle.spec import FrontendSpec
from edge.bundle.top import Top

__all__ = [
    "CARD",
    "FRONTEND",
    "HEAD",
    "MANIFEST",
    "OCCURRENCE",
    "PROBABILITY",
    "SIGNATURE",
    "Bundle",
    "Network",
    "file_names",
    "golden_file",
    "graph_file",
]

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
HEAD = "head.npz"
FRONTEND = "frontend.npz"
OCCURRENCE = "occurrence.npz"
PROBABILITY = "probability.json"
TOP = "top.npz"
CARD = "MODEL_CARD.md"

Array = NDArray[np.float32]


def graph_file(network: str) -> str:
    """Return the name of the file with the graph of `network`: `fp32` or a variant's name."""
    return "model.onnx" if network == FP32 else f"model.{network}.onnx"


def golden_file(network: str) -> str:
    """Return the name of the file with the expected outputs of `network`."""
    return "golden.npz" if network == FP32 else f"golden.{network}.npz"


def file_names(manifest: Manifest, variants: Iterable[str]) -> list[str]:
    """Return the names of all files of a bundle with these variants, but for the manifest."""
    perhaps = [PROBABILITY] if manifest.probability else []
    if manifest.trunk:
        return [HEAD, TOP, golden_file(FP32), CARD, *perhaps]
    names = [graph_file(FP32), HEAD, golden_file(FP32), CARD, *perhaps]
    if manifest.frontend.stored_bands:
        names.append(FRONTEND)
    if manifest.occurrence:
        names.append(OCCURRENCE)
    for variant in variants:
        names += [graph_file(variant), golden_file(variant)]
    return names


@dataclass(frozen=True, kw_only=True)
class Network:
    """The graph of one precision with the head and the expected outputs that belong to it.

    With a `top` the head's labels are not those of the graph.
    """

    name: str
    path: Path
    head: Head
    golden: Golden
    top: Top | None = None

    def judge(self, embedding: Array, logits: Array) -> Verdicts:
        """Return the head's verdicts on outputs of the graph (B, D) and (B, N)."""
        if self.top is None:
            return self.head(embedding, logits)
        return self.head(*self.top(embedding, logits))


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle in memory; its graphs stay on the disk, where a backend reads them.

    `networks` always has `fp32`, `bands` what the frontend needs. `trunk` is the bundle whose
    network a head has. `signature` is what the bundle came with; it has been checked only where
    the reader was given keys to trust. `synonyms` are labels by other names that people may use.
    """

    path: Path
    manifest: Manifest
    networks: Mapping[str, Network]
    bands: Mapping[str, Array] = field(default_factory=dict, repr=False)
    occurrence: Occurrence | None = field(default=None, repr=False)
    calibration: ScoreCalibration | None = field(default=None, repr=False)
    trunk: Bundle | None = field(default=None, repr=False)
    signature: Signature | None = None
    synonyms: tuple[Label, ...] = ()

    @property
    def head(self) -> Head:
        """The head of the fp32 network."""
        return self.networks[FP32].head

    @property
    def golden(self) -> Golden:
        """The golden window with the outputs of the fp32 network."""
        return self.networks[FP32].golden

    @property
    def file_names(self) -> list[str]:
        """The names of all its files."""
        own = [MANIFEST, *file_names(self.manifest, self.manifest.variants)]
        return own if self.signature is None else [*own, SIGNATURE]

    @property
    def digest(self) -> str:
        """The bundle's identity: sha256 over the manifest and, through it, over every file."""
        return self.manifest.digest

    @property
    def trunk_digest(self) -> str:
        """See `Manifest.trunk_digest`."""
        return self.manifest.trunk_digest

    @property
    def frontend(self) -> FrontendSpec:
        """The description of the frontend that the networks were trained with."""
        return self.manifest.frontend

    def new_frontend(self) -> Frontend:
        """Return the frontend, ready to make features."""
        return Frontend(self.frontend, self.bands)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The known species, in the order of the logits, with names that may be shown."""
        return tuple(label.printable() for label in self.manifest.labels)

    @property
    def word(self) -> Path:
        """The path by which `load_bundle` finds it again; of a head, with its trunk."""
        return self.path if self.trunk is None else Path(f"{self.trunk.path}+{self.path}")

    @property
    def known_names(self) -> tuple[Label, ...]:
        """Its labels, each perhaps more than once, with all names that it may be listed by."""
        return (*self.labels, *self.synonyms)

    @property
    def heard_labels(self) -> tuple[Label, ...]:
        """What the network itself knows, which of a head is more than it answers."""
        return self.labels if self.trunk is None else self.trunk.labels

    @property
    def trunk_size(self) -> tuple[int, int]:
        """How many dimensions and labels the network itself has."""
        return len(self.golden.embedding), len(self.heard_labels)

    @cached_property
    def heard_animals(self) -> NDArray[np.bool_]:
        """Which of `heard_labels` (N,) are animals."""
        return np.array([label.kind == "animal" for label in self.heard_labels], bool)

    def animal_score(self, embedding: Array, logits: Array) -> Array | None:
        """Return how surely an animal stands out, (B,) in 0..1, by outputs of the graph (B, D) and
        (B, N); None where the bundle cannot tell.
        """
        rule = self.manifest.animal
        return None if rule is None else rule.score(embedding, logits, self.heard_animals)

    def networks_for(self, backend: str) -> list[Network]:
        """Return the networks made for `backend`, onnx or tensorrt, the fastest first.

        The last is fp32, which every backend runs.
        """
        variants = sorted(
            self.manifest.variants.items(),
            key=lambda pair: (PRECISIONS.index(pair[1].precision), pair[0]),
        )
        names = [name for name, variant in variants if backend in variant.runs_on]
        return [self.networks[name] for name in (*names, FP32)]

    @property
    def label_thresholds(self) -> Array | None:
        """Least score (K,) at which a window carries each label.

        None where a window carries one label at most.
        """
        thresholds = self.manifest.thresholds
        return np.array(thresholds, np.float32) if thresholds else None

    @property
    def model_path(self) -> Path:
        """The fp32 ONNX graph."""
        return self.networks[FP32].path
