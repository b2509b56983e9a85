"""What a bundle says about itself: `manifest.json` as a value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edge.bundle.animal import AnimalRule
from edge.bundle.digest import canonical_digest
from edge.bundle.heads import SCORE_THRESHOLD, Activation
from edge.bundle.labels import Label, check_text
from edge.bundle.local import LocalFrames
from edge.bundle.mapping import from_mapping, keys_of, list_of
from edge.bundle.spec import FrontendSpec
from edge.bundle.variant import BACKENDS, FP32, PRECISIONS, ListMargin, Variant, variant_name
from edge.errors import SpecError, shown

__all__ = ["BACKENDS", "FORMAT_VERSION", "FP32", "PRECISIONS", "ListMargin", "Manifest", "Variant"]

# The newest that is read. 2 brought variants, 3 several labels in a window and frames, 4 attention,
# 5 stored bands, waveforms, uncentred frames, power laws, kinds and languages of labels, licences,
# heads, one-label frames, probabilities, animal rules, attention in time, weights, bins, overlaps.
FORMAT_VERSION = 5
# Keys that are left out when they are empty or false.
OMITTED = (
    *("variants", "label_thresholds", "attention", "occurrence", "licence", "source", "trunk"),
    *("probability", "animal", "time_attention"),
)
TRUNK_FILES = ("model.onnx", "frontend.npz")  # of a bundle, all that a head stands on
FRAME_ACTIVATIONS = ("sigmoid", "softmax_other")  # of frames without any of the labels, too
MOST_LABELS = 20_000
MOST_VARIANTS = 16
MOST_WEIGHT = 1000.0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` holds.

    `training_data` is the digest of the training recordings, `code` the version that trained.

    With the activation `sigmoid` a window carries every label whose score reaches its own of
    `label_thresholds`, or 0.5. With a `frame_threshold` the graph has a third output, `frames` (B,
    T, K): logits of T equal parts of the window, which the activation makes scores of as it does of
    the window's. An event then is where the score of its label is at least the threshold. It needs
    an activation in which all labels can be absent. With `attention` the graph has an output of
    that name, (B, F', T'): where it looks, in F' bands, lowest first, and T' parts of the window;
    each window's adds up to 1. With `time_attention` beside it there is one of that name, too, (B,
    T'): how surely something is heard in each part, 0 to 1. With `occurrence` the bundle knows
    which labels a place has in which week. With `probability` it says how likely a label is right.
    `list_margin`, with the activation `sigmoid`, says when a list of species explains a window.
    With a `trunk` it is a head: network and frontend are those of another bundle, of which this is
    the `trunk_digest`. `licence` is what its makers allow, `source` what it was made from; both are
    empty for a bundle of one's own. With `local` the network has frames that overlapping windows
    share (`edge.bundle.local`). `animal` says of a window whether an animal stands out in it, by
    the outputs of the network: of a head, its trunk's. `weight` is what it counts where several
    bundles judge together.
    """

    name: str
    labels: tuple[Label, ...]
    frontend: FrontendSpec
    activation: Activation
    rule: str
    threshold: float
    scale: float
    training_data: str
    code: str
    metrics: dict[str, Any]
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    variants: dict[str, Variant] = dataclasses.field(default_factory=dict)
    label_thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    frame_threshold: float | None = None
    list_margin: ListMargin | None = None
    attention: bool = False
    time_attention: bool = False
    weight: float = 1.0
    occurrence: bool = False
    probability: bool = False
    licence: str = ""
    source: str = ""
    trunk: str = ""
    local: LocalFrames | None = None
    animal: AnimalRule | None = None
    format_version: int = 1

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `parse` is the inverse."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["labels"] = [label.as_mapping() for label in self.labels]
        plain["frontend"] = self.frontend.as_mapping()
        plain["variants"] = {name: variant.as_mapping() for name, variant in self.variants.items()}
        plain["animal"] = self.animal and self.animal.as_mapping()
        # Left out when unused, so that bundles from before they existed keep their digest.
        for name in OMITTED:
            if not plain[name]:
                del plain[name]
        for name in ("list_margin", "local"):
            value = getattr(self, name)
            plain[name] = value and dataclasses.asdict(value)
        for name in ("frame_threshold", "list_margin", "local"):
            if plain[name] is None:
                del plain[name]
        if self.weight == 1:
            del plain["weight"]
        return plain

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> Manifest:
        """Build from JSON types; raises `SpecError`, which names the key."""
        values = {k: v for k, v in mapping.items() if k != "digest"}
        values["frontend"] = FrontendSpec.parse(
            values.get("frontend", {}), where=f"{where}: frontend"
        )
        labels = list_of(values.get("labels", ()), where=f"{where}: labels", most=MOST_LABELS)
        values["labels"] = tuple(
            from_mapping(Label, label, where=f"{where}: labels") for label in labels
        )
        variants = keys_of(values.get("variants", {}), where=f"{where}: variants")
        list_of(list(variants), where=f"{where}: variants", most=MOST_VARIANTS)
        values["variants"] = {
            variant_name(name, where): Variant.parse(variant, where=f"{where}: variants: {name}")
            for name, variant in variants.items()
        }
        for name, cls in (("list_margin", ListMargin), ("local", LocalFrames)):
            if name in values:
                values[name] = from_mapping(cls, values[name], where=f"{where}: {name}")
        if "animal" in values:
            values["animal"] = AnimalRule.parse(values["animal"], where=f"{where}: animal")
        manifest: Manifest = from_mapping(Manifest, values, where=where)
        return manifest

    def __post_init__(self) -> None:
        for text in (self.name, self.training_data, self.code, self.licence, self.source):
            check_text(text)
        self._check_labels()
        self._check_label_thresholds()
        for name in ("attention", "time_attention", "probability"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name}: {getattr(self, name)!r} is neither true nor false")
        if self.time_attention and not self.attention:
            raise SpecError("time_attention: has no meaning without attention")
        if not 0 < self.weight <= MOST_WEIGHT:
            raise SpecError(f"weight: {self.weight} is not above 0 and at most {MOST_WEIGHT:g}")
        self._check_trunk()
        if self.list_margin is not None and self.activation != "sigmoid":
            raise SpecError(f"list_margin: has no meaning with the activation {self.activation}")
        if self.frame_threshold is not None and not (
            self.activation in FRAME_ACTIVATIONS and 0 < self.frame_threshold <= 1
        ):
            raise SpecError(
                f"frame_threshold: {self.frame_threshold} is not above 0 and at most 1 with the "
                f"activation {' or '.join(FRAME_ACTIVATIONS)}"
            )

    def _check_trunk(self) -> None:
        if not self.trunk:
            return
        if not re.fullmatch(r"[0-9a-f]{64}", self.trunk):
            raise SpecError(f"trunk: {shown(self.trunk)} is no digest")
        if self.variants or self.frame_threshold or self.attention or self.occurrence:
            raise SpecError("trunk: a head has no network of its own, and nothing that is of one")

    def _check_labels(self) -> None:
        names = [label.label for label in self.labels]
        if not names or len(set(names)) != len(names):
            raise SpecError("labels must be present and distinct")

    def _check_label_thresholds(self) -> None:
        strange = sorted(set(self.label_thresholds) - {label.label for label in self.labels})
        if self.label_thresholds and (strange or self.activation != "sigmoid"):
            label = f"for the label {shown(strange[0])}" if strange else ""
            which = label or f"with the activation {self.activation}"
            raise SpecError(f"label_thresholds: have no meaning {which}")
        for label, threshold in self.label_thresholds.items():
            if not 0 < threshold <= 1:
                raise SpecError(
                    f"label_thresholds: {label}: {threshold} is not above 0 and at most 1"
                )

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Least score (K,) at which a window carries each label; empty where it carries one."""
        if self.activation != "sigmoid":
            return ()
        own = self.label_thresholds
        return tuple(own.get(label.label, SCORE_THRESHOLD) for label in self.labels)

    @property
    def needs_version_5(self) -> bool:
        """Whether programs from before version 5 of the format would misread it."""
        frontend = self.frontend
        return bool(
            frontend.stored_bands
            or frontend.is_waveform
            or not frontend.centred
            or frontend.scaling != "none"
            or frontend.stack_overlap
            or any(channel.level.kind == "power_law" for channel in frontend.channels)
            or any(channel.component == "bins" for channel in frontend.channels)
            or any(label.kind != "animal" or label.names for label in self.labels)
            or self.occurrence
            or self.probability
            or self.list_margin
            or self.local
            or self.licence
            or self.source
            or self.trunk
            or (self.frame_threshold is not None and self.activation != "sigmoid")
            or self.animal
            or self.time_attention
            or self.weight != 1
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in which some label has a name, beside that of the common names."""
        return tuple(sorted({language for label in self.labels for language in label.names}))

    @property
    def extra_outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs beside embedding and logits."""
        frames = ("frames",) if self.frame_threshold is not None else ()
        attention = ("attention",) if self.attention else ()
        return (*frames, *attention, *(("time_attention",) if self.time_attention else ()))

    @cached_property
    def trunk_digest(self) -> str:
        """What a head stands on: frontend, graph and labels; names for people and rules do not
        count.
        """
        if self.trunk:
            return self.trunk
        below = {name: self.files[name] for name in TRUNK_FILES if name in self.files}
        labels = [label.label for label in self.labels]
        return canonical_digest(
            {"frontend": self.frontend.as_mapping(), "files": below, "labels": labels}
        )

    @cached_property
    def digest(self) -> str:
        """The identity of the whole bundle.

        It is the sha256 of the canonical JSON, which holds the sha256 of every other file.
        """
        return canonical_digest(self.as_mapping())
