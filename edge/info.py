"""What a bundle is, in lines for people, as `edge info` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.bundle import Bundle, FrontendSpec, Label
from edge.bundle.animal import AnimalRule
from edge.bundle.heads import SCORE_THRESHOLD
from edge.bundle.overlap import shared_hop
from edge.bundle.precision import LeastScore

__all__ = ["describe"]


def describe(b: Bundle) -> Iterator[str]:
    """Yield what a verified bundle is, from its name to its labels, in lines for a terminal."""
    for line in _lines(b):
        # What the bundle's maker has written is shown, and never obeyed.
        yield "".join(filter(str.isprintable, line))


def _lines(b: Bundle) -> Iterator[str]:
    m = b.manifest
    yield f"{m.name}  {b.path}"
    yield f"digest     {b.digest}"
    if b.trunk is not None:
        yield from _two(b, b.trunk)
    yield f"frontend   {_frontend(b.frontend)}"
    if hop := shared_hop(b.frontend):
        hop_s = hop / b.frontend.sample_rate_hz
        yield f"hops       multiples of {hop_s:.5f} s share their frames, which saves time"
    if m.local is not None:
        hop_s = m.local.hop / b.frontend.frames_per_second
        yield f"           multiples of {hop_s:.5g} s share the network's, too"
    yield f"head       {m.activation}, rejects by {b.head.rule.kind} above {m.threshold:.4g}"
    yield f"window     {_carries(b)}{_weight(m.weight)}"
    if m.animal is not None:
        yield f"animal     {_animal(m.animal)}"
    yield f"outputs    {', '.join(_outputs(b))}"
    for name in m.variants:
        yield f"variant    {_variant(b, name)}"
    yield f"signed     {'no' if b.signature is None else f'with the key {b.signature.key}'}"
    if m.licence:
        yield f"licence    {m.licence}"
    if m.source:
        yield f"source     {m.source}"
    yield f"trained    on data {m.training_data[:16]}, by code {m.code[:16]}"
    for name, value in _flat(m.metrics):
        yield f"metric     {name}: {value}"
    yield from _calibration(b)
    yield f"labels     {len(b.labels)}"
    for label in b.labels:
        own = _label(label, m.label_thresholds.get(label.label))
        yield f"  {own}{_least_scores(b, label.label)}"


def _two(head: Bundle, trunk: Bundle) -> Iterator[str]:
    """Yield what a head stands on, and the size of both."""
    yield f"size       {_kb(head)} kB, as a head"
    yield f"trunk      {trunk.manifest.name}  {trunk.path}"
    yield f"  digest   {trunk.digest}"
    yield f"  network  {trunk.trunk_digest}, which the head names"
    yield f"  size     {_kb(trunk)} kB, {len(trunk.labels)} labels"


def _kb(b: Bundle) -> str:
    return f"{sum((b.path / name).stat().st_size for name in b.file_names) / 1000:.0f}"


def _frontend(spec: FrontendSpec) -> str:
    window = f"{spec.window_s:g} s at {spec.sample_rate_hz} Hz"
    if spec.is_waveform:
        return f"{window}, the waveform: {spec.window_samples} samples"
    channels = ", ".join(f"{c.component} ({c.level.kind})" for c in spec.channels)
    return f"{window}, {spec.n_mels} bands of {channels}"


def _variant(b: Bundle, name: str) -> str:
    variant = b.manifest.variants[name]
    size_kb = b.networks[name].path.stat().st_size / 1000
    return (
        f"{name}: {variant.precision} for {' and '.join(variant.runs_on)}, {size_kb:.0f} kB, "
        f"rejects above {variant.threshold:.4g}"
    )


def _label(label: Label, threshold: float | None) -> str:
    scientific = f" ({label.scientific_name})" if label.scientific_name else ""
    own = "" if threshold is None else f", from a score of {threshold:g}"
    return f"{label.label}: {label.common_name}{scientific}{own}"


def _calibration(b: Bundle) -> Iterator[str]:
    """Yield what probabilities rest on, and what becomes of labels at each precision."""
    if b.calibration is None:
        return
    yield f"probable   by the calibration {b.calibration.digest[:16]}, on"
    for basis in b.calibration.basis:
        yield f"           {basis.events} events, {basis.right:.0%} right, in {basis.recordings}"
        yield f"           ({basis.method})"
    for name, scores in sorted(b.calibration.precisions.items()):
        others = "give no events" if scores.together is None else _least(scores.together)
        yield f"precision  {name}: {len(scores.own)} labels have a score of their own, see below"
        yield f"           with too little evidence: {others}"
        if scores.not_kept:
            yield f"           never kept, so no events: {', '.join(scores.not_kept)}"


def _least_scores(b: Bundle, label: str) -> str:
    found = b.calibration.precisions if b.calibration else {}
    return "".join(
        f", precision {name} {_least(scores.own[label])}"
        for name, scores in sorted(found.items())
        if label in scores.own
    )


def _least(least: LeastScore) -> str:
    interval = f"{least.low:.2f} to {least.high:.2f}"
    return f"from {least.score:.3f} ({least.right} of {least.events} right, {interval})"


def _carries(b: Bundle) -> str:
    if b.label_thresholds is None:
        return "carries one label, or is unknown"
    return f"carries every label from a score of {SCORE_THRESHOLD:g}" + (
        ", but for those that name their own" if b.manifest.label_thresholds else ""
    )


def _weight(weight: float) -> str:
    return "" if weight == 1 else f"; counts {weight:g} where several bundles judge together"


def _animal(rule: AnimalRule) -> str:
    features = [f"{weight:+.3g} {name}" for name, weight in sorted(rule.weights.items())]
    if rule.embedding:
        features.append("the embedding")
    return (
        f"stands out from {rule.threshold:g} on, by {', '.join(features)}; what has no label is "
        "unknown then, else nothing"
    )


def _outputs(b: Bundle) -> Iterator[str]:
    """Yield the outputs of the network for one window.

    How many frames there are is not written down in an older bundle.
    """
    golden = b.golden
    threshold = b.manifest.frame_threshold
    yield f"embedding {len(golden.embedding)}"
    made = "" if b.trunk is None else f", of which the head makes {len(b.labels)}"
    yield f"logits {len(golden.logits)}{made}"
    if threshold is not None:
        frames = golden.extra_outputs.get("frames")
        count = "" if frames is None else f" {len(frames)}"
        yield f"frames{count} (heard from a score of {threshold:g})"
    if b.manifest.attention:
        bands, parts = golden.extra_outputs["attention"].shape
        yield f"attention {bands} bands x {parts} parts"
    if b.manifest.time_attention:
        (parts,) = golden.extra_outputs["time_attention"].shape
        yield f"attention in time {parts} parts"


def _flat(metrics: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested metrics under dotted names, sorted."""
    for name, value in sorted(metrics.items()):
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
